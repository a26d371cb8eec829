from __future__ import annotations

import pytest

from locus_stem.api.errors import PermissionDeniedError
from locus_stem.pipelines.component_data import Asked, data_of_components
from locus_stem.planning.params import ParamError

ASKED = Asked("hourly", "2025-10-26T00:00:00", "2025-10-26T23:59:59", "Europe/Berlin", ("Wh_sum", "Wh_m_sum"))
ENERGY = {
    "source": "Measured",
    "granularities": ["hourly"],
    "aggregations": [{"shortName": "Wh_sum"}],
}
MODELED = {
    "source": "Modeled",
    "granularities": ["hourly"],
    "aggregations": [{"shortName": "Wh_m_sum"}],
    "fieldParameters": [{"param": "modelType", "values": ["a", "b"]}],
}
BARE = {"source": "Measured", "granularities": ["hourly"]}


class Api:
    """Answers with the rows of each field; components below 10 are refused."""

    def __init__(self, *available, rows):
        self.available, self.rows, self.calls = available, rows, []

    def get_component_dataavailable(self, component_id):
        if component_id < 10:
            raise PermissionDeniedError("no", path=f"/{component_id}", status=403)
        return self.available

    def call(self, call):
        self.calls.append(call)
        component_id = call.arguments["component_id"]
        if component_id > 90:
            raise PermissionDeniedError("no", path=f"/{component_id}", status=403)
        return [
            {"id": component_id, "ts": ts, **dict.fromkeys(call.arguments["fields"], 1.0)}
            for ts in self.rows[call.arguments["fields"]]
        ]


def test_fields_that_need_parameters_are_asked_apart_and_put_into_the_same_rows_in_time_order():
    repeated = ["2025-10-26T02:00:00+02:00", "2025-10-26T02:00:00+01:00"]
    first, last = "2025-10-26T01:00:00+02:00", "2025-10-26T03:00:00+01:00"
    api = Api(ENERGY, BARE, MODELED, rows={("Wh_sum",): [*repeated, last], ("Wh_m_sum",): [first, *repeated]})
    rows = data_of_components(api, [10], ASKED)
    assert [call.arguments.get("field_parameters") for call in api.calls] == [None, (("modelType", "a"),)]
    assert [row["ts"] for row in rows] == [first, *repeated, last]
    assert [sorted(row.keys() - {"id", "ts"}) for row in rows] == [
        ["Wh_m_sum"],
        ["Wh_m_sum", "Wh_sum"],
        ["Wh_m_sum", "Wh_sum"],
        ["Wh_sum"],
    ]


def test_refused_components_are_left_out_unless_all_are(caplog):
    api = Api(ENERGY, rows={("Wh_sum",): ["2025-10-26T01:00:00+02:00"]})
    wanted = Asked("hourly", ASKED.start, ASKED.end, ASKED.tz, None)
    assert [row["id"] for row in data_of_components(api, [1, 10, 99], wanted)] == [10]
    assert "Component 1 is left out" in caplog.text
    assert "Component 99 is left out" in caplog.text
    with pytest.raises(PermissionDeniedError):
        data_of_components(api, [1, 99], wanted)


def test_no_component_is_no_row_and_a_field_that_none_has_is_refused():
    api = Api(ENERGY, rows={})
    assert data_of_components(api, [], ASKED) == []
    with pytest.raises(ParamError, match="Wh_m_sum"):
        data_of_components(api, [10], ASKED)
