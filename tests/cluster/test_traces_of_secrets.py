"""No secret where it doesn't belong on the cluster either: searched once all its other tests have left their traces.

Connections, the lake's key and the secrets of docker/ are all known; one is given away on purpose, in every place that
is searched.
"""

from __future__ import annotations

import json
import re
import time
from itertools import count, islice, takewhile

import boto3
import httpx
import pyarrow as pa
import pytest
from cryptography.fernet import Fernet
from deltalake import write_deltalake
from sqlalchemy import create_engine, text

from locus_stem.sandbox.entities import mix
from support.canaries import ANY_TEXT, ASCII, Canary, Search
from support.contents import postgres_values, s3_objects

CONTROL, WRONG = "secret_control", "secret_wrong"
FINAL = {"success", "failed"}
PIPELINES = ("locus_daily_backfill", "locus_alert_sync", "stem_daily_backfill")
STORED = ("wrong password", "wrong client secret", "wrong api key")
WITHIN = 120.0

#: Where the secret is given away on purpose: each must be found, by the place.
GIVEN_AWAY = {
    "a task's log": r"airflow/logs/dag_id=secret_control/.*/task_id=gives/attempt=1\.log",
    "an error's traceback": r"airflow/logs/dag_id=secret_control/.*/task_id=raises/attempt=1\.log",
    "a trigger's log": r"airflow/logs/dag_id=secret_control/.*trigger.*\.log",
    "a DAG file's log": r"airflow/logs/dag_processor/.*",
    "what the API server prints": r"api-server\.log",
    "what the scheduler prints": r"scheduler\.log",
    "what the DAG processor prints": r"dag-processor\.log",
    "what the triggerer prints": r"triggerer\.log",
    "what a Celery worker prints": r"worker-\d\.log",
    "what the S3 server prints": r"s3\.log",
    "what Postgres prints": r"postgres\.log",
    "a column of text": r"dag_run\.run_id",
    "a column of JSON": r"xcom\.value",
    "rendered fields": r"rendered_task_instance_fields\.rendered_fields",
    "a column of bytes": r"celery_taskmeta\.result",
    "a message of Redis": r"redis unacked",
    "staging": r"s3 lake/tables/_staging/planted/.*\.json",
    "a table": r"s3 lake/tables/planted/.*\.parquet",
    "a table's log": r"s3 lake/tables/planted/_delta_log/.*\.json",
    "a webhook's body": r"webhook body",
}  # fmt: skip


def wrong_connections(cluster):
    """Describe the connections that are refused."""
    known = {name: cluster.canaries[name].value for name in STORED}
    app = {"client_id": "app", "client_secret": known["wrong client secret"], "partner_id": 1}
    fields = {"host": cluster.sandbox}
    locus = {"conn_type": "locus", "login": "solar", "password": known["wrong password"]}
    stem = {"conn_type": "stem", "password": known["wrong api key"]}
    return {
        "locus_wrong": {**fields, **locus, "extra": json.dumps({**app, "allow_http": True})},
        "stem_wrong": {**fields, **stem, "extra": json.dumps({"allow_http": True})},
    }


def tokens(cluster):
    """Give the tokens that the sandbox has given out, the last one now: their second half tells their number."""
    app = {"client_id": "sandbox-client", "client_secret": cluster.canaries["client secret"].value}
    answer = httpx.post(f"{cluster.sandbox}/oauth/token", data={"grant_type": "client_credentials", **app})
    last = answer.raise_for_status().json()["access_token"][-16:]
    halves = islice((f"{mix(number, 9):016x}" for number in count(1)), 10_000)
    earlier = list(takewhile(lambda half: half != last, halves))
    assert 0 < len(earlier) < 10_000
    return [Canary.of(f"token {number}", half) for number, half in enumerate(earlier)]


def run_and_watch(cluster, planted):
    """Run what fails and what gives away; give the tasks' states, and what the broker held meanwhile."""
    airflow = cluster.airflow
    for conn_id, fields in wrong_connections(cluster).items():
        airflow.api("POST", "/connections", {"connection_id": conn_id, **fields})
    for dag_id in (WRONG, CONTROL):
        airflow.wait_for_dag(dag_id)
        airflow.unpause(dag_id)
    run = {"dag_run_id": planted, "logical_date": None}
    airflow.api("POST", f"/dags/{CONTROL}/dagRuns", {**run, "conf": {"shown": planted}})
    airflow.api("POST", f"/dags/{WRONG}/dagRuns", run)
    messages = set()
    deadline = time.monotonic() + WITHIN
    while True:
        messages |= set(cluster.messages())
        states = {
            f"{dag_id} {task['task_id']}": task["state"]
            for dag_id in (WRONG, CONTROL)
            for task in airflow.tasks(dag_id, planted)
        }
        waits = states.pop(f"{CONTROL} waits", None)
        triggered = list(cluster.topology.home.glob(f"logs/dag_id={CONTROL}/**/*trigger*.log"))
        if set(states.values()) <= FINAL and len(states) == 5 and waits == "deferred" and triggered:
            return states, messages
        assert time.monotonic() < deadline, (states, waits, airflow.log_tail())
        time.sleep(0.2)


