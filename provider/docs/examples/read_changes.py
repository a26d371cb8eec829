"""Read every revision of the last days: what was inserted, and values before and after a change."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
from deltalake import DeltaTable

table = DeltaTable("lake/locus_site_data")
since = datetime.now(UTC) - timedelta(days=7)
oldest = table.history()[-1]["version"]  # once the log was cut, a time alone is refused
changes = pa.table(
    table.load_cdf(starting_version=oldest, starting_timestamp=since.isoformat(), allow_out_of_range=True)
)
