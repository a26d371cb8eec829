"""What each kind of entity measures: the base fields of dataavailable and where their values come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from locus_stem.sandbox.recorded import channel

if TYPE_CHECKING:
    from locus_stem.sandbox.series import Span

COARSE = ("hourly", "daily", "monthly", "yearly")
FROM_15MIN = ("15min", *COARSE)
FROM_5MIN = ("5min", *FROM_15MIN)
FROM_1MIN = ("1min", *FROM_5MIN)
WITH_LATEST = ("latest", *FROM_1MIN)
MODEL_PARAMETERS = (
    ("modelType", ("simple",)),
    ("irradianceSource", ("weatherStation",)),
    ("inverterClipping", ("true", "false")),
)
CLIPPED = 0.985


@dataclass(frozen=True, slots=True)
class BaseField:
    """A base field object and its source: value = offset + scale x the channel's value.

    ``scale`` is in units of the field for one unit of the channel, and for one rated watt where ``per_watt``.
    ``listed`` is False where dataavailable names neither aggregations nor short names.
    """

    name: str
    long_name: str
    source: str
    unit: str
    aggregations: tuple[str, ...]
    granularities: tuple[str, ...]
    channel: str
    scale: float = 1.0
    offset: float = 0.0
    per_watt: bool = False
    parameters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    listed: bool = True

    @property
    def short_names(self) -> dict[str, str]:
        """Aggregation by short name."""
        return {f"{self.name}_{aggregation}": aggregation for aggregation in self.aggregations if self.listed}

    def to_object(self) -> dict[str, Any]:
        """Return the base field object of dataavailable."""
        found: dict[str, Any] = {
            "baseField": self.name,
            "longName": self.long_name,
            "source": self.source,
            "unit": self.unit,
        }
        if self.listed:
            found["aggregations"] = [
                {"shortName": short, "aggregation": aggregation}
                for short, aggregation in self.short_names.items()
            ]
        if self.parameters:
            found["fieldParameters"] = [
                {"param": param, "values": list(values)} for param, values in self.parameters
            ]
        found["granularities"] = list(self.granularities)
        return found

    def factors(self, rated_watts: float, parameters: dict[str, str]) -> tuple[float, float]:
        """Scale (units of the field for one quantum) and offset, for an entity and its field parameters."""
        scale = self.scale * channel(self.channel).quantum
        if self.per_watt:
            scale *= rated_watts
        if parameters.get("inverterClipping") == "true" and self.parameters:
            scale *= CLIPPED
        return scale, self.offset


def value_of(span: Span | None, aggregation: str, scale: float, offset: float) -> float | None:
    """Return a field's value for a span, to a thousandth; a sum is of unit-hours."""
    if span is None:
        return None
    if aggregation == "avg":
        return round(offset + scale * (span.total / (15 * span.minutes)), 3)
    if aggregation == "sum":
        return round(offset + scale * (span.total / 900), 3)
    return round(offset + scale * ((span.highest if aggregation == "max" else span.lowest) / 15), 3)


_AVG_MAX_MIN = ("avg", "max", "min")
_POWER = BaseField("W", "AC Power", "Measured", "W", ("avg", "max"), FROM_5MIN, "power", per_watt=True)
_ENERGY = BaseField("Wh", "AC Energy", "Measured", "Wh", ("sum",), FROM_1MIN, "power", per_watt=True)
_MODELED = BaseField(
    "W_m",
    "AC Power",
    "Modeled",
    "W",
    ("avg",),
    FROM_1MIN,
    "irradiance",
    0.00092,
    per_watt=True,
    parameters=MODEL_PARAMETERS,
)
_MODELED_ENERGY = replace(_MODELED, name="Wh_m", long_name="AC Energy", unit="Wh", aggregations=("sum",))
_INDEX = BaseField(
    "PI_m",
    "Performance Index",
    "Modeled",
    "",
    ("avg",),
    FROM_1MIN,
    "power",
    0.05,
    0.93,
    parameters=MODEL_PARAMETERS,
    listed=False,
)
GHI = BaseField(
    "GHI_m", "VI - Irradiance Global Horizontal", "Modeled", "W/m²", _AVG_MAX_MIN, COARSE, "irradiance"
)
GHI_SUM = BaseField(
    "GHIh_m", "VI - Insolation Global Horizontal", "Modeled", "Wh/m²", ("sum",), COARSE, "irradiance"
)
EXPECTED = BaseField(
    "Wh_e",
    "AC Energy",
    "Expected",
    "Wh",
    ("sum",),
    ("daily", "monthly", "yearly"),
    "expected",
    1.05,
    per_watt=True,
)
SITE = (GHI, GHI_SUM, _POWER, _MODELED, _ENERGY, EXPECTED, _MODELED_ENERGY)


