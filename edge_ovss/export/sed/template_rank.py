"""Template compression: project the templates of a frozen vocabulary onto a lower-rank basis.

The cost map has one channel for each of 80 templates, and both layers that read it are linear:
`conv1` and the first cost-guidance layer. With an orthonormal basis B [P, r] of the templates,
E ≈ B Bᵀ E for the frozen embeddings E; projecting the text once (Bᵀ E) and folding B into the two
layers gives the same graph with r channels instead of P. It is lossy, and off unless asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_ovss.errors import UsageError
from edge_ovss.export.family import CompressionReport
from edge_ovss.export.sed.first_score import FirstScore
from edge_ovss.export.sed.frozen import FrozenSed
from edge_ovss.metrics.confusion import count_confusion
from edge_ovss.metrics.miou import score_confusion
from edge_ovss.models.text import imagenet_templates

# Labels that a rank chosen by "auto" keeps, on the images that it is chosen on.
MIN_AGREEMENT = 0.995


def check_rank(rank: int | str) -> None:
    """Refuse a rank that is neither "auto" nor between 1 and the number of templates.

    Raises:
        UsageError: With what was given.
    """
    templates = len(imagenet_templates())
    if rank != "auto" and not (isinstance(rank, int) and 1 <= rank <= templates):
        message = f"--template-rank is {rank}; expected 1 to {templates}, or 'auto'."
        raise UsageError(message, hint=f"There are {templates} templates.")


def template_basis(text: Tensor, templates: int) -> tuple[Tensor, Tensor]:
    """Find the directions in which the templates of a vocabulary vary.

    Args:
        text: float32 [T·P, D], the frozen graph's constant.
        templates: P.

    Returns:
        Orthonormal basis float32 [P, P], the most important column first, and the share of the
        squared norm that the first 1, 2, … P columns keep, float64 [P].
    """
    rows = text.view(-1, templates, text.shape[1]).double()
    moment = torch.einsum("tpd,tqd->pq", rows, rows)
    values, vectors = torch.linalg.eigh(moment)
    order = torch.arange(templates - 1, -1, -1)
    energy = values[order].clamp(min=0).cumsum(0)
    return vectors[:, order].float(), energy / energy[-1]


def compress_templates(graph: FrozenSed, rank: int) -> float:
    """Replace the P template channels of a frozen graph by `rank`, in place.

    Returns:
        The share of the embeddings' squared norm that is kept.
    """
    templates = graph.templates
    basis, energy = template_basis(graph.text, templates)
    basis = basis[:, :rank]
    text = graph.text.view(graph.categories, templates, -1)
    projected = torch.einsum("tpd,pr->trd", text, basis)
    graph.text = projected.flatten(0, 1).contiguous()
    graph.conv1 = _fold_conv(graph.conv1, basis)
    graph.first_score = FirstScore(graph.conv1, graph.decoder.head0, size=graph.coarse)
    first: Any = graph.cost_guidance[0]
    graph.cost_guidance[0] = nn.Sequential(_fold_transposed(first[0], basis), *first[1:])
    graph.templates = rank
    return float(energy[rank - 1])


def _fold_conv(conv: nn.Conv2d, basis: Tensor) -> nn.Conv2d:
    rank = basis.shape[1]
    folded = nn.Conv2d(rank, conv.out_channels, conv.kernel_size[0], padding=conv.padding[0])
    with torch.no_grad():
        folded.weight.copy_(torch.einsum("opyx,pr->oryx", conv.weight, basis))
        folded.bias.copy_(conv.bias)  # type: ignore[union-attr, arg-type]
    return folded.eval()


def _fold_transposed(conv: nn.ConvTranspose2d, basis: Tensor) -> nn.ConvTranspose2d:
    folded = nn.ConvTranspose2d(basis.shape[1], conv.out_channels, 2, stride=2)
    with torch.no_grad():
        folded.weight.copy_(torch.einsum("poyx,pr->royx", conv.weight, basis))
        folded.bias.copy_(conv.bias)  # type: ignore[union-attr, arg-type]
    return folded.eval()


def apply_rank(
    graph: FrozenSed,
    rank: int | str,
    *,
    fresh: Callable[[], FrozenSed],
    frames: Sequence[NDArray[np.uint8]],
) -> CompressionReport:
    """Compress a graph and measure what that does to the labels of `frames`.

    Args:
        graph: The graph to compress, in place.
        rank: 1 to P, or "auto" for the smallest rank of a halving ladder that keeps
            `MIN_AGREEMENT` of the labels.
        fresh: Makes the uncompressed graph again.
        frames: uint8 [H, W, 3] RGB each, at least one.

    Raises:
        UsageError: `rank` is out of range.
    """
    templates = graph.templates
    check_rank(rank)
    full = _labels(graph, frames)
    if rank == "auto":
        tried = [(templates, 1.0)]
        for candidate in _ladder(templates):
            trial = fresh()
            compress_templates(trial, candidate)
            agreement, _ = agreement_and_miou(full, _labels(trial, frames))
            tried.append((candidate, agreement))
            if agreement < MIN_AGREEMENT:
                break
        rank = smallest_rank(tried, at_least=MIN_AGREEMENT)
    energy = compress_templates(graph, int(rank))
    agreement, miou = agreement_and_miou(full, _labels(graph, frames))
    return CompressionReport(int(rank), templates, energy, agreement, miou, len(frames))


def _ladder(templates: int) -> list[int]:
    steps = (0.75, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05)
    return sorted({max(1, round(templates * step)) for step in steps}, reverse=True)


def _labels(
    graph: FrozenSed, frames: Sequence[NDArray[np.uint8]]
) -> list[NDArray[np.integer[Any]]]:
    place = graph.outputs.index("labels")
    with torch.inference_mode():
        return [graph(torch.from_numpy(np.array(f))[None])[place].numpy() for f in frames]


def smallest_rank(agreements: Sequence[tuple[int, float]], *, at_least: float) -> int:
    """Return the smallest rank whose label agreement is enough, or the largest that was tried.

    Args:
        agreements: Pairs of rank and label agreement.
        at_least: The agreement that is enough.

    Raises:
        ValueError: Nothing was tried.
    """
    if not agreements:
        message = "No rank was tried."
        raise ValueError(message)
    good = [rank for rank, agreement in agreements if agreement >= at_least]
    return min(good) if good else max(rank for rank, _ in agreements)


def agreement_and_miou(
    full: Sequence[NDArray[np.integer[Any]]], given: Sequence[NDArray[np.integer[Any]]]
) -> tuple[float, float]:
    """Label agreement and mIoU of `given`, taking `full` as the truth, over all images."""
    a = np.concatenate([labels.ravel() for labels in full]).astype(np.int64)
    b = np.concatenate([labels.ravel() for labels in given]).astype(np.int64)
    classes = int(max(a.max(), b.max())) + 1
    matrix = count_confusion(a, b, classes=classes)
    scores = score_confusion(matrix, [str(index) for index in range(classes)])
    return float((a == b).mean()), scores.miou("d2-main")
