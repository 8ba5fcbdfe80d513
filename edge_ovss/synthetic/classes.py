"""The categories of the procedural street, and what they are called in other vocabularies."""

from __future__ import annotations

STREET_CLASSES: tuple[str, ...] = (
    "sky",
    "building",
    "road",
    "sidewalk",
    "grass",
    "tree",
    "fence",
    "pole",
    "streetlight",
    "traffic light",
    "signboard",
    "car",
    "bus",
    "truck",
    "person",
    "bicyclist",
)
"""Categories in label order; a label map contains their indices, 255 where there is none."""

SKY, BUILDING, ROAD, SIDEWALK, GRASS, TREE, FENCE, POLE = range(8)
STREETLIGHT, TRAFFIC_LIGHT, SIGNBOARD, CAR, BUS, TRUCK, PERSON, BICYCLIST = range(8, 16)

STREET_TO_ADE: tuple[str, ...] = (*STREET_CLASSES[:15], "bicycle")
"""Name of each street category in ade150 (a cyclist with the bicycle is "bicycle" there)."""

STREET_TO_CAMVID: tuple[str, ...] = (
    "sky",
    "building",
    "road",
    "pavement",
    "tree",
    "tree",
    "fence",
    "pole",
    "pole",
    "sign symbol",
    "sign symbol",
    "car",
    "car",
    "car",
    "pedestrian",
    "bicyclist",
)
"""Name of each street category in camvid, which counts grass as tree, and buses as cars."""
