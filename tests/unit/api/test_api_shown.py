"""What stands in an answer where a time or a number was due, as errors say it."""

from __future__ import annotations

import pytest

from locus_stem.api.shown import described


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2025-13-45T00:00:00Z", "'2025-13-45T00:00:00Z'"),
        ("2025-10-20 12:00:00.5+99:99", "'2025-10-20 12:00:00.5+99:99'"),
        ("12345678", "text of 8 character(s)"),  # a password may be so
        ("2025-10-20T00:00:00Z s3cret", "text of 27 character(s)"),
        ("٢٠٢٥-10-20", "text of 10 character(s)"),
        ("2025-10-20T00:00:00." + "0" * 50, "text of 70 character(s)"),
        ("", "text of 0 character(s)"),
        (None, "nothing"),
        (1.5, "a number"),
        (10**400, "a number"),
        (float("nan"), "nan"),
        ("2024-0815-4711-0042", "text of 19 character(s)"),
        (True, "True"),
        (["s3cret"], "list of 1"),
        ({"s3cret": 1}, "dict of 1"),
    ],
)
def test_only_what_looks_like_a_time_is_quoted(value, text):
    assert described(value) == text
