"""What a task read and wrote, as OpenLineage's datasets: endpoints of the API, files, tables with their columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import InputDataset, OutputDataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    from locus_stem.tables.counts import LoadCounts
    from locus_stem.tables.state import TableState


@dataclass(slots=True)
class Lineage:
    """What one try of a task read and wrote; gathered while it runs, so that nothing is opened to tell it.

    :param api: URL of the API, without credentials; None where it isn't known.
    :param endpoints: templates of the paths that were asked, ``/v3/sites/{site_id}/data``.
    :param files: addresses of files that were read.
    :param tables: addresses of the tables that were written, each with its rows and its state.
    """

    api: str | None = None
    endpoints: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    tables: dict[str, tuple[LoadCounts, TableState | None]] = field(default_factory=dict)

    def to_openlineage(self) -> OperatorLineage[Any, Any]:
        """Write for OpenLineage's listener."""
        from airflow.providers.common.compat.openlineage.facet import InputDataset
        from airflow.providers.openlineage.extractors import OperatorLineage

        asked = [InputDataset(namespace=self.api, name=path) for path in sorted(self.endpoints) if self.api]
        read = [InputDataset(*dataset_name(address)) for address in sorted(self.files)]
        written = [_output(address, *self.tables[address]) for address in sorted(self.tables)]
        inputs: list[InputDataset] = [*asked, *read]
        return OperatorLineage(inputs=inputs, outputs=written)


def lineage_wanted() -> bool:
    """Tell whether OpenLineage is installed and has been told where to send its events."""
    try:
        from airflow.providers.openlineage.conf import is_disabled
    except ImportError:
        return False
    return not is_disabled()


def _output(address: str, counts: LoadCounts, state: TableState | None) -> OutputDataset:
    from airflow.providers.common.compat.openlineage.facet import (
        OutputDataset,
        OutputStatisticsOutputDatasetFacet,
        SchemaDatasetFacet,
        SchemaDatasetFacetFields,
    )

    namespace, name = dataset_name(address)
    rows = counts.new + counts.changed + counts.withdrawn
    columns = (
        [SchemaDatasetFacetFields(name=column, type=kind) for column, kind in state.columns] if state else []
    )
    return OutputDataset(
        namespace=namespace,
        name=name,
        facets={"schema": SchemaDatasetFacet(fields=columns)} if columns else {},
        outputFacets={"outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=rows)},
    )


def dataset_name(address: str) -> tuple[str, str]:
    """Give OpenLineage's namespace and name of a file or folder.

    ``("file", "/lake/runs")``, ``("s3://bucket", "lake/runs")``,
    ``("abfss://container@account.dfs.core.windows.net", "lake/runs")``.
    """
    parts = urlsplit(address)
    if parts.scheme in {"", "file"}:
        return "file", unquote(parts.path).rstrip("/") or "/"
    place = parts.netloc if parts.scheme in {"abfss", "abfs"} else parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{place}", parts.path.strip("/") or "/"
