"""SED (CVPR 2024) in torch."""

from edge_ovss.models.sed.build import PREFIX, VARIANTS, SedNumbers, build_sed
from edge_ovss.models.sed.model import Sed, SedMaps, published_rejection, surviving

__all__ = [
    "PREFIX",
    "VARIANTS",
    "Sed",
    "SedMaps",
    "SedNumbers",
    "build_sed",
    "published_rejection",
    "surviving",
]
