from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from locus_stem.sandbox.alerts import alerts_of
from locus_stem.sandbox.fleet import Fleet

NOW = datetime(2025, 3, 1, 12, 7, tzinfo=UTC)


def states(fleet, moment):
    fleet.set_now(moment)
    return {alert["id"]: alert for alert in fleet.truth_alerts()}


@pytest.fixture
def fleet():
    return Fleet(now=NOW)


def test_ids_are_unique_and_belong_to_components_that_measure(fleet):
    alerts = fleet.truth_alerts()
    assert len({alert["id"] for alert in alerts}) == len(alerts) > 500
    conceptual = {c.id for c in fleet.all_components() if c.node_type == "TRANSFORMER"}
    assert not conceptual & {alert["componentId"] for alert in alerts}


def test_a_state_changes_only_together_with_updated_and_updated_never_runs_ahead():
    fleet = Fleet(sites=80)
    seen, closed, raised, vanished = {}, 0, 0, 0
    for step in range(18):
        moment = NOW + timedelta(hours=8 * step)
        now_there = states(fleet, moment)
        for number, alert in now_there.items():
            assert alert["start"] < alert["updated"] <= moment
            assert alert.get("end", moment) <= moment
            old = seen.get(number)
            if old is not None and old != alert:
                assert alert["updated"] > old["updated"]
                closed += "end" in alert and "end" not in old
                raised += alert["priority"] != old["priority"]
        gone = seen.keys() - now_there.keys()
        assert all("end" not in seen[number] for number in gone)
        vanished += len(gone)
        seen = now_there
    assert closed
    assert raised
    assert vanished


def test_both_the_prose_types_and_the_listed_types_occur(fleet):
    types = {alert["alertType"] for alert in fleet.truth_alerts()}
    assert types == {
        "Device Fault",
        "System Disconnect",
        "Zero Generation",
        "Performance Index",
        "Strings Performance",
        "Performance Yield",
    }


def test_only_device_faults_are_described_and_not_all_at_length(fleet):
    alerts = fleet.truth_alerts()
    assert {alert["alertType"] for alert in alerts if "descriptionShort" in alert} == {"Device Fault"}
    faults = [alert for alert in alerts if alert["alertType"] == "Device Fault"]
    assert 0 < sum("descriptionLong" in alert for alert in faults) < len(faults)


def test_no_alert_is_older_than_its_site(fleet):
    for alert in fleet.truth_alerts():
        assert alert["start"].date() >= fleet.site(alert["siteId"]).installed - timedelta(days=17)


def test_what_is_left_out_since_an_instant_ended_and_was_last_updated_before_it():
    fleet, days = Fleet(sites=20, now=NOW), [1, 5, 9, 13, 40, 151]
    for component in fleet.all_components():
        every = list(alerts_of(component, NOW, fleet.seed))
        for since in (NOW - timedelta(days=number) for number in days):
            found = list(alerts_of(component, NOW, fleet.seed, since=since))
            left_out = [alert for alert in every if alert not in found]
            assert all(alert.end and alert.end < since and alert.updated < since for alert in left_out)
