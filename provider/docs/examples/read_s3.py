"""Read a lake in S3 outside of Airflow: with keys and region named, since deltalake has ways of its own to them."""

import boto3
from deltalake import DeltaTable

session = boto3.Session()
keys = session.get_credentials().get_frozen_credentials()
options = {
    "aws_access_key_id": keys.access_key,
    "aws_secret_access_key": keys.secret_key,
    **({"aws_session_token": keys.token} if keys.token else {}),
    "aws_region": session.region_name or "us-east-1",
}
table = DeltaTable("s3://my-bucket/lake/locus_sites", storage_options=options)
sites = table.to_pyarrow_table(columns=["site_id", "name"])
