"""Each sensor turns true exactly when the sandbox's clock passes the moment, from a worker and from a trigger."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from locus_stem.sandbox.alerts import alerts_of
from locus_stem.sensors.locus import LocusAlertSensor, LocusDataAvailableSensor, LocusDataSensor
from locus_stem.sensors.stem import StemStreamAvailableSensor, StemStreamSensor
from locus_stem.xcom import json_bytes

SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)
NOON = datetime(2025, 9, 17, 12, tzinfo=UTC)


class Clock(datetime):
    """Our own clock, which the test sets with the server's."""

    at = NOON

    @classmethod
    def now(cls, _):
        return cls.at


@pytest.fixture(params=["worker", "trigger"])
def looks(request, serve, context, monkeypatch):
    """Take one look at an instant: the sensor's value, or None where it isn't there yet."""
    for module in ("locus_stem.sensors.wait", "locus_stem.triggers.wait"):
        monkeypatch.setattr(f"{module}.datetime", Clock)
    for vendor in ("Locus", "Stem"):
        for mode, module in (("", "sensors"), ("Async", "triggers")):
            client = f"locus_stem.{module}.wait.{mode}{vendor}Client"
            original = __import__("locus_stem.api.client", fromlist=["x"]).__dict__[f"{mode}{vendor}Client"]
            monkeypatch.setattr(
                client, lambda *args, of=original, **options: of(*args, now=lambda: Clock.at, **options)
            )

    def look(server, sensor, at, servers=None):
        Clock.at = at
        server.fleet.set_now(servers or at)
        context["dag_run"].run_after = at
        if request.param == "worker":
            returned = sensor.poke(context)
            sensor._close()
            return returned.xcom_value if returned else None
        return looked_by_trigger(sensor, context)

    return look


def looked_by_trigger(sensor, context):
    class Paused(Exception):  # noqa: N818
        pass

    trigger = sensor.trigger(
        conn_id=sensor.conn_id or sensor.default_conn_id,
        poke_interval=sensor.poke_interval,
        errors_for=sensor.errors_for.total_seconds(),
        max_xcom_bytes=sensor.max_xcom_bytes,
        **sensor.wait(context).settings(),
    )

    async def fired():
        with mock.patch("locus_stem.triggers.wait.asyncio.sleep", side_effect=Paused):
            async for event in trigger.run():
                return event.payload
        return None

    try:
        payload = asyncio.run(fired())
    except Paused:
        return None
    assert payload["status"] == "success", payload
    return payload["value"]


def alert_after_noon(fleet):
    """An alert that opens and closes after NOON, and the instants at which the API shows both."""
    for component in fleet.all_components():
        for alert in alerts_of(component, NOON + 40 * DAY, fleet.seed):
            if alert.end is not None and alert.start > NOON + DAY and alert.end - alert.start > 2 * HOUR:
                at = alert.start + 32 * MINUTE
                (shown,) = [one for one in alerts_of(component, at, fleet.seed) if one.id == alert.id]
                return alert, shown.updated, alert.updated
    raise AssertionError("no alert")


@pytest.mark.parametrize("entity", ["partner", "site", "component"])
@pytest.mark.parametrize("state", ["opened", "closed"])
def test_an_alert_is_found_from_the_second_on_that_the_api_shows_it(serve, looks, entity, state):
    server = serve(NOON)
    alert, shown, closed = alert_after_noon(server.fleet)
    moment = shown if state == "opened" else closed
    ids = {"site": {"site_id": alert.component.site.id}, "component": {"component_id": alert.component.id}}
    sensor = LocusAlertSensor(
        task_id="wait",
        state=state,
        since=moment - 10 * SECOND,
        alert_type=[alert.alert_type],
        **ids.get(entity, {}),
    )
    assert looks(server, sensor, moment - SECOND) is None
    found = looks(server, sensor, moment)
    assert [one["id"] for one in found] == [alert.id]
    assert ("end" in found[0]) == (state == "closed")


