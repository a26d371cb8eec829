from __future__ import annotations

import pytest

from locus_stem.planning.params import ParamError
from locus_stem.planning.retention import retention_days


@pytest.mark.parametrize(
    ("raw", "days"), [({}, 30), ({"retention_days": None}, 30), ({"retention_days": "7"}, 7)]
)
def test_whole_days_are_taken_and_null_is_thirty(raw, days):
    assert retention_days(raw) == days


@pytest.mark.parametrize("value", [0, 6, 3651, -30, 7.5, "a week", True])
def test_anything_else_is_refused_with_the_reason(value):
    with pytest.raises(ParamError, match=r"param retention_days=.*from 7 to 3650.*a reader keeps"):
        retention_days({"retention_days": value})


def test_another_name_is_refused():
    with pytest.raises(ParamError, match="did you mean retention_days"):
        retention_days({"retention_day": 30})
