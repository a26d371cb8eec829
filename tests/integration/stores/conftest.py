"""A store that speaks S3, as a process of its own, and a bucket for each test."""

from __future__ import annotations

import itertools

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
def environment(store, nothing_known, monkeypatch):
    """Let the environment hold the store's keys, region and endpoint."""
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
