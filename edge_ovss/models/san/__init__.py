"""SAN (CVPR 2023) in torch."""

from edge_ovss.models.san.build import IGNORED, VARIANTS, SanNumbers, build_san
from edge_ovss.models.san.model import San, SanMaps

__all__ = ["IGNORED", "VARIANTS", "San", "SanMaps", "SanNumbers", "build_san"]
