from __future__ import annotations

from hypothesis import settings

settings.register_profile("planning", derandomize=True, deadline=None, database=None, max_examples=150)
settings.load_profile("planning")
