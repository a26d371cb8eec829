"""The documentation's own modules can be imported."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "provider" / "docs" / "_ext"))
