"""Addresses of results: keys in them are refused, and repeated nowhere."""

from __future__ import annotations

import pytest

from locus_stem.operators.result import check_path


@pytest.mark.parametrize("path", ["s3://AKIA:hidden@bucket/name", "s3://AKIA:ab/hidden@bucket/name"])
def test_an_address_with_keys_is_refused_and_not_repeated(path):
    with pytest.raises(ValueError, match="keys in an address are refused") as caught:
        check_path(path)
    assert "hidden" not in str(caught.value)
