from __future__ import annotations

import runpy
from pathlib import Path

from locus_stem.api import LOCUS_ENDPOINTS, STEM_ENDPOINTS

ROOT = Path(__file__).parents[3]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "make_endpoint_docs.py"))


def test_the_page_is_what_the_descriptions_give():
    assert SCRIPT["PAGE"].read_text() == SCRIPT["page"](), "run scripts/make_endpoint_docs.py"


def test_every_endpoint_stands_on_the_page_once_with_its_operator():
    page = SCRIPT["page"]()
    for operator, endpoints in (
        ("LocusEndpointOperator", LOCUS_ENDPOINTS),
        ("StemEndpointOperator", STEM_ENDPOINTS),
    ):
        for endpoint in endpoints:
            assert page.count(f'`{operator}(endpoint="{endpoint.name}")`') == 1
            assert page.count(f"`GET {endpoint.path}`") == 1
