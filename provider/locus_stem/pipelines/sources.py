"""The tables, and the endpoints from whose answers each is filled."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from locus_stem.api.locus import LocusEndpoints
from locus_stem.api.stem import StemEndpoints

if TYPE_CHECKING:
    from collections.abc import Mapping

    from locus_stem.api.endpoint import Endpoint

__all__ = ["SOURCES"]

#: What the package itself records has no endpoint.
SOURCES: Mapping[str, tuple[Endpoint, ...]] = MappingProxyType(
    {
        "locus_clients": (LocusEndpoints.get_partner_clients,),
        "locus_sites": (LocusEndpoints.get_partner_sites,),
        "locus_components": (LocusEndpoints.get_partner_components,),
        "locus_install_info": (LocusEndpoints.get_installinfo,),
        "locus_model_settings": (LocusEndpoints.get_modelsettings,),
        "locus_data_available": (
            LocusEndpoints.get_site_dataavailable,
            LocusEndpoints.get_component_dataavailable,
            LocusEndpoints.get_site_bulk_dataavailable,
        ),
        "locus_site_data": (LocusEndpoints.get_site_data,),
        "locus_component_data": (LocusEndpoints.get_component_data,),
        "locus_bulk_monthly": (LocusEndpoints.get_site_bulk_data,),
        "locus_alerts": (LocusEndpoints.get_partner_alerts,),
        "locus_alert_history": (LocusEndpoints.get_partner_alerts,),
        "stem_clients": (StemEndpoints.get_clients,),
        "stem_sites": (StemEndpoints.get_client_sites,),
        "stem_streams": (StemEndpoints.get_site_streams,),
        "coverage": (),
        "runs": (),
    }
)
