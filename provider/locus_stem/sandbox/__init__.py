"""Both APIs on loopback, with real measurements, for trying and testing without an account."""

from __future__ import annotations

from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Accepted, Fault, Options
from locus_stem.sandbox.server import Server

__all__ = ["Accepted", "Fault", "Fleet", "Options", "Server"]
