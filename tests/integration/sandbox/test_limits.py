"""The limits of the Locus reference, at their exact edges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

START = datetime(2024, 3, 1, tzinfo=UTC)
FIELDS = {
    "1min": "W_avg",
    "5min": "W_avg",
    "15min": "W_avg",
    "hourly": "W_avg",
    "daily": "W_avg",
    "monthly": "W_avg",
    "yearly": "W_avg",
}


def asked(plant, granularity, length, *, start=START, zone="UTC"):
    return plant.component_data(
        start=f"{start:%Y-%m-%dT%H:%M:%S}",
        end=f"{start + length:%Y-%m-%dT%H:%M:%S}",
        tz=zone,
        gran=granularity,
        fields=FIELDS[granularity],
    ).status_code


@pytest.mark.parametrize(
    ("granularity", "days"), [("1min", 5), ("5min", 31), ("15min", 31), ("hourly", 31), ("daily", 365)]
)
def test_a_period_must_be_shorter_than_the_limit(plant, granularity, days):
    limit = timedelta(days=days)
    assert asked(plant, granularity, limit - timedelta(seconds=1)) == 200
    assert asked(plant, granularity, limit) == 400
    assert asked(plant, granularity, limit + timedelta(seconds=1)) == 400


@pytest.mark.parametrize("granularity", ["monthly", "yearly"])
def test_months_and_years_have_no_limit(plant, granularity):
    assert asked(plant, granularity, timedelta(days=365 * 60), start=datetime(2000, 1, 1, tzinfo=UTC)) == 200


def test_a_month_with_25_hours_in_one_day_is_too_long(plant):
    october = datetime(2024, 10, 1, tzinfo=UTC)
    almost = timedelta(days=31, seconds=-1)
    assert asked(plant, "hourly", almost, start=october, zone="UTC") == 200
    assert asked(plant, "hourly", almost, start=october, zone="Europe/Berlin") == 400
    assert asked(plant, "hourly", almost - timedelta(hours=1), start=october, zone="Europe/Berlin") == 200


def bulk(plant, start, end, **change):
    query = {"start": start, "end": end, "tz": "UTC", "gran": "monthly", "fields": "Wh_sum"} | change
    return plant.get("/v3/partners/1/sites/data", **query).status_code


def test_bulk_data_is_monthly_and_at_most_a_year(plant):
    assert bulk(plant, "2024-01-01T00:00:00", "2025-01-01T00:00:00") == 200
    assert bulk(plant, "2024-01-01T00:00:00", "2025-01-01T00:00:01") == 400
    assert bulk(plant, "2024-02-29T00:00:00", "2025-03-01T00:00:00") == 200
    assert bulk(plant, "2024-01-01T00:00:00", "2024-02-01T00:00:00", gran="daily") == 400
    assert bulk(plant, "2024-01-01T00:00:00", "2024-02-01T00:00:00", fields="W_avg") == 400
    assert bulk(plant, "2024-02-01T00:00:00", "2024-01-01T00:00:00") == 400
    assert bulk(plant, "2024-01-01T00:00:00", "2024-02-01T00:00:00", modelType="simple") == 400


def alerts(plant, place="partners/1", **query):
    return plant.get(f"/v3/{place}/alerts", tz="UTC", **query).status_code


def test_updated_since_of_a_partner_reaches_back_seven_days(plant):
    limit = (plant.fleet.now() - timedelta(days=7)).replace(tzinfo=None)
    assert alerts(plant, updatedSince=limit.isoformat()) == 200
    assert alerts(plant, updatedSince=(limit - timedelta(seconds=1)).isoformat()) == 400
    assert alerts(plant, "sites/3000001", updatedSince="2021-01-01T00:00:00") == 200


def test_open_during_of_a_partner_is_at_most_31_days(plant):
    first = "2025-01-01T00:00:00"
    assert alerts(plant, openDuringMin=first, openDuringMax="2025-02-01T00:00:00") == 200
    assert alerts(plant, openDuringMin=first, openDuringMax="2025-02-01T00:00:01") == 400
    assert alerts(plant, "sites/3000001", openDuringMin=first, openDuringMax="2026-02-01T00:00:01") == 200


def test_a_partner_needs_updated_since_or_both_open_during(plant):
    assert alerts(plant) == 400
    assert alerts(plant, openDuringMin="2025-01-01T00:00:00") == 400
    assert alerts(plant, openDuringMax="2025-01-01T00:00:00") == 400
    assert alerts(plant, openDuringMin="2025-01-02T00:00:00", openDuringMax="2025-01-01T00:00:00") == 400
    assert alerts(plant, "sites/3000001") == 200


@pytest.mark.parametrize(
    "change", [{"alertType": "Performance Yield"}, {"status": "gone"}, {"priority": "urgent"}, {"limit": "5"}]
)
def test_alert_filters_take_only_the_listed_values(plant, change):
    assert alerts(plant, "sites/3000001", **change) == 400
