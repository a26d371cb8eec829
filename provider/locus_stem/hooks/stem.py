"""Hook for the Stem Developer Data API."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook

from locus_stem.api.client import StemClient
from locus_stem.api.errors import LocusStemError
from locus_stem.api.stem import StemEndpoints
from locus_stem.hooks.connection import defined, stem_credentials
from locus_stem.hooks.forms import STEM_BEHAVIOUR, STEM_FIELDS, TEST_SECONDS, widgets
from locus_stem.hooks.masking import mask, secrets_of

if TYPE_CHECKING:
    from locus_stem.api.credentials import StemCredentials
    from locus_stem.api.endpoint import Call


class StemHook(StemEndpoints, BaseHook):
    """Ask the Stem Developer Data API with the API key of an Airflow connection.

    Its methods are ``get_clients``, ``get_client``, ``get_client_sites``, ``get_site`` and ``get_site_streams``.
    Errors are those of :mod:`locus_stem.api.errors`.

    :param stem_conn_id: connection of type ``stem``.
    """

    conn_name_attr = "stem_conn_id"
    default_conn_name = "stem_default"
    conn_type = "stem"
    hook_name = "Stem"

    def __init__(self, stem_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.stem_conn_id = stem_conn_id

    @cached_property
    def credentials(self) -> StemCredentials:
        """The connection's API key, masked in every log from here on."""
        credentials = stem_credentials(defined(self, self.stem_conn_id, self.conn_type))
        mask(*secrets_of(credentials))
        return credentials

    @cached_property
    def _client(self) -> StemClient:
        return StemClient(self.credentials)

    def get_conn(self) -> StemClient:
        """Give the client: one kept-alive connection."""
        return self._client

    def call(self, call: Call) -> Any:
        """Send one prepared call and give what stands under its answer's key."""
        return self.get_conn().call(call)

    def test_connection(self) -> tuple[bool, str]:
        """Make one authenticated request: the first page of clients."""
        try:
            with StemClient(self.credentials, budget_seconds=TEST_SECONDS) as client:
                clients = client.get_clients()
        except LocusStemError as error:
            return False, str(error)
        return True, f"Connected: the first page has {len(clients)} client(s)"

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Make the form's fields on Airflow 3.1; later versions read them from the provider info."""
        return widgets(STEM_FIELDS)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Label the form's fields on Airflow 3.1; later versions read this from the provider info."""
        return STEM_BEHAVIOUR
