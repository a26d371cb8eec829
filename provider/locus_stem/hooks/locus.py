"""Hook for the Locus Energy v3 API."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook

from locus_stem.api.client import LocusClient
from locus_stem.api.errors import LocusStemError
from locus_stem.api.locus import LocusEndpoints
from locus_stem.hooks.connection import defined, locus_credentials, partner_of
from locus_stem.hooks.forms import LOCUS_BEHAVIOUR, LOCUS_FIELDS, TEST_SECONDS, widgets
from locus_stem.hooks.masking import mask, secrets_of

if TYPE_CHECKING:
    from locus_stem.api.credentials import LocusCredentials
    from locus_stem.api.endpoint import Call


class LocusHook(LocusEndpoints, BaseHook):
    """Ask the Locus Energy v3 API with the credentials of an Airflow connection.

    Every endpoint of the reference is a method named after its page: ``get_site_data``, ``get_partner_alerts``, …;
    each gives what stands under the answer's key. Errors are those of :mod:`locus_stem.api.errors`.

    :param locus_conn_id: connection of type ``locus``.
    """

    conn_name_attr = "locus_conn_id"
    default_conn_name = "locus_default"
    conn_type = "locus"
    hook_name = "Locus Energy"

    def __init__(self, locus_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.locus_conn_id = locus_conn_id

    @cached_property
    def credentials(self) -> LocusCredentials:
        """The connection's credentials, checked; their secrets are masked in every log from here on."""
        credentials = locus_credentials(defined(self, self.locus_conn_id, self.conn_type))
        mask(*secrets_of(credentials))
        return credentials

    @property
    def partner_id(self) -> int:
        """The connection's partner id.

        :raises ConfigurationError: the connection has none.
        """
        return partner_of(self.credentials)

    @cached_property
    def _client(self) -> LocusClient:
        return LocusClient(self.credentials, on_token=mask)

    def get_conn(self) -> LocusClient:
        """Give the client: one kept-alive connection, one token."""
        return self._client

    def call(self, call: Call) -> Any:
        """Send one prepared call and give what stands under its answer's key."""
        return self.get_conn().call(call)

    def test_connection(self) -> tuple[bool, str]:
        """Make one authenticated request: the partner's clients."""
        try:
            with LocusClient(self.credentials, on_token=mask, budget_seconds=TEST_SECONDS) as client:
                clients = client.get_partner_clients(partner_id=self.partner_id)
        except LocusStemError as error:
            return False, str(error)
        return True, f"Connected: partner {self.partner_id} has {len(clients)} client(s)"

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Make the form's fields on Airflow 3.1; later versions read them from the provider info."""
        return widgets(LOCUS_FIELDS)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Label the form's fields on Airflow 3.1; later versions read this from the provider info."""
        return LOCUS_BEHAVIOUR
