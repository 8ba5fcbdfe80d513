"""DeOP (ICCV 2023) in torch."""

from edge_ovss.models.deop.build import IGNORED, VARIANTS, DeopNumbers, build_deop
from edge_ovss.models.deop.model import Deop, DeopMaps

__all__ = ["IGNORED", "VARIANTS", "Deop", "DeopMaps", "DeopNumbers", "build_deop"]
