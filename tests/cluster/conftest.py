"""One cluster for all tests of this folder: started once, through the image's entrypoint."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from cluster.topology import Topology
from locus_stem.demo.__main__ import DAG_FILE, WEBHOOK
from locus_stem.demo.webhook import Webhook
from locus_stem.sandbox.fleet import Fleet
from locus_stem.tables.lake import Lake
from support import compose
from support.services import postgres, redis, s3

if TYPE_CHECKING:
    from support.airflow_parts import AirflowParts
    from support.services import S3

SITES = 200
SITE_DATA = r"/v3/sites/\d+/data"
#: Signs that mean something in addresses.
POSTGRES_PASSWORD = "p@ss/w%rd:#?&" + secrets.token_urlsafe(8)


@dataclass
class Cluster:
    """What the tests hold in hands."""

    topology: Topology
    airflow: AirflowParts
    store: S3
    sandbox: str
    webhook: Webhook
    fleet: Fleet
    lake: Lake

    def stats(self):
        return httpx.get(f"{self.sandbox}/_sandbox/stats").json()

    def asked(self, before=float("inf")):
        """Give the requests for sites' measurements that came before an instant of the sandbox's clock."""
        return [f"{one['path']}?{one['query']}" for one in self._served() if one["arrived"] < before]

    def last(self):
        """Give the instant at which the latest of them came."""
        return self._served()[-1]["arrived"] + 0.001

    def _served(self):
        log = httpx.get(f"{self.sandbox}/_sandbox/log").json()
        return [one for one in log if re.fullmatch(SITE_DATA, one["path"])]


def ended_well(done):
    assert done.status == 0, done.output[-3000:]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    variables = compose.trial() | {"SANDBOX_SITES": str(SITES), "WORKER_CONCURRENCY": "4"}
    del variables["CONNECTIONS_FILE"]  # given beside the secrets instead, with the addresses of this machine
    with ExitStack() as stack:
        store = stack.enter_context(s3(folder))
        webhook = stack.enter_context(Webhook())
        topology = Topology(folder, variables)
        sandbox = stack.enter_context(topology.sandbox("--latency-ms", "200"))
        topology.places |= {"http://s3:5000": store.url, "http://sandbox:8765": sandbox}
        give(topology, webhook)
        ended_well(topology.run("secrets"))
        made = {
            name: (topology.secrets / name / "password").read_text().strip() for name in ("postgres", "redis")
        }
        assert made["postgres"] == POSTGRES_PASSWORD
        topology.database = stack.enter_context(postgres(folder, made["postgres"]))
        topology.broker = stack.enter_context(redis(folder, made["redis"]))
        ended_well(topology.run("bucket"))
        ended_well(topology.run("init"))
        login = (topology.secrets / "init" / "admin_password").read_text().strip()
        airflow = stack.enter_context(topology.airflow(login))
        ours = stack.enter_context(pytest.MonkeyPatch.context())
        for name in (name for name in variables if name.startswith("AWS_")):
            ours.setenv(name, topology.here(variables[name]))
        lake = Lake(variables["LAKE_URI"])
        yield Cluster(topology, airflow, store, sandbox, webhook, Fleet(sites=SITES), lake)


def give(topology, webhook):
    """Put what an operator gives into the folders of secrets and DAGs; other secrets are generated."""
    (topology.given / "postgres_password").write_text(POSTGRES_PASSWORD + "\n")
    text = (compose.DOCKER / "sandbox-connections.json").read_text()
    for there, here in topology.places.items():
        text = text.replace(there, here)
    ticketing = {"conn_type": "http", "host": webhook.url}
    (topology.given / "connections.json").write_text(json.dumps({**json.loads(text), WEBHOOK: ticketing}))
    shutil.copy(compose.DOCKER.parent / "dags" / "pools.json", topology.dags)
    (topology.dags / "plants.py").write_text(DAG_FILE)
