"""The old name of `edge_ovss.synthetic`; it goes with version 0.3."""

import warnings

from edge_ovss.synthetic import (
    STREET_CLASSES,
    STREET_TO_ADE,
    STREET_TO_CAMVID,
    StreetScene,
    render_street,
)

__all__ = ["STREET_CLASSES", "STREET_TO_ADE", "STREET_TO_CAMVID", "StreetScene", "render_street"]

warnings.warn(
    "edge_ovss.runtime.street is now edge_ovss.synthetic; the old name goes with version 0.3.",
    DeprecationWarning,
    stacklevel=2,
)
