"""`synthetic://street`: street scenes with exact labels, drawn from a seed."""

from __future__ import annotations

from edge_ovss.synthetic.classes import STREET_CLASSES, STREET_TO_ADE, STREET_TO_CAMVID
from edge_ovss.synthetic.moving import Drive, MovingStreet
from edge_ovss.synthetic.render import StreetScene, render_street

__all__ = [
    "STREET_CLASSES",
    "STREET_TO_ADE",
    "STREET_TO_CAMVID",
    "Drive",
    "MovingStreet",
    "StreetScene",
    "render_street",
]
