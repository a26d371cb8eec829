"""Ask a lake in SQL, with the engine that deltalake brings."""

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

query = QueryBuilder().register("locus_site_data", DeltaTable("lake/locus_site_data"))
latest = pa.table(query.execute("SELECT site_id, max(ts) AS latest FROM locus_site_data GROUP BY site_id"))
