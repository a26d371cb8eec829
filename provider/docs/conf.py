"""Sphinx's configuration; `make docs` builds the pages into build/docs without any network."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]
# Airflow writes its configuration where it is imported: into the build, not into the home of who builds.
os.environ["AIRFLOW_HOME"] = str(HERE.parents[1] / "build" / "docs-airflow")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

from locus_stem import __version__  # noqa: E402

project = "airflow-provider-locus-stem"
version = release = __version__
copyright = "the project's authors, Apache-2.0"  # noqa: A001

extensions = ["sphinx.ext.autodoc", "fact_directive", "results_directive"]
exclude_patterns = ["examples"]
default_role = "literal"
nitpicky = True
# Types of other packages: their pages aren't fetched while these are built.
nitpick_ignore_regex = [
    (r"py:.*", r"(airflow|datetime|httpx|collections|typing|pyarrow|deltalake)\..*"),
    (r"py:exc", r"\w+"),  # `:raises SomeError:` names it as the module does
]

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}

html_theme = "alabaster"
html_title = f"{project} {version}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "description": "Locus Energy and Stem in Apache Airflow",
    "fixed_sidebar": True,
    "page_width": "1280px",
    "sidebar_width": "240px",
    "show_powered_by": False,
}
