"""Writes batches of imports (``mongo/transfer``), planned as all writes are, with events or without."""

from kaa_epr.register.importing.direct import direct_import
from kaa_epr.register.importing.eventful import EventfulImport, ImportStalled

__all__ = ["EventfulImport", "ImportStalled", "direct_import"]
