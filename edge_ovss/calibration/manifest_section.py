"""The manifest of a calibrated bundle: precision, images, ranges and loss."""

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
from edge_ovss.graph.fp32_islands import summarize_islands

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Made:
    """A graph in a new precision and how it was made.

    Attributes:
        model: The graph.
        half: The conversion to FP16, if there was one.
        quantized: The quantization, if there was one.
        largest: Largest magnitude by tensor on the calibration images, if it was measured.
        emulated: Accuracy with FP16's rounding everywhere, if it was measured.
    """

    model: ir.Model
    half: HalfReport | None
    quantized: Quantized | None
    largest: dict[str, float] | None = None
    emulated: Accuracy | None = None


@dataclass(frozen=True)
class CalibrationOutcome:
    """The accuracy and the speed of a new graph.

    Attributes:
        judged: Accuracy of the new graph.
        base: Accuracy of the float32 graph.
        on: Name of the images.
        race: Speed of the two, if it was compared.
    """

    judged: Accuracy
    base: Accuracy
    on: str
    race: Race | None = None


def write_reports(
    writer: BundleWriter,
    made: Made,
    outcome: CalibrationOutcome,
    options: CalibrateOptions,
    *,
    model: str,
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
    outcome: CalibrationOutcome,
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
        islands=summarize_islands(half.islands) if half else None,
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
    """Return the largest magnitudes by tensor: how close the graph comes to overflow in FP16."""
    names = sorted(largest, key=lambda name: -largest[name])[:count]
    return {name: round(largest[name], 3) for name in names}


def _loss(
    outcome: CalibrationOutcome, options: CalibrateOptions, emulated: Accuracy | None
) -> dict[str, Any]:
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
    # The other graphs are float32 and read weights that this bundle no longer has.
    graph = replace(old.graph, file=GRAPH_FILE, external_data=(DATA_FILE,), spare=None, small=None)
    least = LIMITS[precision.name].reference_agreement
    return replace(
        old,
        tool=ToolInfo(),
        created=now(),
        precision_facts=precision,
        graph=graph,
        reference=replace(old.reference, min_label_agreement=least),
    )
