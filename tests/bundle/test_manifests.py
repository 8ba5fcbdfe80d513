"""Manifests are read and written typed, and say what they said before."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from golden_manifests import FOLDER, as_text, golden, steady

from edge_ovss.bundle.manifest import Manifest
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.sections import ImageSpec, WeightsInfo
from edge_ovss.errors import BundleError

NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
CALIBRATED = [name for name in NAMES if name.endswith(("fp16", "tensorrt", "cpu"))]
PICTURES = "synthetic://street?count=2&seed=100&size=96x128"

torch_only = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "onnxscript", "open_clip")),
    reason="torch, onnxscript or open_clip is not installed",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_manifest_that_was_read_is_written_as_it_was(name: str) -> None:
    manifest = Manifest.from_json(json.loads(golden(name)))
    assert as_text(manifest.to_json()) == golden(name)
    assert manifest.others == {}


def test_keys_of_a_later_version_are_written_again() -> None:
    document = json.loads(golden("sed-slots"))
    document["live"] = {"fps": 30}
    document["picture"]["gamma"] = 2.2
    document["precision"]["base"] = 7  # of another type than this version knows
    manifest = Manifest.from_json(document)
    assert manifest.to_json() == document
    assert manifest.precision_facts.base is None
    changed = replace(manifest, graph=replace(manifest.graph, spare=None)).to_json()
    assert changed["live"] == {"fps": 30}


def test_what_is_taken_out_does_not_come_back() -> None:
    manifest = Manifest.from_json(json.loads(golden("sed-spare")))
    assert manifest.graph.spare is not None
    document: Any = replace(manifest, graph=replace(manifest.graph, spare=None)).to_json()
    assert "spare" not in document["graph"]


@pytest.mark.parametrize(("count", "fits"), [(1, True), (4, True), (5, False), (11, False)])
def test_the_small_graph_is_for_words_that_all_have_a_slot(count: int, fits: bool) -> None:
    document = json.loads(golden("sed-small"))
    document["vocabulary"].update(categories=count, outputs=count)
    manifest = Manifest.from_json(document)
    assert manifest.fits_small == fits
    small = manifest.with_other_graph("small")
    assert small is not None
    assert small.graph.file == "small.onnx"
    assert small.open is not None
    assert (small.rejection.slots, small.open.least) == ((4, 4, 4), 4)
    assert not small.fits_small  # it has no other graphs itself
    assert manifest.with_other_graph("spare") is None


def test_a_small_graph_goes_with_slots() -> None:
    document = json.loads(golden("sed-small"))
    document["rejection"].update(mode="none", slots=None)
    with pytest.raises(BundleError, match="rejection is 'none', but its small graph has slots"):
        Manifest.from_json(document).with_other_graph("small")


def test_an_older_manifest_gains_no_keys() -> None:
    document = json.loads(golden("sed-slots"))
    del document["output"]["answer"], document["text_tower"], document["reference"]["lead"]
    manifest = Manifest.from_json(document)
    assert manifest.to_json() == document
    assert manifest.output.answer == "published"


@pytest.mark.parametrize(
    ("places", "outputs", "said"),
    [
        (2, (), "at most 2, as 'open.places' says"),
        (16, ("labels", "alive", "counts", "scores"), "'confidence' too"),
        (300, (), "'uint16' for 300 places"),
    ],
)
def test_an_open_manifest_has_room_for_its_words(
    places: int, outputs: tuple[str, ...], said: str
) -> None:
    document = json.loads(golden("sed-slots"))
    document["output"]["outputs"].append("confidence")
    sizes = {"places": 16, "least": 16, "prompts": 1, "width": 4}
    document["open"] = {**sizes, "file": "words.f32", "made_by": "export"}
    assert Manifest.from_json(document).open is not None
    document["open"].update(places=places, least=1)
    document["output"]["outputs"] = list(outputs or document["output"]["outputs"])
    with pytest.raises(BundleError, match=said):
        Manifest.from_json(document)


@torch_only
def test_models_and_bundles_share_their_classes() -> None:
    from edge_ovss.bundle.rejection import Rejection
    from edge_ovss.export import Rejection as Exported
    from edge_ovss.models import PictureSpec, WeightsOrigin

    assert PictureSpec is ImageSpec
    assert WeightsOrigin is WeightsInfo
    assert Exported is Rejection


@torch_only
def test_the_exporter_writes_what_it_wrote(tiny_bundle: Path) -> None:
    document = json.loads((tiny_bundle / "manifest.json").read_text())
    assert as_text(steady(document)) == golden("sed-slots")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that exports one of the golden float32 bundles, once."""
    from edge_ovss.export import ExportOptions, Rejection, export_bundle

    made: dict[str, dict[str, Any]] = {
        "sed-slots": {"rejection": Rejection(topk=2, slots=(8, 8, 8))},
        "sed-dynamic": {"rejection": Rejection("dynamic", topk=2)},
        "sed-none": {"rejection": Rejection("none")},
        "sed-spare": {"rejection": Rejection(topk=2, slots=(8, 4, 2)), "spare_slots": "all"},
        "sed-small": {
            "rejection": Rejection(topk=2, slots=(8, 8, 8)),
            "open_places": 16,
            "small_slots": (4, 4, 4),
        },
        "san-none": {"model": "san-tiny"},
    }
    folder = tmp_path_factory.mktemp("golden")

    def export(name: str) -> Path:
        out = folder / f"{name}.ovss"
        if not out.exists():
            outputs = tuple(json.loads(golden(name))["output"]["outputs"])
            wanted = ("labels", *outputs[3:])
            options = ExportOptions(weights="random", size=(64, 96), outputs=wanted, **made[name])
            export_bundle("camvid", out, options)
        return out

    return export


@torch_only
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name not in CALIBRATED])
def test_every_export_writes_what_it_wrote(exported: Callable[[str], Path], name: str) -> None:
    document = json.loads((exported(name) / "manifest.json").read_text())
    assert as_text(steady(document)) == golden(name)


@torch_only
@pytest.mark.slow
@pytest.mark.parametrize("name", CALIBRATED)
def test_every_calibration_writes_what_it_wrote(
    exported: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    from edge_ovss.calibration import CalibrateOptions, calibrate_bundle

    family, rejection, precision, *target = name.split("-")
    source = exported(f"{family}-{rejection}")
    options = CalibrateOptions(precision, PICTURES, target=[*target, "tensorrt"][0])
    made = calibrate_bundle(source, tmp_path / "made.ovss", options).bundle
    assert as_text(steady(made.manifest.document)) == golden(name)
    assert Bundle.open(made.path).manifest == made.manifest
