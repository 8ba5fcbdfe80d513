"""What a calibrated bundle says about itself: precision, pictures, ranges and loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edge_ovss._files import write_json
from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.manifest import DATA_FILE, GRAPH_FILE, Manifest, now
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.sections import Precision, ToolInfo
from edge_ovss.bundle.tolerances import LIMITS
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

if TYPE_CHECKING:
    import onnx_ir as ir


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
    source: Bundle,
    made: Made,
    outcome: Outcome,
    options: CalibrateOptions,
    pictures: CalibrationPictures,
) -> Precision:
    """Return the manifest's section `precision`."""
    found, half = made.quantized, made.half
    return Precision(
        name=options.precision,
        base=options.float_base,
        target=options.target,
        calibration={
            **pictures.to_json(),
            "method": options.method.title if found else "minmax",
        },
        loss=_loss(outcome, options, made.emulated),
        islands=summarise_islands(half.islands) if half else None,
        half_nodes=len(half.half_nodes) if half else None,
        casts=half.casts if half else None,
        largest=_top(made.largest or {}) if half else None,
        quantized={b: found.candidates.blocks[b] for b in found.blocks} if found else None,
        excluded=dict(sorted(found.excluded.items())) if found else None,
        ranges=found.ranges if found else None,
        recipe={"excluded": found.in_float, "file": RECIPE_FILE} if found else None,
        speed=outcome.race.to_json() if outcome.race else None,
        made_from={"graph_sha256": graph_hash(source)},
    )


def _top(largest: dict[str, float], count: int = 10) -> dict[str, float]:
    """Return the tensors with the largest magnitudes: how near FP16's end the graph comes."""
    names = sorted(largest, key=lambda name: -largest[name])[:count]
    return {name: round(largest[name], 3) for name in names}


def _loss(outcome: Outcome, options: CalibrateOptions, emulated: Accuracy | None) -> dict[str, Any]:
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
    if emulated is not None:
        loss["emulated_label_agreement"] = emulated.agreement
        loss["emulated_miou"] = emulated.miou
    return loss


def calibrated_manifest(source: Bundle, precision: Precision) -> Manifest:
    """Return the manifest of the new bundle, without the files."""
    old = source.manifest
    # The spare graph is float32 and reads weights that this bundle has no more.
    graph = replace(old.graph, file=GRAPH_FILE, external_data=(DATA_FILE,), spare=None)
    least = LIMITS[precision.name].reference_agreement
    return replace(
        old,
        tool=ToolInfo(),
        created=now(),
        precision_facts=precision,
        graph=graph,
        reference=replace(old.reference, min_label_agreement=least),
    )
