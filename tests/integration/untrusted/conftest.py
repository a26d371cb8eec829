from __future__ import annotations

import pytest

from support.untrusted import Field


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    with Field(tmp_path_factory.mktemp("untrusted")) as made:
        yield made