def _electric(
    name: str, long_name: str, unit: str, scale: float, offset: float = 0.0, *, watts: bool
) -> BaseField:
    return BaseField(
        name, long_name, "Measured", unit, _AVG_MAX_MIN, WITH_LATEST, "power", scale, offset, per_watt=watts
    )


METER = (
    _electric("A", "AC Current", "A", 1 / 831, watts=True),
    BaseField("Hz", "AC Frequency", "Measured", "Hz", _AVG_MAX_MIN, WITH_LATEST, "wind", 0.01, 59.95),
    _electric("PF", "AC Power Factor", "", 0.04, 0.95, watts=False),
    _INDEX,
    _electric("PPV", "AC Voltage L-L", "V", 6.1, 480.0, watts=False),
    _electric("PhV", "AC Voltage L-N", "V", 3.5, 277.0, watts=False),
    _electric("VA", "AC Apparent Power", "VA", 1.02, watts=True),
    _electric("VAR", "AC Reactive Power", "VAR", 0.08, watts=True),
    _electric("W", "AC Power", "W", 1.0, watts=True),
    replace(_MODELED, listed=False),
    replace(_ENERGY, granularities=WITH_LATEST),
    replace(_MODELED_ENERGY, listed=False),
    _electric("WphA", "AC Power A", "W", 0.335, watts=True),
    _electric("WphB", "AC Power B", "W", 0.331, watts=True),
    _electric("WphC", "AC Power C", "W", 0.334, watts=True),
)
INVERTER = (
    BaseField("W", "AC Power", "Measured", "W", _AVG_MAX_MIN, FROM_5MIN, "power", 0.99, per_watt=True),
    BaseField("Wh", "AC Energy", "Measured", "Wh", ("sum",), FROM_5MIN, "power", 0.99, per_watt=True),
    BaseField("Wdc", "DC Power", "Measured", "W", _AVG_MAX_MIN, FROM_5MIN, "power", 1.04, per_watt=True),
    BaseField("Vdc", "DC Voltage", "Measured", "V", _AVG_MAX_MIN, FROM_5MIN, "power", 180.0, 320.0),
    BaseField(
        "TmpInv",
        "Inverter Temperature",
        "Measured",
        "°C",
        ("avg", "max"),
        FROM_15MIN,
        "temperature",
        1.1,
        18.0,
    ),
    _MODELED,
    _MODELED_ENERGY,
)
WEATHER_STATION = (
    BaseField(
        "POAI", "Irradiance Plane of Array", "Measured", "W/m²", _AVG_MAX_MIN, FROM_5MIN, "irradiance", 1.08
    ),
    BaseField(
        "POAIh", "Insolation Plane of Array", "Measured", "Wh/m²", ("sum",), FROM_5MIN, "irradiance", 1.08
    ),
    BaseField("TmpAmb", "Ambient Temperature", "Measured", "°C", _AVG_MAX_MIN, FROM_5MIN, "temperature"),
    BaseField("WndSpd", "Wind Speed", "Measured", "m/s", ("avg", "max"), FROM_15MIN, "wind"),
)


def _bulk(name: str, long_name: str, source: str, unit: str, aggregation: str) -> dict[str, Any]:
    return {
        "baseField": name,
        "longName": long_name,
        "source": source,
        "unit": unit,
        "aggregations": [{"shortName": f"{name}_{aggregation}", "aggregation": aggregation}],
        "granularities": ["monthly"],
    }


BULK = (
    _bulk("Wh", "AC Energy", "Measured", "Wh", "sum"),
    _bulk("Whp", "AC Energy (prorated)", "Measured", "Wh", "sum"),
    _bulk("Wh_e", "AC Energy", "Expected", "Wh", "sum"),
    _bulk("GHIh_m", "VI - Insolation Global Horizontal", "Modeled", "Wh/m²", "sum"),
    _bulk("GHIhp_m", "VI - Insolation Global Horizontal (prorated)", "Modeled", "Wh/m²", "sum"),
    _bulk("GHIh_t", "Insolation Global Horizontal", "Expected", "Wh/m²", "sum"),
    _bulk("EER", "Energy Expectations Ratio", "Modeled", "", "avg"),
    _bulk("GEER", "GHI-adjusted Energy Expectations Ratio", "Modeled", "", "avg"),
)
BULK_SHORT_NAMES = tuple(str(entry["aggregations"][0]["shortName"]) for entry in BULK)
