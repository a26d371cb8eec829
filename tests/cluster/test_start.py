"""What the entrypoint of docker/ does at a start, and what the health checks of the Compose file say."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "part", ["api-server", "scheduler", "dag-processor", "triggerer", "worker-1", "worker-2"]
)
def test_a_part_is_healthy_by_its_container_s_own_check(cluster, part):
    service = part.partition("-1")[0].partition("-2")[0]
    check = cluster.topology.services[service]["healthcheck"]["test"]
    done = cluster.topology.run(service, *check[2:], name=part)
    assert done.status == 0, done.output


def test_a_worker_that_is_not_there_is_not_healthy(cluster):
    done = cluster.topology.run("worker", "healthy", "worker", name="worker-3")
    assert done.status != 0


def test_starting_again_changes_nothing_that_somebody_has_set(cluster):
    airflow = cluster.airflow
    pool = {"name": "stem_api", "slots": 3, "include_deferred": False}
    airflow.api("PATCH", "/pools/stem_api", pool)
    secrets = {path: path.read_bytes() for path in cluster.topology.secrets.rglob("*") if path.is_file()}
    for service in ("secrets", "init"):
        done = cluster.topology.run(service)
        assert done.status == 0, done.output
    pools = {pool["name"]: pool["slots"] for pool in airflow.api("GET", "/pools")["pools"]}
    assert (pools["locus_api"], pools["stem_api"]) == (1, 3)
    assert {path: path.read_bytes() for path in secrets} == secrets
    found = {one["connection_id"] for one in airflow.api("GET", "/connections")["connections"]}
    assert found == {"locus_default", "stem_default", "ticketing"}
    airflow.log_in()
