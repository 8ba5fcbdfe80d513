"""What a calibrated bundle says about itself: precision, pictures, ranges and loss."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_ovss._files import write_json
from edge_ovss._version import VERSION
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.writer import BundleWriter
from edge_ovss.calibration.accuracy import Accuracy
from edge_ovss.calibration.images import CalibrationPictures
from edge_ovss.calibration.int8 import Quantized
from edge_ovss.calibration.options import CalibrateOptions
from edge_ovss.calibration.race import Race
from edge_ovss.calibration.recipe import RECIPE_FILE, Recipe
from edge_ovss.calibration.tables import write_tables
from edge_ovss.graph.fp16 import HalfReport
from edge_ovss.graph.fp32_islands import summarise_islands
from edge_ovss.runtime.reference_check import MIN_LABEL_AGREEMENT

if TYPE_CHECKING:
    import onnx_ir as ir

GRAPH_FILE = "model.onnx"
DATA_FILE = "model.onnx.data"


@dataclass(frozen=True)
class Made:
    """A graph of another precision and how it came about.

    Attributes:
        model: The graph.
        half: What became FP16, if anything.
        quantized: What became INT8, if anything.
        largest: Largest magnitude by tensor on the calibration pictures, if it was measured.
        emulated: What it reaches with FP16's rounding everywhere, if that was judged.
    """

    model: ir.Model
    half: HalfReport | None
    quantized: Quantized | None
    largest: dict[str, float] | None = None
    emulated: Accuracy | None = None


@dataclass(frozen=True)
class Outcome:
    """What a new graph reaches.

    Attributes:
        judged: With the new graph.
        base: With the float32 graph.
        on: Name of the pictures.
        race: Speed of the two, if they were raced.
    """

    judged: Accuracy
    base: Accuracy
    on: str
    race: Race | None = None


def write_reports(
    writer: BundleWriter, made: Made, outcome: Outcome, options: CalibrateOptions, *, model: str
) -> None:
    """Write the recipe and, if blocks were measured, the tables into a bundle.

    Raises:
        OutputError: A file cannot be written.
    """
    found = made.quantized
    if found is None:
        return
    drop = outcome.judged.drop_from(outcome.base)
    recipe = Recipe(model, found.in_float, options.method.title, drop)
    write_json(writer.path(RECIPE_FILE), recipe.to_json())
    if found.costs:
        title = f"{model}: INT8 ({options.target}), {options.method.title}"
        write_tables(writer.folder, found.costs, found.steps, title)


def precision_facts(
    made: Made, outcome: Outcome, options: CalibrateOptions, pictures: CalibrationPictures
) -> dict[str, Any]:
    """Return the manifest's section `precision`."""
    facts: dict[str, Any] = {
        "name": options.precision,
        "base": options.float_base,
        "target": options.target,
        "calibration": {
            **pictures.to_json(),
            "method": options.method.title if made.quantized else "minmax",
        },
        "loss": _loss(outcome, options),
    }
    if made.half is not None:
        facts["islands"] = summarise_islands(made.half.islands)
        facts["half_nodes"] = len(made.half.half_nodes)
        facts["casts"] = made.half.casts
        facts["largest"] = _top(made.largest or {})
    if made.emulated is not None:
        facts["loss"]["emulated_label_agreement"] = made.emulated.agreement
        facts["loss"]["emulated_miou"] = made.emulated.miou
    facts |= _int8_facts(made)
    if outcome.race is not None:
        facts["speed"] = outcome.race.to_json()
    return facts


def _int8_facts(made: Made) -> dict[str, Any]:
    found = made.quantized
    if found is None:
        return {}
    return {
        "quantized": {block: list(found.candidates.blocks[block]) for block in found.blocks},
        "excluded": dict(sorted(found.excluded.items())),
        "ranges": {name: list(edges) for name, edges in found.ranges.items()},
        "recipe": {"excluded": list(found.in_float), "file": RECIPE_FILE},
    }


def _top(largest: dict[str, float], count: int = 10) -> dict[str, float]:
    """Return the tensors with the largest magnitudes: how near FP16's end the graph comes."""
    names = sorted(largest, key=lambda name: -largest[name])[:count]
    return {name: round(largest[name], 3) for name in names}


def _loss(outcome: Outcome, options: CalibrateOptions) -> dict[str, Any]:
    base, judged = outcome.base, outcome.judged
    loss: dict[str, Any] = {
        "against": "fp32",
        "backend": "onnxruntime",
        "on": outcome.on,
        "pictures": judged.pictures,
        "label_agreement": judged.agreement,
        "worst_label_agreement": judged.worst_agreement,
        "decided_label_agreement": judged.decided_agreement,
    }
    if judged.miou is not None:
        loss |= {
            "fp32_miou": base.miou,
            "miou": judged.miou,
            "miou_drop": judged.drop_from(base),
            "budget": options.max_miou_drop,
            "losers": judged.losers(base),
        }
    return loss


def calibrated_manifest(
    source: Bundle, facts: dict[str, Any], options: CalibrateOptions
) -> dict[str, Any]:
    """Return the manifest of the new bundle, without "files"."""
    document: dict[str, Any] = {k: v for k, v in source.manifest.document.items() if k != "files"}
    # The spare graph is float32 and reads weights that this bundle has no more.
    document["graph"] = {k: v for k, v in document["graph"].items() if k != "spare"}
    old = source.manifest
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        **document,
        "tool": {"name": "edge-ovss", "version": VERSION},
        "created": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "precision": {**facts, "made_from": {"graph_sha256": old.files[old.graph.file].sha256}},
        "graph": {**document["graph"], "file": GRAPH_FILE, "external_data": [DATA_FILE]},
        "reference": {
            **document["reference"],
            "min_label_agreement": MIN_LABEL_AGREEMENT[options.precision],
        },
    }