@pytest.mark.parametrize("behind", [timedelta(), 30 * MINUTE, -30 * MINUTE])
def test_alerts_are_found_where_the_servers_clock_differs_and_older_ones_are_not(serve, looks, behind):
    server = serve(NOON)
    alert, shown, _ = alert_after_noon(server.fleet)

    def sensor(since):
        return LocusAlertSensor(task_id="wait", component_id=alert.component.id, since=since)

    def looked(made, at):
        return looks(server, made, at, servers=at - behind)

    ours = shown + behind  # what our clock shows when theirs shows `shown`
    assert looked(sensor(ours - 2 * MINUTE), ours + SECOND)
    assert looked(sensor(ours + 2 * MINUTE), ours + 3 * MINUTE) is None


@pytest.mark.parametrize("days", [6, 8, 40])
def test_a_partners_alert_is_found_however_long_the_sensor_has_waited(serve, looks, days):
    server = serve(NOON)
    _, shown, _ = alert_after_noon(server.fleet)
    since = shown - days * DAY
    sensor = LocusAlertSensor(task_id="wait", alert_type="Device Fault,System Disconnect", since=since)
    found = looks(server, sensor, shown + days % 7 * MINUTE)
    truth = [
        one["id"]
        for one in server.fleet.truth_alerts()
        if one["start"] >= since - HOUR
        and one["updated"] >= since
        and one["alertType"] in {"Device Fault", "System Disconnect"}
    ]
    assert found is not None
    assert {one["id"] for one in found} <= set(truth)
    asked = [served for served in server.log if "/alerts" in served.path]
    assert {served.status for served in asked} == {200}
    assert len(asked) <= (1 if days < 31 else 2)


def test_no_more_alerts_are_given_on_than_fit(serve, looks):
    server = serve(NOON)

    def sensor(**given):
        return LocusAlertSensor(task_id="wait", since=NOON - 40 * DAY, **given)

    found = looks(server, sensor(), NOON)
    assert len(found) > 2
    assert looks(server, sensor(max_xcom_bytes=json_bytes(found[:2])), NOON) == found[:2]


def test_what_is_too_large_to_be_given_on_fails_the_task(serve, looks):
    server = serve(NOON)
    site = server.fleet.site_ids[0]
    sensor = LocusDataAvailableSensor(task_id="wait", site_id=site, fields="Wh_sum", max_xcom_bytes=5)
    with pytest.raises(
        (AirflowFailException, AssertionError), match=r"takes \d+ bytes of JSON, max_xcom_bytes is 5"
    ):
        looks(server, sensor, NOON)


def test_a_priority_that_is_filtered_by_leaves_the_others_out(serve, looks):
    server = serve(NOON)
    alert, shown, _ = alert_after_noon(server.fleet)
    other = {"High": "low", "Medium": "high", "Low": "high"}[alert.priority]

    def sensor(priority):
        return LocusAlertSensor(
            task_id="wait", component_id=alert.component.id, since=shown - SECOND, priority=[priority]
        )

    assert looks(server, sensor(other), shown) is None
    assert [one["id"] for one in looks(server, sensor(alert.priority.lower()), shown)] == [alert.id]


def values_at(server, level, granularity, fields, start, length):
    """The truth's first interval from an instant on in which each field has a value, as the instant of its end."""
    read = {"site": server.fleet.truth_site_data, "component": server.fleet.truth_component_data}[level]
    entity = {
        "site": server.fleet.site_ids[0],
        "component": server.fleet.components(server.fleet.site_ids[0])[1].id,
    }
    rows = read(entity[level], granularity, start, start + 3 * DAY, fields)
    return entity[level], next(
        row["ts"] + length for row in rows if all(row[name] is not None for name in fields)
    )


def field_of(server, level, entity_id, granularity):
    listed = server.fleet.data_available(level, entity_id)
    return next(
        one["aggregations"][0]["shortName"]
        for one in listed
        if one["source"] == "Measured" and granularity in one["granularities"]
    )


