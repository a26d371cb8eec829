"""One cluster for all tests of this folder: started once, through the image's entrypoint."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from cluster.topology import Topology
from locus_stem.demo.__main__ import WEBHOOK
from locus_stem.demo.webhook import Webhook
from locus_stem.sandbox.fleet import Fleet
from locus_stem.tables.lake import Lake
from support import compose
from support.canaries import ANY_TEXT, ASCII, LATIN, PLAIN, Canary
from support.contents import redis_values, s3_objects
from support.services import postgres, redis, s3

if TYPE_CHECKING:
    from support.airflow_parts import AirflowParts
    from support.services import S3

#: The package's DAGs with its retries; only their delays are shorter.
DAG_FILE = f'''"""Airflow DAGs of the cluster."""

from datetime import timedelta

from locus_stem.dags import LocusAccount, StemAccount, account_dags

soon = {{"retry_delay": timedelta(seconds=2), "retry_exponential_backoff": False}}
account_dags(
    LocusAccount(default_args=soon),
    StemAccount(default_args=soon),
    defaults={{"locus_alert_sync": {{"webhook_conn_id": "{WEBHOOK}"}}}},
)
'''
SITES = 200
SITE_DATA = r"/v3/sites/\d+/data"
#: Signs that mean something in addresses.
POSTGRES_PASSWORD = "p@ss/w%rd:#?&" + secrets.token_hex(8)
#: The secrets that an operator gives beside it, each with what it can hold; the last one is given away on purpose.
GIVEN = {
    "password": ANY_TEXT, "client secret": ANY_TEXT, "api key": ASCII, "webhook password": LATIN, "storage key": ASCII,
    "planted": PLAIN,
}  # fmt: skip
#: A DAG that gives the last one away, and one whose connections are wrong.
SECRET_DAGS = (
    Path(__file__).parents[1] / "system" / "secret_dags" / "secret_control.py",
    Path(__file__).parent / "secret_dags" / "secret_wrong.py",
)


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
    canaries: dict[str, Canary]
    earlier: list[tuple[str, bytes]] = field(default_factory=list)

    def remember(self):
        """Keep what broker and bucket hold now: messages and staging are gone when their work is done."""
        self.earlier = [*self.messages(), *s3_objects()]

    def messages(self):
        return redis_values(self.topology.broker.port, self.topology.broker.password)

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
    canaries = {name: Canary.new(name, between) for name, between in GIVEN.items()}
    known = {name: canary.value for name, canary in canaries.items()}
    variables = compose.trial() | {
        "SANDBOX_SITES": str(SITES),
        "WORKER_CONCURRENCY": "4",
        "AWS_SECRET_ACCESS_KEY": known["storage key"],
    }
    del variables["CONNECTIONS_FILE"]  # given beside the secrets instead, with the addresses of this machine
    with ExitStack() as stack:
        store = stack.enter_context(s3(folder))
        webhook = stack.enter_context(Webhook())
        topology = Topology(folder, variables)
        accepts = ("--password", known["password"], "--client-secret", known["client secret"],
                   "--stem-api-key", known["api key"])  # fmt: skip
        sandbox = stack.enter_context(topology.sandbox("--latency-ms", "200", *accepts))
        topology.places |= {"http://s3:5000": store.url, "http://sandbox:8765": sandbox}
        give(topology, webhook, known)
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
        yield Cluster(topology, airflow, store, sandbox, webhook, Fleet(sites=SITES), lake, canaries)


def give(topology, webhook, known):
    """Put what an operator gives into the folders of secrets and DAGs; other secrets are generated."""
    (topology.given / "postgres_password").write_text(POSTGRES_PASSWORD + "\n")
    text = (compose.DOCKER / "sandbox-connections.json").read_text()
    for there, here in topology.places.items():
        text = text.replace(there, here)
    connections = json.loads(text)
    connections["locus_default"]["password"] = known["password"]
    connections["locus_default"]["extra"]["client_secret"] = known["client secret"]
    connections["stem_default"]["password"] = known["api key"]
    connections[WEBHOOK] = {
        "conn_type": "http", "host": webhook.url, "login": "tickets", "password": known["webhook password"]
    }  # fmt: skip
    (topology.given / "connections.json").write_text(json.dumps(connections))
    (topology.given / "airflow.env").write_text(f"SECRET_TEST_PLANTED={known['planted']}\n")
    shutil.copy(compose.DOCKER.parent / "dags" / "pools.json", topology.dags)
    (topology.dags / "plants.py").write_text(DAG_FILE)
    named_after_it = (
        topology.dags / known["planted"]
    )  # the DAG processor prints no more of a DAG than its path
    named_after_it.mkdir()
    for file in SECRET_DAGS:
        shutil.copy(file, named_after_it)
