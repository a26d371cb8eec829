"""What Airflow reads about this provider (entry point ``apache_airflow_provider``)."""

from __future__ import annotations

from typing import Any

from locus_stem import __version__
from locus_stem.config import LAKE_URI, SECTION
from locus_stem.hooks.forms import (
    LOCUS_BEHAVIOUR,
    LOCUS_FIELDS,
    STEM_BEHAVIOUR,
    STEM_FIELDS,
    provider_behaviour,
)


def get_provider_info() -> dict[str, Any]:
    """Describe the package: connection types with their forms, modules and the configuration section."""
    return {
        "package-name": "airflow-provider-locus-stem",
        "name": "Locus Energy and Stem",
        "description": "Measurements, alerts and assets of the Locus Energy v3 API and the Stem Developer Data API.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": "Locus Energy",
                "external-doc-url": "https://api.locusenergy.com",
                "tags": ["service"],
            },
            {"integration-name": "Stem", "external-doc-url": "https://app.stem.com", "tags": ["service"]},
        ],
        "hooks": [
            {"integration-name": "Locus Energy", "python-modules": ["locus_stem.hooks.locus"]},
            {"integration-name": "Stem", "python-modules": ["locus_stem.hooks.stem"]},
        ],
        "operators": [
            {
                "integration-name": "Locus Energy",
                "python-modules": [
                    "locus_stem.operators.alerts",
                    "locus_stem.operators.backfill",
                    "locus_stem.operators.bulk",
                    "locus_stem.operators.component_data",
                    "locus_stem.operators.endpoint",
                    "locus_stem.operators.inventory",
                    "locus_stem.operators.maintenance",
                    "locus_stem.operators.measurements",
                ],
            },
            {
                "integration-name": "Stem",
                "python-modules": [
                    "locus_stem.operators.endpoint",
                    "locus_stem.operators.maintenance",
                    "locus_stem.operators.stem",
                ],
            },
        ],
        "sensors": [
            {"integration-name": "Locus Energy", "python-modules": ["locus_stem.sensors.locus"]},
            {"integration-name": "Stem", "python-modules": ["locus_stem.sensors.stem"]},
        ],
        "triggers": [
            {"integration-name": "Locus Energy", "python-modules": ["locus_stem.triggers.locus"]},
            {"integration-name": "Stem", "python-modules": ["locus_stem.triggers.stem"]},
        ],
        "connection-types": [
            {
                "connection-type": "locus",
                "hook-class-name": "locus_stem.hooks.locus.LocusHook",
                "hook-name": "Locus Energy",
                "conn-fields": LOCUS_FIELDS,
                "ui-field-behaviour": provider_behaviour(LOCUS_BEHAVIOUR),
            },
            {
                "connection-type": "stem",
                "hook-class-name": "locus_stem.hooks.stem.StemHook",
                "hook-name": "Stem",
                "conn-fields": STEM_FIELDS,
                "ui-field-behaviour": provider_behaviour(STEM_BEHAVIOUR),
            },
        ],
        "config": {
            SECTION: {
                "description": "Where the tables of airflow-provider-locus-stem lie.",
                "options": {
                    LAKE_URI: {
                        "description": (
                            "Folder or bucket of the Delta tables: file:///path, s3://bucket/prefix, or with an "
                            "Airflow connection that has the keys s3://conn_id@bucket/prefix. "
                            "Empty: the folder lake in Airflow's home. With workers on several machines it must be "
                            "storage that all of them see."
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://my-bucket/lake",
                        "default": "",
                    }
                },
            }
        },
    }
