"""A store that speaks S3, as a process of its own, and a bucket for each test."""

from __future__ import annotations

import itertools
import os

import pytest

from support.object_store import object_store

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    with object_store(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def bucket(store):
    return store.bucket(f"plants-{next(NUMBERS)}")


@pytest.fixture
def nothing_known(monkeypatch, tmp_path):
    """Let the environment hold no keys and no settings of AWS, whatever the machine's own holds."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
def environment(store, nothing_known, monkeypatch):
    """Let the environment hold the store's keys, region and endpoint."""
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
