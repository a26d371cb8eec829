from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.planning.fields import AvailableField, FieldGroup, check_wanted, field_groups, halve
from locus_stem.planning.params import ParamError

MODEL = (("modelType", ("simple",)), ("inverterClipping", ("true", "false")))
FIRST_VALUES = (("inverterClipping", "true"), ("modelType", "simple"))
AVAILABLE = [
    AvailableField("Wh_sum", "Measured", ("15min", "hourly", "daily")),
    AvailableField("W_avg", "Measured", ("15min", "hourly")),
    AvailableField("W_m_avg", "Modeled", ("hourly", "daily"), MODEL),
    AvailableField("Wh_m_sum", "Modeled", ("hourly", "daily"), MODEL),
    AvailableField("PI_m_avg", "Modeled", ("hourly",), (("modelType", ("singleDiode", "simple")),)),
    AvailableField("Wh_e_sum", "Expected", ("daily",)),
]

names = st.sampled_from(["A_avg", "W_avg", "Wh_sum", "W_m_avg", "GHI_m_avg", "Wh_e_sum", "PF_min"])
parameters = st.sampled_from([(), MODEL, (("modelType", ("singleDiode", "simple")),), (("modelType", ()),)])
fields = st.builds(
    AvailableField,
    names,
    st.sampled_from(["Measured", "Modeled", "Expected"]),
    st.sets(st.sampled_from(["1min", "hourly", "daily"])).map(lambda found: tuple(sorted(found))),
    parameters,
)


def test_without_a_wish_every_measured_field_of_that_granularity_is_asked_at_once() -> None:
    assert field_groups(AVAILABLE, "hourly", None) == [FieldGroup(("W_avg", "Wh_sum"))]
    assert field_groups(AVAILABLE, "daily", None) == [FieldGroup(("Wh_sum",))]
    assert field_groups(AVAILABLE, "1min", None) == []


def test_wished_fields_come_from_any_source_one_group_a_parameter_set_with_the_first_values() -> None:
    wanted = ["Wh_sum", "Wh_m_sum", "W_m_avg", "PI_m_avg"]
    assert field_groups(AVAILABLE, "hourly", wanted) == [
        FieldGroup(("Wh_sum",)),
        FieldGroup(("W_m_avg", "Wh_m_sum"), FIRST_VALUES),
        FieldGroup(("PI_m_avg",), (("modelType", "singleDiode"),)),
    ]


def test_wished_fields_that_the_entity_lacks_are_left_out() -> None:
    assert field_groups(AVAILABLE, "hourly", ["Wh_e_sum", "A_avg", "W_avg"]) == [FieldGroup(("W_avg",))]


@given(st.lists(fields, unique_by=lambda field: field.short_name), st.none() | st.lists(names))
def test_each_field_to_ask_is_in_one_group_and_each_group_has_its_own_parameters(
    available: list[AvailableField], wanted: list[str] | None
) -> None:
    groups = field_groups(available, "hourly", wanted)
    asked = [name for group in groups for name in group.fields]
    here = [field for field in available if "hourly" in field.granularities]
    meant = {
        f.short_name for f in here if (f.source == "Measured" if wanted is None else f.short_name in wanted)
    }
    assert len(asked) == len(set(asked))
    assert set(asked) == meant
    assert len({group.parameters for group in groups}) == len(groups)
    by_name = {field.short_name: field for field in available}
    for group in groups:
        for name in group.fields:
            values = {param: values[0] for param, values in by_name[name].field_parameters if values}
            assert dict(group.parameters) == values


@given(st.lists(fields, unique_by=lambda field: field.short_name), st.randoms())
def test_the_order_of_the_answer_does_not_change_the_groups(
    available: list[AvailableField], random: object
) -> None:
    shuffled = list(available)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    wanted = [field.short_name for field in available]
    assert field_groups(shuffled, "hourly", wanted) == field_groups(available, "hourly", wanted)


def test_a_row_of_the_table_is_read_with_its_parameters_in_their_order() -> None:
    listed = [{"param": "modelType", "values": ["singleDiode", "simple"]}]
    row = {
        "short_name": "W_m_avg",
        "source": "Modeled",
        "granularities": ["hourly"],
        "field_parameters": json.dumps(listed),
    }
    expected = AvailableField("W_m_avg", "Modeled", ("hourly",), (("modelType", ("singleDiode", "simple")),))
    assert AvailableField.from_row(row) == expected


@pytest.mark.parametrize("name", ["fields", "start", "end", "tz", "gran"])
def test_a_parameter_by_the_name_of_one_of_the_request_s_own_is_left_out(name: str) -> None:
    """The request could not be made, and the whole batch with it."""
    listed = [{"param": name, "values": ["UTC"]}, {"param": "modelType", "values": ["simple"]}]
    row = {"short_name": "W_m_avg", "granularities": ["hourly"], "field_parameters": json.dumps(listed)}
    assert AvailableField.from_row(row).field_parameters == (("modelType", ("simple",)),)


@pytest.mark.parametrize("text", [None, "", "[]", "null"])
def test_absent_parameters_are_no_parameters(text: str | None) -> None:
    row = {"short_name": "W_avg", "source": None, "granularities": None, "field_parameters": text}
    assert AvailableField.from_row(row) == AvailableField("W_avg", "", ())


@given(st.lists(names, min_size=2, unique=True))
def test_halving_again_and_again_ends_with_every_field_alone(several: list[str]) -> None:
    left, right = halve(FieldGroup(tuple(several), FIRST_VALUES))
    assert left.fields + right.fields == tuple(several)
    assert abs(len(left.fields) - len(right.fields)) <= 1
    assert left.parameters == right.parameters == FIRST_VALUES


def test_a_single_field_cannot_be_halved() -> None:
    with pytest.raises(ValueError, match="W_avg"):
        halve(FieldGroup(("W_avg",)))


def test_a_field_that_one_entity_has_is_accepted() -> None:
    check_wanted(AVAILABLE, "hourly", ["Wh_sum", "PI_m_avg"])
    check_wanted(AVAILABLE, "hourly", None)


@pytest.mark.parametrize(
    ("wanted", "gran", "parts"),
    [
        (["Wh_sum", "W_avgg"], "hourly", ["W_avgg", "did you mean W_avg", "available: PI_m_avg"]),
        (["Wh_e_sum"], "hourly", ["Wh_e_sum", "only available at daily"]),
        (["Wh_sum"], "1min", ["Wh_sum", "only available at 15min, daily, hourly"]),
        (["zzz"], "1min", ["zzz", "available: nothing"]),
        (None, "1min", ["no chosen entity has a Measured field at 1min", "available: nothing"]),
    ],
)
def test_a_field_that_no_entity_has_is_refused_with_what_there_is(
    wanted: list[str] | None, gran: str, parts: list[str]
) -> None:
    with pytest.raises(ParamError) as caught:
        check_wanted(AVAILABLE, gran, wanted)
    assert caught.value.param == "fields"
    assert all(part in str(caught.value) for part in parts)


def test_a_long_list_of_fields_is_cut_in_the_message() -> None:
    many = [AvailableField(f"F{number:03}_avg", "Measured", ("hourly",)) for number in range(300)]
    with pytest.raises(ParamError, match="and 280 more"):
        check_wanted(many, "hourly", ["nothing_like_it"])