def give_away(cluster, planted):
    """Put the secret that is to be found where no DAG can put it."""
    staged = (
        f"tables/_staging/planted/{planted}.json"  # named after it: the S3 server prints no more than keys
    )
    boto3.client("s3").put_object(Bucket="lake", Key=staged, Body=planted.encode())
    write_deltalake("s3://lake/tables/planted", pa.table({"x": [planted]}))
    httpx.post(cluster.webhook.url, json={"x": planted}).raise_for_status()
    engine = create_engine(cluster.topology.database.url())
    result = text("insert into celery_taskmeta (id, task_id, result) values (-1, 'planted', :result)")
    with engine.begin() as connection:
        connection.execute(result, {"result": planted.encode()})
    with engine.connect() as connection, pytest.raises(Exception, match="invalid input syntax"):
        connection.execute(text("select cast(:planted as integer)"), {"planted": planted})
    engine.dispose()


@pytest.fixture(scope="module")
def search(cluster):
    cluster.canaries |= {name: Canary.new(name, ANY_TEXT) for name in STORED[:2]}
    cluster.canaries[STORED[2]] = Canary.new(STORED[2], ASCII)
    planted = cluster.canaries["planted"].value
    states, messages = run_and_watch(cluster, planted)
    kept = [Canary.of(name, value) for name, value in cluster.topology.kept().items()]
    search = Search([*cluster.canaries.values(), *kept, *tokens(cluster)])
    search.states = states
    give_away(cluster, planted)
    search.files(cluster.topology.folder, besides=("secrets", "given"))
    search.encrypted = search.database(postgres_values(cluster.topology.database.url()), fernet_key(cluster))
    for place, content in (*messages, *s3_objects()):
        search.file(place, content)
    for place, content in cluster.earlier:
        search.file(f"while a backfill ran: {place}", content)
    for post in cluster.webhook.posts:
        search.look("webhook body", json.dumps([post.key, post.alert], ensure_ascii=False))
    return search


def fernet_key(cluster):
    (key,) = (value for name, value in cluster.topology.kept().items() if name.endswith("fernet_key"))
    return key


@pytest.mark.parametrize("what", GIVEN_AWAY)
def test_a_secret_that_is_given_away_is_found(search, what):
    places = search.found["planted"]
    assert [place for place in places if re.fullmatch(GIVEN_AWAY[what], place)], sorted(places)


def test_what_the_other_tests_ran_is_searched(cluster, search):
    searched = search.searched
    logged = {
        match[1] for place in searched if (match := re.match(r"airflow/logs/dag_id=(\w+)/.*\.log", place))
    }
    assert logged >= {*PIPELINES, CONTROL, WRONG}
    earlier = "while a backfill ran: "
    assert any(re.match(rf"{earlier}s3 lake/tables/_staging/.*\.parquet", place) for place in searched)
    assert f"{earlier}redis unacked" in searched
    assert searched["celery_taskmeta.task_id"] > 10
    for part in (*cluster.airflow.parts, "init", "secrets"):
        logs = list(cluster.topology.folder.glob(f"{part}*.log"))
        assert any(log.stat().st_size and log.name in searched for log in logs), part


def test_all_secrets_of_the_topology_are_searched_for(cluster):
    names = {name.rpartition("/")[2] for name in cluster.topology.kept()}
    assert names == {"password", "fernet_key", "jwt_secret", "api_secret_key", "admin_password"}
    assert {value for name, value in cluster.topology.kept().items() if name.endswith("/password")} == {
        cluster.topology.database.password,
        cluster.topology.broker.password,
    }


def test_what_has_wrong_connections_failed(search):
    assert {name: state for name, state in search.states.items() if name.startswith(WRONG)} == {
        f"{WRONG} locus": "failed",
        f"{WRONG} stem": "failed",
        f"{WRONG} trigger": "failed",
    }


def test_no_secret_is_found_anywhere(search):
    found = {name: sorted(places) for name, places in search.found.items() if name != "planted" and places}
    assert found == {}


def test_connections_are_in_the_database_and_encrypted(cluster, search):
    key = Fernet(fernet_key(cluster))
    stored = "\n".join(
        key.decrypt(content).decode()
        for place in ("connection.password", "connection.extra")
        for content in search.encrypted[place]
    )
    held = Search(cluster.canaries.values())
    held.look("decrypted", stored)
    assert {*STORED, "password", "client secret", "api key", "webhook password"} <= held.found.keys()
