"""Find categories that a model cannot tell apart: their scores are equal but for rounding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from edge_ovss._progress import CountProgress
from edge_ovss.export.loading import load_for_export
from edge_ovss.export.options import ALWAYS, ExportOptions
from edge_ovss.export.parity_check import FrameCheck
from edge_ovss.export.reference import first_frames
from edge_ovss.metrics.label_comparison import (
    Pair,
    compare_by_scores,
    join_pairs,
    ties_text,
)
from edge_ovss.vocabulary import Finding, Vocabulary

# A smaller share of the pixels is the border between two things, as there is in any image.
WORTH_SAYING = 0.01


def ties_of(frames: Sequence[FrameCheck]) -> tuple[Pair, ...]:
    """Return the pairs that are tied on enough of the pixels of all frames, the most first."""
    return _often((frame.size[0] * frame.size[1], frame.ties) for frame in frames)


def find_ties(
    vocabulary: Vocabulary, options: ExportOptions, *, progress: CountProgress | None = None
) -> tuple[Pair, ...]:
    """Run a model in torch on the frames that exports are compared on, and look for ties.

    Args:
        vocabulary: The words.
        options: The model and its weights.
        progress: Called with (prompts encoded, prompts in all).

    Raises:
        CheckpointError, UsageError: As for an export.
    """
    loaded = load_for_export(vocabulary, options, progress=progress)
    graph = loaded.freeze(options.fit_rejection(len(vocabulary)), (*ALWAYS, "scores"))
    found = []
    for frame in first_frames():
        with torch.inference_mode():
            labels, _, _, scores = graph(torch.from_numpy(frame)[None])
        given = labels[0].numpy()
        compared, _ = compare_by_scores(given, given, scores[0].numpy(), vocabulary)
        found.append((given.size, compared.ties))
    return _often(found)


def _often(frames: Iterable[tuple[int, Sequence[Pair]]]) -> tuple[Pair, ...]:
    return tuple(pair for pair in join_pairs(frames) if pair.share >= WORTH_SAYING)


def tie_findings(vocabulary: Vocabulary, ties: Sequence[Pair]) -> tuple[Finding, ...]:
    """Return the ties as findings of `vocab lint`, each about the later of the two outputs."""
    findings = []
    for pair in ties:
        first, second = (vocabulary.outputs.index(name) for name in pair.outputs)
        index = vocabulary.output_map.index(max(first, second))
        text = vocabulary.categories[index].text
        findings.append(Finding("warning", index, text, ties_text([pair.to_json()])))
    return tuple(findings)