@pytest.mark.parametrize("level", ["site", "component"])
@pytest.mark.parametrize(("granularity", "length"), [("15min", 15 * MINUTE), ("hourly", HOUR)])
def test_measurements_reach_an_instant_when_the_interval_that_holds_it_is_over(
    serve, looks, level, granularity, length
):
    server = serve(NOON + 9 * DAY)
    site_id = server.fleet.site_ids[0]
    entity = site_id if level == "site" else server.fleet.components(site_id)[1].id
    field = field_of(server, level, entity, granularity)
    _, end = values_at(server, level, granularity, [field], NOON, length)
    for until in (end, end - length + SECOND):
        sensor = LocusDataSensor(
            task_id="wait", **{f"{level}_id": entity}, fields=[field], until=until, granularity=granularity
        )
        assert looks(server, sensor, end - SECOND) is None
        found = looks(server, sensor, end)
        assert datetime.fromisoformat(found[field]["ts"]) == end - length
    server.reset()
    assert looks(server, sensor, end - SECOND) is None
    assert server.log == []  # nothing is asked before the interval is over


def test_days_are_the_sites_own(serve, looks):
    server = serve(NOON + 9 * DAY)
    for site_id in server.fleet.site_ids:
        field = field_of(server, "site", site_id, "daily")
        (row, *_) = server.fleet.truth_site_data(site_id, "daily", NOON, NOON + 2 * DAY, [field])
        after = server.fleet.truth_site_data(site_id, "daily", row["ts"] + HOUR, row["ts"] + 2 * DAY, [field])
        end = after[0]["ts"]
        if row[field] is None or end - row["ts"] != DAY:
            continue
        sensor = LocusDataSensor(
            task_id="wait", site_id=site_id, fields=field, until=row["ts"] + 5 * HOUR, granularity="daily"
        )
        assert looks(server, sensor, end - SECOND) is None
        found = looks(server, sensor, end)
        assert datetime.fromisoformat(found[field]["ts"]) == row["ts"]
        return
    raise AssertionError("no day with a value")


def test_a_null_is_no_value_and_a_later_one_is(serve, looks):
    server = serve(NOON + 9 * DAY)
    site_id = server.fleet.site_ids[0]
    field = field_of(server, "site", site_id, "15min")
    _, end = values_at(server, "site", "15min", [field], NOON, 15 * MINUTE)
    server.fleet.revise("site", site_id, end - 15 * MINUTE, end, withdraw=True)
    sensor = LocusDataSensor(task_id="wait", site_id=site_id, fields=field, until=end, granularity="15min")
    assert looks(server, sensor, end + MINUTE) is None
    _, later = values_at(server, "site", "15min", [field], end, 15 * MINUTE)
    assert looks(server, sensor, later - SECOND) is None
    assert datetime.fromisoformat(looks(server, sensor, later)[field]["ts"]) == later - 15 * MINUTE


def test_a_components_latest_point_begins_at_the_instant_or_later(serve, looks):
    server = serve(NOON + 9 * DAY)
    component, field, end = next(
        (component, field, row["ts"] + 15 * MINUTE)
        for component in server.fleet.all_components()
        for base in server.fleet.data_available("component", component.id)
        if "latest" in base["granularities"] and base["source"] == "Measured"
        for field in [base["aggregations"][0]["shortName"]]
        for row in server.fleet.truth_component_data(component.id, "15min", NOON, NOON + DAY, [field])
        if row[field] is not None
    )
    until = end - 10 * MINUTE  # within a quarter of an hour that has values
    sensor = LocusDataSensor(task_id="wait", component_id=component.id, fields=[field], until=until)
    assert looks(server, sensor, until + MINUTE - SECOND) is None
    assert datetime.fromisoformat(looks(server, sensor, until + MINUTE)[field]["ts"]) == until
    paths = {served.query.partition("gran=")[2] for served in server.log if served.path.endswith("/data")}
    assert paths == {"latest"}


