"""The versions of Python and Airflow that the package declares, and those that can't be had together."""

from __future__ import annotations

import configparser
import re
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Combinations that don't exist: (Python, Airflow) and the reason.
IMPOSSIBLE: dict[tuple[str, str], str] = {}


def pythons() -> list[str]:
    """Give the Pythons of the package's classifiers."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return re.findall(r"Python :: (\d+\.\d+)$", setup["metadata"]["classifiers"], re.MULTILINE)


def airflows() -> dict[str, Path]:
    """Give the Airflows that constraints pin, and the constraints."""
    files = (*sorted((ROOT / "tests").glob("constraints-*.txt")), ROOT / "constraints.txt")
    return {re.findall(r"^apache-airflow==(\S+)$", file.read_text(), re.MULTILINE)[0]: file for file in files}


def combinations() -> list[tuple[str, str]]:
    """Give every supported Python with every supported Airflow, as far as they exist."""
    return [pair for pair in product(pythons(), airflows()) if pair not in IMPOSSIBLE]
