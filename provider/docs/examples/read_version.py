"""Read a table as it stood at an instant of the last 30 days."""

from datetime import UTC, datetime

from deltalake import DeltaTable

table = DeltaTable("lake/locus_site_data")
table.load_as_version(datetime.now(UTC))
rows = table.to_pyarrow_table()
