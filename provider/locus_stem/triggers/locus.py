"""Triggers of the Locus sensors."""

from __future__ import annotations

from locus_stem.triggers.wait import LocusTrigger
from locus_stem.waits.alerts import AlertWait
from locus_stem.waits.available import FieldsWait
from locus_stem.waits.data import DataWait


class LocusAlertTrigger(LocusTrigger):
    """Wait until an alert opens or closes."""

    waits = AlertWait


class LocusDataTrigger(LocusTrigger):
    """Wait until a site's or component's measurements reach an instant."""

    waits = DataWait


class LocusDataAvailableTrigger(LocusTrigger):
    """Wait until fields become available."""

    waits = FieldsWait
