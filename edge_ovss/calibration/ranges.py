"""Measure the ranges of tensors on real images; a cache keeps them by graph and images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_ovss._files import cache_folder, make_folder, write_json
from edge_ovss._strict_parsing import read_json
from edge_ovss.bundle.contract import Arrays
from edge_ovss.calibration.histograms import (
    METHODS,
    Histogram,
    Range,
    entropy_range,
    include_zero,
    percentile_range,
)
from edge_ovss.calibration.warnings import caution
from edge_ovss.errors import ArtifactError, OutputError, UsageError
from edge_ovss.graph.tensor_probe import TensorProbe, samples
from edge_ovss.graph.walk import float_outputs

if TYPE_CHECKING:
    import onnx_ir as ir

PERCENTILE = 99.99

_FORMAT = 2

Pictures = Iterable[NDArray[np.uint8]]


@dataclass(frozen=True)
class RangeMethod:
    """How ranges are chosen.

    Attributes:
        name: One of `METHODS`.
        percentile: Percentile of the method "percentile".
    """

    name: str = "minmax"
    percentile: float = PERCENTILE

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            message = f"Method '{self.name}' is unknown; expected one of: {', '.join(METHODS)}."
            raise UsageError(message)
        if not 50.0 < self.percentile <= 100.0:
            message = f"The percentile is {self.percentile}; expected above 50, at most 100."
            raise UsageError(message, hint="For example 99.99.")
        if self.name != "percentile" and self.percentile != PERCENTILE:
            message = f"The percentile {self.percentile} is given with the method '{self.name}'."
            raise UsageError(message, hint="It goes with the method 'percentile'.")

    @property
    def title(self) -> str:
        """The name, with the number where there is one, exactly: it is a key of the cache."""
        if self.name != "percentile":
            return self.name
        return f"percentile {float(self.percentile)!r}".removesuffix(".0")

    def choose(self, histogram: Histogram) -> Range:
        """Return the range of one tensor."""
        if self.name == "entropy":
            return entropy_range(histogram)
        if self.name == "percentile":
            return percentile_range(histogram, self.percentile)
        return include_zero(histogram.low, histogram.high)


def measure_ranges(
    model: ir.Model,
    pictures: Pictures,
    tensors: Sequence[str],
    method: RangeMethod | None = None,
    *,
    key: str | None = None,
    words: Arrays | None = None,
) -> dict[str, Range]:
    """Measure ranges, or read them from the cache.

    Args:
        model: The graph.
        pictures: Images, uint8 [H, W, 3]; iterated once or twice.
        tensors: Names of float tensors of the graph.
        method: How ranges are chosen; by default from the lowest to the highest value.
        key: Hash of graph and images; None goes without the cache. A cache that cannot be
            written is warned about.
        words: `text` and `places` of an open graph.

    Returns:
        (lowest, highest) by tensor, with 0 between them.

    Raises:
        ArtifactError: A value is NaN or infinite, or the graph fails.
    """
    method = method or RangeMethod()
    stored = _cache_file(key, tensors, method)
    if stored is not None and (found := _read_cache(stored, tensors)) is not None:
        return found
    edges = find_edges(TensorProbe(model, tensors, words=words), pictures)
    if method.name == "minmax":
        ranges = {name: include_zero(*edge) for name, edge in edges.items()}
    else:
        histograms = {name: Histogram(*edge) for name, edge in edges.items()}
        probe = TensorProbe(model, tensors, look=samples, words=words)
        for image in pictures:
            for name, values in probe.run(image):
                histograms[name].add(values)
        ranges = {name: method.choose(each) for name, each in histograms.items()}
    if stored is not None:
        _write_cache(stored, ranges)
    return ranges


def measure_largest(
    model: ir.Model, pictures: Pictures, *, key: str | None, words: Arrays | None = None
) -> dict[str, float]:
    """Return the largest magnitude of every float tensor; see `measure_ranges`."""
    ranges = measure_ranges(model, pictures, float_tensors(model), key=key, words=words)
    return {name: max(-low, high) for name, (low, high) in ranges.items()}


def find_edges(probe: TensorProbe, pictures: Pictures) -> dict[str, Range]:
    """Return the lowest and highest value of every tensor over all images.

    Raises:
        ArtifactError: A value is NaN or infinite; with the name of the tensor.
    """
    edges: dict[str, Range] = {}
    for image in pictures:
        for name, (low, high, total) in probe.run(image):
            if not np.isfinite([low, high, total]).all():
                message = f"Tensor '{name}' is not finite on a calibration image."
                hint = (
                    "In FP32 the checkpoint is damaged; in FP16 the value is too large: keep FP32."
                )
                raise ArtifactError(message, hint=hint)
            before = edges.get(name, (float(low), float(high)))
            edges[name] = (min(before[0], float(low)), max(before[1], float(high)))
    return edges


def float_tensors(model: ir.Model) -> list[str]:
    """Return the names of all float tensors that nodes make."""
    return [str(value.name) for node in model.graph for value in float_outputs(node)]


def _cache_file(key: str | None, tensors: Sequence[str], method: RangeMethod) -> Path | None:
    folder = cache_folder()
    if folder is None or key is None:
        return None
    digest = hashlib.sha256(json.dumps([key, list(tensors), method.title]).encode())
    return folder / "ranges" / f"{digest.hexdigest()[:32]}.json"


def _read_cache(path: Path, tensors: Sequence[str]) -> dict[str, Range] | None:
    """Return the stored ranges, or None if they are damaged or of a different format."""
    try:
        document = read_json(path)
        stored = document["ranges"]
        if document["format"] != _FORMAT or set(stored) != set(tensors):
            return None
        if document["sha256"] != _digest(stored):  # a wrong digit would still be read
            return None
        return {name: (float(stored[name][0]), float(stored[name][1])) for name in tensors}
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def _digest(ranges: Mapping[str, Sequence[float]]) -> str:
    plain = {name: list(edges) for name, edges in ranges.items()}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _write_cache(path: Path, ranges: dict[str, Range]) -> None:
    """Keep ranges. A failure is only a warning: they took long to measure and are not lost."""
    try:
        make_folder(path.parent)
        write_json(path, {"format": _FORMAT, "sha256": _digest(ranges), "ranges": ranges})
    except OutputError as err:
        caution(
            f"The ranges are not kept for the next run. {err.message} "
            "Set EDGE_OVSS_CACHE to a writable folder, or to nothing."
        )
