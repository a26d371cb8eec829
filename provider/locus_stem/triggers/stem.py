"""Triggers of the Stem sensors."""

from __future__ import annotations

from locus_stem.triggers.wait import StemTrigger
from locus_stem.waits.available import StreamStartWait
from locus_stem.waits.data import StreamWait


class StemStreamTrigger(StemTrigger):
    """Wait until a stream reaches an instant."""

    waits = StreamWait


class StemStreamAvailableTrigger(StemTrigger):
    """Wait until a site has a stream."""

    waits = StreamStartWait
