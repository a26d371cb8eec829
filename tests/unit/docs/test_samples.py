"""Every sample of code on the documentation's pages is a file, or a command, that a test runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "provider" / "docs"
EXAMPLES = sorted(path for path in (DOCS / "examples").iterdir() if path.is_file())
PAGES = sorted(DOCS.rglob("*.rst"))
CODE = re.compile(
    r"^ *\.\. (code-block|code|sourcecode|literalinclude|include|parsed-literal|doctest|testcode):: *(.*)$",
    re.MULTILINE,
)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_a_pages_samples_are_files_of_the_examples_commands_or_drawings(page):
    text = page.read_text()
    for directive, argument in CODE.findall(text):
        if directive == "literalinclude":
            file = (page.parent / argument).resolve()
            assert file.is_file(), argument
            assert file.parent in {DOCS / "examples", ROOT / "dags"}
        else:
            assert (directive, argument) in {("code-block", "bash"), ("code-block", "text")}
    # A paragraph that ends in two colons begins a block of code without a name; >>> begins a session.
    assert not re.search(r"^(?! *\.\. ).*::$", text, re.MULTILINE)
    assert ">>>" not in text


def test_every_example_stands_on_a_page_and_a_test_names_it():
    pages = "\n".join(page.read_text() for page in PAGES)
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(EXAMPLES) > 20
    for file in EXAMPLES:
        assert re.search(rf"literalinclude:: .*examples/{re.escape(file.name)}$", pages, re.MULTILINE), (
            file.name
        )
        assert f'"{file.name}"' in tests, file.name


def test_the_readmes_samples_are_the_docs_examples_or_commands():
    examples = [file.read_text().strip() for file in EXAMPLES]
    samples = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert samples
    for language, sample in samples:
        assert language in {"", "sh"} or sample.strip() in examples, sample
