"""Read a month of measurements of three sites, only the columns and files that it takes."""

from datetime import date

from deltalake import DeltaTable

table = DeltaTable("lake/locus_site_data")
rows = table.to_pyarrow_table(
    columns=["site_id", "ts", "local_date", "Wh_sum"],
    filters=[
        ("granularity", "=", "hourly"),
        ("month", "=", date(2025, 10, 1)),
        ("site_id", "in", [3000001, 3000002, 3000003]),
    ],
)
energy_wh = rows.group_by(["site_id", "local_date"]).aggregate([("Wh_sum", "sum")])
