from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from locus_stem.planning.fields import FieldGroup
from locus_stem.planning.request import DataRequest
from locus_stem.planning.slices import Slice, slices

NOW = datetime(2030, 1, 1, tzinfo=UTC)
GROUP = FieldGroup(("W_m_avg", "Wh_m_sum"), (("inverterClipping", "true"), ("modelType", "simple")))


def request(gran: str = "15min", zone: str = "America/Denver") -> DataRequest:
    piece = slices(date(2024, 1, 1), date(2024, 1, 15), zone, gran, NOW)[0]
    return DataRequest("component", 22, 1, zone, gran, piece, GROUP)


@given(
    st.builds(
        DataRequest,
        entity_type=st.sampled_from(["site", "component"]),
        entity_id=st.integers(1, 2**53),
        site_id=st.integers(1, 2**53),
        zone=st.sampled_from(["UTC", "Asia/Kolkata"]),
        granularity=st.sampled_from(["1min", "daily"]),
        slice=st.builds(
            Slice,
            start=st.datetimes(datetime.fromisoformat("1970-01-01"), timezones=st.just(UTC)),
            end=st.datetimes(datetime.fromisoformat("1970-01-01"), timezones=st.just(UTC)),
            query_start=st.just("2024-01-01T00:00:00"),
            query_end=st.just("2024-01-01T23:59:59"),
            tz=st.just("UTC"),
        ),
        group=st.builds(
            FieldGroup,
            fields=st.lists(st.text(min_size=1), min_size=1).map(tuple),
            parameters=st.lists(st.tuples(st.text(), st.text())).map(tuple),
        ),
    )
)
def test_a_request_comes_back_from_a_plan_file_as_it_was(planned: DataRequest) -> None:
    again = DataRequest.from_json(json.loads(json.dumps(planned.to_json())))
    assert again == planned
    assert again.key == planned.key


def test_the_key_is_the_same_in_every_process() -> None:
    assert request().key == "component-22-15min-20240101T0700-d5cd1119c0df62b0414c"


def test_whatever_changes_the_question_changes_the_key() -> None:
    base = request()
    others = [
        replace(base, entity_type="site"),
        replace(base, entity_id=2),
        request(gran="hourly"),
        request(zone="UTC"),
        replace(base, slice=replace(base.slice, end=NOW)),
        replace(base, slice=replace(base.slice, query_end="2024-01-14T23:59:58")),
        base.with_group(FieldGroup(GROUP.fields[:1], GROUP.parameters)),
        base.with_group(FieldGroup(GROUP.fields, ())),
    ]
    assert len({base.key, *(other.key for other in others)}) == len(others) + 1


def test_another_group_leaves_the_rest_of_the_request() -> None:
    other = request().with_group(FieldGroup(("W_m_avg",)))
    assert other.group.fields == ("W_m_avg",)
    assert other.with_group(GROUP) == request()
