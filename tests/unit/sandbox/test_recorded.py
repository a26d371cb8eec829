from __future__ import annotations

import pytest

from locus_stem.sandbox.recorded import SLOTS_A_DAY, Channel, RecordedDay, channel, hourly_load


@pytest.mark.parametrize("name", ["power", "irradiance", "temperature", "wind"])
def test_every_recorded_channel_has_the_same_109_days_of_96_slots(name):
    assert [len(day.values) for day in channel(name).days] == [SLOTS_A_DAY] * 109


def test_power_peaks_at_one_and_nights_draw_a_little():
    values = [value * channel("power").quantum for day in channel("power").days for value in day.values]
    assert max(values) == pytest.approx(1.0)
    assert -0.01 < min(values) < 0


def test_the_sun_shines_at_noon_and_not_at_midnight():
    noons = sum(day.values[48] for day in channel("irradiance").days)
    midnights = sum(day.values[0] for day in channel("irradiance").days)
    assert noons > 100 * max(1, midnights)


@pytest.mark.parametrize("name", ["load1", "load2", "load5", "load8"])
def test_a_building_load_is_a_year_of_hours_above_zero(name):
    quantum, hours = hourly_load(name)
    assert len(hours) == 8760
    assert min(hours) * quantum > 0


def test_a_minute_never_leaves_the_range_of_its_neighbours():
    day = channel("power").days[0]
    for slot in range(1, SLOTS_A_DAY - 1):
        around = day.values[slot - 1 : slot + 2]
        for minute in (0, 14):
            value = 15 * day.values[slot] + day.slopes[slot] * (minute - 7)
            assert 15 * min(around) <= value <= 15 * max(around)


def test_sums_before_a_slot_count_whole_cycles_and_days_before_the_first():
    values = list(range(2 * SLOTS_A_DAY))
    small = Channel.of("small", 1.0, values)
    whole = sum(values)
    assert small.before(0, 5) == 0 + 1 + 2 + 3 + 4
    assert small.before(2, 3) == whole + 0 + 1 + 2
    assert small.before(-2, 0) == -whole
    assert small.before(1, 0) - small.before(0, 0) == sum(range(SLOTS_A_DAY))


def test_a_scaled_day_multiplies_each_slot_by_its_own_factor():
    day = RecordedDay.of([100, 200, 300]).scaled([1000, 500, 1100])
    assert list(day.values) == [100, 100, 330]
    assert list(day.cumulated) == [0, 100, 200, 530]
