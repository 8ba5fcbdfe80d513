"""Label maps in other forms, read back by programs that are not ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.cli import main
from edge_ovss.frames.images import read_picture, write_picture
from edge_ovss.runtime.saving import kinds
from edge_ovss.runtime.saving.outlines import polygons
from edge_ovss.runtime.saving.published_colors import published_colors
from edge_ovss.runtime.saving.rle import coco_annotations, encode
from edge_ovss.runtime.saving.shapes import geojson, labelme
from edge_ovss.vocabulary.builtin import load_builtin

cv2: Any = pytest.importorskip("cv2")

NAMES = ("road", "car", "sky")


def label_maps() -> list[NDArray[np.uint8]]:
    """Noise, blobs with holes, a checkerboard, a line, one pixel, one label."""
    dice = np.random.default_rng(5)
    noise = dice.integers(0, 3, (23, 31), np.uint8)
    blobs = cv2.resize(dice.integers(0, 3, (6, 7), np.uint8), (41, 37), interpolation=0)
    ring = np.zeros((12, 13), np.uint8)
    ring[2:10, 2:11], ring[4:8, 4:9], ring[5:7, 6] = 1, 2, 1
    board = (np.indices((6, 7)).sum(0) % 2).astype(np.uint8)
    crossed = np.array([[1, 0, 2], [0, 1, 0], [2, 0, 1]], np.uint8)
    return [
        noise,
        blobs,
        ring,
        board,
        crossed,
        np.zeros((1, 9), np.uint8),
        np.ones((1, 1), np.uint8),
    ]


MAPS = pytest.mark.parametrize("labels", label_maps(), ids=lambda a: "x".join(map(str, a.shape)))


@MAPS
def test_rle_is_what_pycocotools_writes_and_reads(labels: NDArray[np.uint8]) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    for label in range(3):
        mask = labels == label
        ours = encode(mask)
        assert ours["counts"] == coco.encode(np.asfortranarray(mask))["counts"].decode()
        assert np.array_equal(coco.decode(ours), mask)


def test_annotations_agree_with_pycocotools_and_leave_out_what_is_unknown() -> None:
    coco = pytest.importorskip("pycocotools.mask")
    labels = label_maps()[1]
    labels[:5, :9] = 255
    found: list[dict[str, Any]] = coco_annotations(labels, NAMES)
    assert [each["category_name"] for each in found] == list(NAMES)
    for each in found:
        assert coco.area(each["segmentation"]) == each["area"]
        assert coco.toBbox(each["segmentation"]).tolist() == each["bbox"]


@MAPS
def test_polygons_have_the_area_of_their_pixels_and_cover_exactly_them(
    labels: NDArray[np.uint8],
) -> None:
    for label in range(3):
        mask = labels == label
        found = polygons(mask)
        assert sum(_area(ring) for polygon in found for ring in polygon) == np.count_nonzero(mask)
        for outer, *holes in found:
            assert _area(outer) > 0
            assert all(_area(hole) < 0 for hole in holes)
        assert np.array_equal(_inside(found, mask.shape), mask)


def _area(ring: list[list[int]]) -> float:
    assert ring[0] == ring[-1]
    x, y = np.array(ring).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def _inside(found: list[list[list[list[int]]]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which centers of pixels are inside, by the edges that lie to their left."""
    crossed = np.zeros(shape, int)
    for polygon in found:
        for ring in polygon:
            for (x0, y0), (x1, y1) in pairwise(ring):
                assert x0 == x1 or y0 == y1
                if x0 == x1:
                    crossed[min(y0, y1) : max(y0, y1), x0:] += 1
    inside: NDArray[np.bool_] = crossed % 2 == 1
    return inside


def test_rings_have_corners_only() -> None:
    square = np.zeros((9, 9), bool)
    square[2:6, 3:8] = True
    assert polygons(square) == [[[[3, 2], [8, 2], [8, 6], [3, 6], [3, 2]]]]


def test_geojson_names_its_features() -> None:
    labels = label_maps()[2]
    document: dict[str, Any] = geojson(labels, NAMES)
    assert document["type"] == "FeatureCollection"
    facts = [feature["properties"] for feature in document["features"]]
    assert [fact["name"] for fact in facts] == list(NAMES)
    assert sum(fact["pixels"] for fact in facts) == labels.size
    json.dumps(document)


@MAPS
def test_labelme_draws_the_label_map(labels: NDArray[np.uint8]) -> None:
    """As LabelMe does: shapes in order, each filled with its outline, by Pillow."""
    drawing = pytest.importorskip("PIL.ImageDraw")
    image = pytest.importorskip("PIL.Image")
    document: dict[str, Any] = labelme(labels, NAMES, "a.png")
    canvas = image.new("L", (document["imageWidth"], document["imageHeight"]), 99)
    for shape in document["shapes"]:
        assert len(shape["points"]) > 2
        points = [tuple(point) for point in shape["points"]]
        value = NAMES.index(shape["label"])
        drawing.Draw(canvas).polygon(points, outline=value, fill=value)
    assert np.array_equal(np.asarray(canvas), labels)


def test_published_colors_are_those_of_the_papers() -> None:
    ade = load_builtin("ade150").outputs
    colors = published_colors(ade)
    assert colors is not None
    picked = {name: colors[ade.index(name)] for name in ("wall", "sky", "tree", "car", "flag")}
    assert picked == {
        "wall": (120, 120, 120),
        "sky": (6, 230, 230),
        "tree": (4, 200, 3),
        "car": (0, 102, 200),
        "flag": (92, 0, 255),
    }
    context = published_colors(load_builtin("pc59").outputs)
    assert context is not None
    assert context[0] == (180, 120, 120)
    assert published_colors(("road", "car")) is None


def test_every_kind_that_is_asked_for_is_written_and_nothing_else(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    bundle = make_bundle(extras=("confidence", "scores"))
    frame = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    write_picture(tmp_path / "a.png", frame)
    out = tmp_path / "out"
    command = ["run", str(bundle), str(tmp_path / "a.png"), "--out", str(out), "--save"]
    assert main([*command, ",".join(kinds.SUFFIXES)]) == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == sorted(f"a{suffix}" for suffix in kinds.SUFFIXES.values())
    assert np.array_equal(read_picture(out / "a.image.png"), frame)
    stored = cv2.imread(str(out / "a.confidence.png"), cv2.IMREAD_UNCHANGED)
    expected = np.rint(65535 * frame.sum(-1, dtype=np.int32) / 765)
    assert stored.dtype == np.uint16
    assert np.abs(stored - expected).max() <= 1
    labels = cv2.imread(str(out / "a.labels.png"), cv2.IMREAD_UNCHANGED)
    color = read_picture(out / "a.color.png")
    assert len(np.unique(color.reshape(-1, 3), axis=0)) == len(np.unique(labels))
    facts = json.loads((out / "a.json").read_text())
    assert set(facts["files"]) == set(kinds.SUFFIXES) - {"facts"}


def test_only_what_is_asked_for_is_written(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    write_picture(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    out = tmp_path / "out"
    command = ["run", str(make_bundle()), str(tmp_path / "a.png"), "--out", str(out), "--save"]
    assert main([*command, "rle"]) == 0
    assert [path.name for path in out.iterdir()] == ["a.rle.json"]
    assert main([*command, "none"]) == 0
    assert main([*command, "labls"]) == 2
    assert main([*command, "confidence"]) == 2
