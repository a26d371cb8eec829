"""What the connection forms show: one description for 3.2 and later (provider info) and for 3.1 (hook methods)."""

from __future__ import annotations

from typing import Any

#: The Test button waits no longer than so many seconds for an API that fails.
TEST_SECONDS = 10.0

LOCUS_FIELDS: dict[str, dict[str, Any]] = {
    "client_id": {
        "label": "Client ID",
        "description": "OAuth client id, from your Locus Energy account manager",
        "schema": {"type": ["string", "null"]},
    },
    "client_secret": {
        "label": "Client secret",
        "description": "OAuth client secret",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "partner_id": {
        "label": "Partner ID",
        "description": "Your partner id (a number); the DAGs read this partner's clients, sites and components",
        "schema": {"type": ["integer", "null"]},
    },
    "grant_type": {
        "label": "Grant type",
        "description": "Empty: password with a login, else client_credentials. bearer: the password is a fixed token",
        "schema": {"type": ["string", "null"], "enum": ["password", "client_credentials", "bearer", None]},
    },
    "timeout": {
        "label": "Timeout (s)",
        "description": "Longest time for one request, in seconds; 60 if empty",
        "schema": {"type": ["integer", "null"]},
    },
    "allow_http": {
        "label": "Allow plain http",
        "description": "Send credentials without TLS to a host that isn't this machine",
        "schema": {"type": ["boolean", "null"]},
    },
}

STEM_FIELDS: dict[str, dict[str, Any]] = {name: LOCUS_FIELDS[name] for name in ("timeout", "allow_http")}

LOCUS_BEHAVIOUR: dict[str, Any] = {
    "hidden_fields": ["extra"],
    "relabeling": {"login": "SolarNOC username", "password": "SolarNOC password (or bearer token)"},
    "placeholders": {"host": "https://api.locusenergy.com"},
}

STEM_BEHAVIOUR: dict[str, Any] = {
    "hidden_fields": ["extra", "login"],
    "relabeling": {"password": "API key"},
    "placeholders": {"host": "https://app.stem.com"},
}


def provider_behaviour(behaviour: dict[str, Any]) -> dict[str, Any]:
    """Write a form's behaviour with the keys that provider info uses."""
    return {key.replace("_", "-"): value for key, value in behaviour.items()}


def widgets(fields: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Make the WTForms fields of Airflow 3.1's form from the same description."""
    from wtforms import BooleanField, IntegerField, PasswordField, StringField
    from wtforms.validators import Optional

    made = {}
    for name, field in fields.items():
        schema = field["schema"]
        kind = (
            PasswordField if schema.get("format") == "password"
            else {"integer": IntegerField, "boolean": BooleanField}.get(schema["type"][0], StringField)
        )  # fmt: skip
        made[name] = kind(field["label"], validators=[Optional()], description=field["description"])
    return made
