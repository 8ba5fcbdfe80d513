"""The registry of how families are exported."""

from __future__ import annotations

from edge_ovss.export.deop.family import EXPORT as DEOP
from edge_ovss.export.family import FamilyExport
from edge_ovss.export.san.family import EXPORT as SAN
from edge_ovss.export.sed.family import EXPORT as SED

EXPORTS: tuple[FamilyExport, ...] = (SED, SAN, DEOP)


def family_export(name: str) -> FamilyExport:
    """Return how a family is exported, by its name such as "sed"."""
    return next(export for export in EXPORTS if export.name == name)
