from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.tables.address import LakeAddress, LakeError, without_connection

ACCOUNT = "account.dfs.core.windows.net"


@pytest.mark.parametrize(
    ("given", "uri", "conn_id", "place", "path"),
    [
        ("s3://bucket/lake/", "s3://bucket/lake", None, "bucket", "/lake"),
        ("s3://aws_default@bucket/a/b", "s3://bucket/a/b", "aws_default", "bucket", "/a/b"),
        ("s3://aws.west-1@bucket", "s3://bucket", "aws.west-1", "bucket", ""),
        ("gs://google_cloud_default@bucket/l", "gs://bucket/l", "google_cloud_default", "bucket", "/l"),
        (f"abfss://c@{ACCOUNT}/l", f"abfss://c@{ACCOUNT}/l", None, f"c@{ACCOUNT}", "/l"),
        (f"abfss://wasb@c@{ACCOUNT}/l", f"abfss://c@{ACCOUNT}/l", "wasb", f"c@{ACCOUNT}", "/l"),
        ("file:///a%20b/c", "file:///a%20b/c", None, "", "/a b/c"),
        ("file:///mail@home", "file:///mail@home", None, "", "/mail@home"),
    ],
)
def test_the_connection_is_taken_out_of_an_address_and_the_rest_is_the_lakes_name(
    given, uri, conn_id, place, path
):
    found = LakeAddress.parse(given)
    assert (found.uri, found.conn_id, found.place, found.path) == (uri, conn_id, place, path)
    assert without_connection(given).rstrip("/") == uri
    assert LakeAddress.parse(uri).conn_id is None


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ("abfss://container/lake", "names no container@account"),
        ("abfss://wasb_default@container/lake", "names no container@account"),
        ("s3://aws_default@/lake", "names no bucket"),
        ("s3://@bucket/lake", "keys don't belong"),
        ("gs://a b@bucket/lake", "keys don't belong"),
        ("s3://aws_default@bucket/lake?x=1", "followed by"),
        ("s3://bucket/my%20lake", "write the character itself"),
    ],
)
def test_a_wrong_one_is_refused_with_what_is_wrong_and_what_is_allowed(given, wrong):
    with pytest.raises(LakeError, match="allowed are file:///absolute/folder") as caught:
        LakeAddress.parse(given)
    assert wrong in str(caught.value)


KEYS = st.text(string.ascii_letters + string.digits + "+=%!", min_size=16)


@given(
    scheme=st.sampled_from(["s3://{}bucket/lake", "gs://{}bucket/lake", f"abfss://{{}}c@{ACCOUNT}/lake"]),
    key=KEYS,
    secret=KEYS,
    more=st.sampled_from(["", "?region=eu", "#here"]),
)
def test_keys_that_stand_in_an_address_are_refused_and_never_repeated(scheme, key, secret, more):
    address = scheme.format(f"{key}:{secret}@") + more
    with pytest.raises(LakeError, match="keys don't belong into the address") as caught:
        LakeAddress.parse(address)
    assert secret not in str(caught.value)
    assert secret not in without_connection(address)
