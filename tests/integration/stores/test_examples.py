"""The documentation's samples of S3, on a store that speaks it."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

from locus_stem.hooks.lake import open_lake
from locus_stem.tables.objects import load_objects
from support.object_store import REGION

EXAMPLES = Path(__file__).parents[3] / "provider" / "docs" / "examples"


def test_a_table_is_read_outside_of_airflow(store, environment, monkeypatch):
    store.bucket("my-bucket")
    lake = open_lake("s3://my-bucket/lake")
    load_objects(lake, "locus_sites", [{"id": 1, "name": "a"}], complete=True, today=None)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")  # the store's own lack: the sample is for one with TLS
    found = runpy.run_path(str(EXAMPLES / "read_s3.py"))
    assert found["sites"].to_pylist() == [{"site_id": 1, "name": "a"}]


def test_the_connection_gives_its_keys_and_region(nothing_known, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", (EXAMPLES / "connection_aws.json").read_text())
    options = open_lake("s3://aws_default@my-bucket/lake").delta_address("runs")[1]
    assert options["aws_access_key_id"] == "access-key-id"
    assert options["aws_secret_access_key"] == "secret-access-key"
    assert options["aws_endpoint_url"] == "https://s3.eu-west-1.amazonaws.com"


def test_the_lifecycle_is_taken_and_expires_no_current_object(store):
    rules = json.loads((EXAMPLES / "s3_lifecycle.json").read_text())
    bucket = store.bucket("lifecycle")
    store.client().put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rules)
    stored = store.client().get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert len(stored) == 2
    assert not [rule for rule in stored if rule.keys() & {"Expiration", "Transitions"}]
