from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.tables.address import ALLOWED, LakeAddress, LakeError

ACCOUNT = "account.dfs.core.windows.net"


@pytest.mark.parametrize(
    ("given", "uri", "conn_id", "place", "path"),
    [
        ("s3://bucket/lake/", "s3://bucket/lake", None, "bucket", "/lake"),
        ("s3://aws_default@bucket/a/b", "s3://bucket/a/b", "aws_default", "bucket", "/a/b"),
        ("s3://aws.west-1@bucket", "s3://bucket", "aws.west-1", "bucket", ""),
        ("s3://bucket/.a/..b/...//", "s3://bucket/.a/..b/...", None, "bucket", "/.a/..b/..."),
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
        ("s3://bucket//lake", "can't be empty, . or .."),
        ("gs://bucket/a//b", "can't be empty, . or .."),
        ("s3://bucket/a/./b", "can't be empty, . or .."),
        (f"abfss://c@{ACCOUNT}/a/..", "can't be empty, . or .."),
        *(
            (f"{place}/lake{char}1/west", r"can't hold [ ] | \ ^ or a control character")
            for place in ("s3://aws_default@bucket", "gs://bucket", f"abfss://c@{ACCOUNT}")
            for char in "[]|\\^\t\n\x7f"
        ),
        ("s3://bucket/mail@home", "no folder has an @"),
        ("s3://bucket:9000/lake", "keys don't belong"),
        (f"abfss://wasb_default@a=b@{ACCOUNT}/lake", "keys don't belong"),
        ("file:/lake", "has no scheme with ://"),
    ],
)
def test_a_wrong_one_is_refused_with_what_is_wrong_and_what_is_allowed(given, wrong):
    with pytest.raises(LakeError, match="allowed are file:///absolute/folder") as caught:
        LakeAddress.parse(given)
    assert wrong in str(caught.value)


#: No message holds a piece of these by chance.
PIECES = st.text(string.ascii_uppercase + string.digits, min_size=8, max_size=12)
SECRETS = st.lists(PIECES, min_size=2, max_size=3)
BETWEEN = st.sampled_from(["/", "//", "+", "=", ":", "@", ":/", "%2F", "?", "#"])
BEHIND = [
    "bucket/lake",
    "bucket",
    f"container@{ACCOUNT}/lake",
    "bucket/lake?region=eu",
    "bucket/lake#here",
    "",
]


def repeated(pieces, error):
    """Give the pieces that a message repeats, in any case; the words that it always has are no secrets."""
    said = str(error).replace(ALLOWED, "").lower()
    return [piece for piece in pieces if piece.lower() in said]


@given(
    scheme=st.sampled_from(["s3://", "S3://", "gs://", "abfss://", "file://"]),
    before=st.sampled_from(["AKIA:", "aws_default@AKIA:", "container:"]),
    pieces=SECRETS,
    between=BETWEEN,
    behind=st.sampled_from(BEHIND),
)
def test_keys_that_stand_in_an_address_are_refused_and_never_repeated(
    scheme, before, pieces, between, behind
):
    with pytest.raises(LakeError) as caught:
        LakeAddress.parse(f"{scheme}{before}{between.join(pieces)}@{behind}")
    assert repeated(pieces, caught.value) == []


@given(
    scheme=st.sampled_from(["s3a://", "https://", "wasbs://", "gcs://", "az://", "", "s3:", "s3:/", "://"]),
    before=st.sampled_from(["AKIA:", "", "container@"]),
    pieces=SECRETS,
    between=BETWEEN,
    behind=st.sampled_from(BEHIND),
)
def test_nor_are_they_where_the_scheme_is_unknown(scheme, before, pieces, between, behind):
    with pytest.raises(LakeError) as caught:
        LakeAddress.parse(f"{scheme}{before}{between.join(pieces)}@{behind}")
    assert repeated(pieces, caught.value) == []


@given(
    scheme=st.sampled_from(["s3", "gs", "abfss"]),
    conn_id=st.none() | st.from_regex(r"[A-Za-z0-9_.-]+", fullmatch=True),
    folders=st.lists(st.text(string.ascii_letters + string.digits + " :=+&!~", min_size=1, max_size=8)),
)
def test_an_address_is_taken_with_and_without_connection(scheme, conn_id, folders):
    place = f"container@{ACCOUNT}" if scheme == "abfss" else "bucket"
    path = "".join(f"/{folder}" for folder in folders)
    found = LakeAddress.parse(f"{scheme}://{f'{conn_id}@' if conn_id else ''}{place}{path}/")
    assert found == LakeAddress(f"{scheme}://{place}{path}", scheme, conn_id, place, path)
