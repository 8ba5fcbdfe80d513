"""Open-vocabulary segmentation on the edge: freeze a vocabulary, export, quantise, prove, run.

Importing this package needs only numpy. Start with `edge_ovss.vocabulary`, `edge_ovss.models`,
`edge_ovss.export` (these two need torch) and `edge_ovss.runtime` (never needs torch).
"""

from edge_ovss._version import VERSION as __version__
from edge_ovss.errors import EdgeOvssError

__all__ = ["EdgeOvssError", "__version__"]
