"""From a loaded model to the graph that is exported."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_ovss._addresses import shown_address
from edge_ovss._progress import Note
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.export.family import CompressionReport, FrozenGraph, LoadedModel
from edge_ovss.export.graph_files import with_scores
from edge_ovss.export.options import ALWAYS, ExportOptions
from edge_ovss.export.slots import SlotChoice, choose_slots, measure_counts
from edge_ovss.frames.sources import open_source
from edge_ovss.models.catalogue import PUBLISHED

_STREETS = "synthetic://street?count=4&seed=7000010"


@dataclass(frozen=True)
class FrozenModel:
    """A model as a graph, and what was measured to make it.

    Attributes:
        loaded: The model.
        graph: Its graph, with scores among its outputs.
        slots: How the slots were chosen, None if they were not measured.
        compression: What is left after a compression of the templates, None without one.
    """

    loaded: LoadedModel
    graph: FrozenGraph
    slots: SlotChoice | None
    compression: CompressionReport | None

    @property
    def exact(self) -> bool:
        """Whether the graph computes what was published."""
        return self.loaded.answer == PUBLISHED and self.compression is None


def freeze_model(
    loaded: LoadedModel, options: ExportOptions, rejection: Rejection, note: Note
) -> FrozenModel:
    """Freeze the vocabulary into the model, with measured slots and compression if asked for.

    Args:
        loaded: The model.
        options: Outputs, slots and template rank.
        rejection: Fitted to the vocabulary.
        note: Called with one line of text at every step.
    """
    choice = _measure_slots(loaded, options.slots_from, rejection, note)
    if choice is not None:
        rejection = replace(rejection, slots=choice.slots).fit(loaded.room)
    graph = loaded.freeze(rejection, with_scores(options.all_outputs))
    return FrozenModel(loaded, graph, choice, _compress(loaded, graph, options, note))


def _measure_slots(
    loaded: LoadedModel, source: str | None, rejection: Rejection, note: Note
) -> SlotChoice | None:
    if source is None or rejection.mode != "slots":
        return None
    note(f"choosing slots from {shown_address(source)}")
    probe = loaded.freeze(Rejection("dynamic", topk=rejection.k), ALWAYS)
    counts = measure_counts(probe, source)
    choice = choose_slots(counts, topk=rejection.k, categories=loaded.room)
    slots = ",".join(map(str, choice.slots))
    note(
        f"slots {slots} chosen from {len(counts)} images; "
        f"{100 * choice.overflow:.1f} % of them would overflow"
    )
    return choice


def _compress(
    loaded: LoadedModel, graph: FrozenGraph, options: ExportOptions, note: Note
) -> CompressionReport | None:
    compress = loaded.family.compress
    if options.template_rank is None or compress is None:
        return None
    note("compressing the templates")
    report = compress(
        graph,
        options.template_rank,
        fresh=lambda: loaded.freeze(graph.rejection, graph.outputs),
        frames=_some(options.pictures or _STREETS, options.most_pictures, options.seed),
    )
    note(
        f"template rank {report.rank} of {report.templates}: {100 * report.energy:.2f} % of the "
        f"energy, {100 * report.label_agreement:.2f} % of the labels on {report.pictures} images"
    )
    return report


def _some(source: str, most: int | None, seed: int) -> list[NDArray[np.uint8]]:
    """Return the images of a source, or so many of them, each as likely as the others."""
    chance = random.Random(seed)
    kept: list[NDArray[np.uint8]] = []
    for number, frame in enumerate(open_source(source)):
        if most is None or number < most:
            kept.append(frame.image)
        elif (place := chance.randint(0, number)) < most:
            kept[place] = frame.image
    return kept