@pytest.mark.parametrize("resolution", [900, 1800, 3600])
@pytest.mark.parametrize(("shift", "shown_late"), [("example", 0.0), ("none", 0.0), ("literal", 0.5)])
def test_a_stream_reaches_an_instant_when_its_interval_is_shown(serve, looks, resolution, shift, shown_late):
    server = serve(NOON, stem_shift=shift)
    step = timedelta(seconds=resolution)
    site_id = server.fleet.stem.site_ids[0]
    rows = server.fleet.truth_stem_streams(site_id, "MONITOR", resolution, NOON - 5 * DAY, NOON)
    end = next(row["end_datetime"] for row in rows if row["kw_total_avg"] is not None)
    sensor = StemStreamSensor(
        task_id="wait", site_id=site_id, until=end - step + SECOND, resolution=str(resolution)
    )
    shown = end + step * shown_late
    assert looks(server, sensor, shown - SECOND) is None
    found = looks(server, sensor, shown)
    assert datetime.fromisoformat(found["end_datetime"]) == end
    server.reset()
    assert looks(server, sensor, end - SECOND) is None
    assert server.log == []


def test_a_stream_that_a_site_lacks_is_waited_for(serve, looks):
    server = serve(NOON)
    site = next(
        site
        for site in map(server.fleet.stem.site, server.fleet.stem.site_ids)
        if "INTERVAL_REVENUE" not in site.starts
    )
    sensor = StemStreamSensor(
        task_id="wait", site_id=site.id, stream_type="INTERVAL_REVENUE", until=NOON - DAY
    )
    assert looks(server, sensor, NOON) is None
    assert [served.status for served in server.log] == [400]


@pytest.mark.parametrize("entity", ["partner", "site", "component"])
def test_fields_become_available(serve, looks, entity, monkeypatch):
    server = serve(NOON)
    site_id = server.fleet.site_ids[0]
    component_id = server.fleet.components(site_id)[1].id
    ids = {"partner": {}, "site": {"site_id": site_id}, "component": {"component_id": component_id}}
    there = {"partner": "Wh_sum"}
    for level, entity_id in (("site", site_id), ("component", component_id)):
        there[level] = field_of(server, level, entity_id, "daily")

    def sensor(**given):
        return LocusDataAvailableSensor(task_id="wait", **ids[entity], **given)

    assert looks(server, sensor(fields=[there[entity], "Nope_sum"]), NOON) is None
    coarse = "monthly" if entity == "partner" else "daily"
    found = looks(server, sensor(fields=[there[entity]], granularity=coarse), NOON)
    assert coarse in found[there[entity]]
    if entity == "partner":
        assert looks(server, sensor(fields=[there[entity]], granularity="hourly"), NOON) is None
        return
    whole = server.fleet.data_available
    monkeypatch.setattr(
        server.fleet, "data_available", lambda *of: whole(*of) if server.fleet.now() > NOON else []
    )
    assert looks(server, sensor(fields=there[entity]), NOON) is None
    assert set(looks(server, sensor(fields=there[entity]), NOON + SECOND)) == {there[entity]}


@pytest.mark.parametrize("by_list", [False, True])
def test_a_stream_is_available_from_its_start_on(serve, looks, by_list):
    server = serve(NOON)
    site = max(map(server.fleet.stem.site, server.fleet.stem.site_ids), key=lambda one: one.starts["MONITOR"])
    start = site.starts["MONITOR"]
    client = {"client_id": site.client_id} if by_list else {}
    sensor = StemStreamAvailableSensor(task_id="wait", site_id=site.id, **client)
    assert looks(server, sensor, start - SECOND) is None
    assert looks(server, sensor, start) == {"stream_type": "MONITOR", "start": start.isoformat()}
    early = StemStreamAvailableSensor(task_id="early", site_id=site.id, started_by=start - SECOND, **client)
    assert looks(server, early, start + DAY) is None


def test_without_start_times_in_the_sites_answer_the_sensor_says_what_to_give(serve, context, monkeypatch):
    from airflow.providers.common.compat.sdk import AirflowFailException

    server = serve()
    whole = server.fleet.stem.site_object
    monkeypatch.setattr(
        server.fleet.stem,
        "site_object",
        lambda *of: {key: value for key, value in whole(*of).items() if key != "stream_start_times"},
    )
    sensor = StemStreamAvailableSensor(task_id="wait", site_id=server.fleet.stem.site_ids[0])
    with pytest.raises(AirflowFailException, match="give client_id"):
        sensor.poke(context)
