"""Make the sandbox's recorded measurements from two MIT-licensed wheels on PyPI.

    python scripts/make_sandbox_data.py pvanalytics-0.2.2-py3-none-any.whl CityLearn-2.0.0-py3-none-any.whl

The file that it writes is one gzip stream: a line of JSON that describes the channels in their order, then
the channels' values as little-endian 16-bit integers. The same wheels give the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import struct
import zipfile
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "provider/locus_stem/sandbox/data/recorded.bin.gz"
SLOTS_A_DAY = 96
SUMMER_DAYS = 104
WINTER_DAYS = 5
YEAR_HOURS = 8760
BUILDINGS = (1, 2, 5, 8)


def rows(wheel: zipfile.ZipFile, path: str) -> list[dict[str, str]]:
    """Read one CSV file of a wheel."""
    return list(csv.DictReader(io.StringIO(wheel.read(path).decode("utf-8-sig"))))


def column(table: list[dict[str, str]], name: str, factor: float) -> list[int]:
    """One column as integers of 1/factor of its unit; a gap repeats the value before it."""
    values: list[int] = []
    for row in table:
        values.append(round(float(row[name]) * factor) if row[name] else (values[-1] if values else 0))
    return values


def solar_channels(wheel: zipfile.ZipFile) -> list[tuple[dict[str, object], list[int]]]:
    """104 summer and autumn days of NREL's SERF East array, then 5 winter days of RSF II, 96 values a day."""
    summer_rows = SUMMER_DAYS * SLOTS_A_DAY
    power = rows(wheel, "pvanalytics/data/serf_east_15min_ac_power.csv")[:summer_rows]
    weather = rows(wheel, "pvanalytics/data/serf_east_psm3_data.csv")[:summer_rows]
    winter = rows(wheel, "pvanalytics/data/nrel_RSF_II.csv")[: WINTER_DAYS * SLOTS_A_DAY]
    summer_peak = max(float(row["ac_power"]) for row in power)
    winter_peak = max(float(row["ac_power_kw_1137"]) for row in winter)
    wind = column(winter, "wind_speed__1051", 100)
    wind_cycle = [wind[index % len(wind)] for index in range(summer_rows)]
    channels: list[tuple[str, str, float, str, list[int]]] = [
        (
            "power",
            "of the plant's peak",
            1e-4,
            "serf_east_15min_ac_power.csv: ac_power; nrel_RSF_II.csv: ac_power_kw_1137",
            column(power, "ac_power", 1e4 / summer_peak)
            + column(winter, "ac_power_kw_1137", 0.6e4 / winter_peak),
        ),
        (
            "irradiance",
            "W/m²",
            0.1,
            "serf_east_psm3_data.csv: ghi; nrel_RSF_II.csv: poa_irradiance__1055",
            column(weather, "ghi", 10) + column(winter, "poa_irradiance__1055", 10),
        ),
        (
            "temperature",
            "°C",
            0.01,
            "serf_east_psm3_data.csv: temp_air; nrel_RSF_II.csv: ambient_temp__1053",
            column(weather, "temp_air", 100) + column(winter, "ambient_temp__1053", 100),
        ),
        (
            "wind",
            "m/s",
            0.01,
            "nrel_RSF_II.csv: wind_speed__1051, its five days again and again",
            wind_cycle + wind,
        ),
    ]
    return [
        (
            {
                "name": name,
                "unit": unit,
                "quantum": quantum,
                "seconds": 900,
                "count": len(values),
                "source": f"pvanalytics 0.2.2, pvanalytics/data/{source}",
            },
            values,
        )
        for name, unit, quantum, source, values in channels
    ]


def load_channels(wheel: zipfile.ZipFile) -> list[tuple[dict[str, object], list[int]]]:
    """Read a year of hourly electric loads of commercial buildings, in 0.01 kW."""
    found: list[tuple[dict[str, object], list[int]]] = []
    for number in BUILDINGS:
        path = f"citylearn/data/citylearn_challenge_2021/Building_{number}.csv"
        values = column(rows(wheel, path)[:YEAR_HOURS], "Equipment Electric Power [kWh]", 100)
        header: dict[str, object] = {
            "name": f"load{number}",
            "unit": "kW",
            "quantum": 0.01,
            "seconds": 3600,
            "count": len(values),
            "source": f"CityLearn 2.0.0, {path}: Equipment Electric Power [kWh]",
        }
        found.append((header, values))
    return found


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pvanalytics", type=Path)
    parser.add_argument("citylearn", type=Path)
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.pvanalytics) as solar, zipfile.ZipFile(arguments.citylearn) as buildings:
        channels = solar_channels(solar) + load_channels(buildings)
    header = json.dumps(
        [description for description, _ in channels], separators=(",", ":"), ensure_ascii=False
    )
    body = b"".join(struct.pack(f"<{len(values)}h", *values) for _, values in channels)
    arguments.target.write_bytes(gzip.compress(header.encode() + b"\n" + body, 9, mtime=0))


if __name__ == "__main__":
    main()
