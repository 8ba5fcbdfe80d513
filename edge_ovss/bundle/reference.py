"""The reference answer of a bundle: a frame and what the exporter saw, written, read and compared.

It is what torch, or for a precision below FP32 ONNX Runtime on a CPU, gave for the same graph. So
what is allowed in a comparison is another rounding, not the loss of the precision: that is measured
against torch and on labeled images. A label counts where the reference is decided
(`edge_ovss.bundle.decisive`). FP32 differs between devices in its last digits only, and must give
the same categories. In FP16 and INT8 a rounding may change which of two categories that hardly
matter survives, and how many wanted to; the labels show what such a change does to the label map.
The limits stand in `edge_ovss.bundle.tolerances` and not in the bundle: a manifest may ask for
more, never for less. The C++ library has the same rule (runtime/src/acceptance.cpp).

The files are read without trust (`edge_ovss.bundle.npy`).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.decisive import (
    is_decided_with_unknown,
    pack_lead,
    tolerance_of,
    unpack_lead,
    with_unknown,
)
from edge_ovss.bundle.manifest import Manifest
from edge_ovss.bundle.npy import read_array, refuse_array, shape_text
from edge_ovss.bundle.sections import ReferenceInfo
from edge_ovss.bundle.tolerances import EXACT, LIMITS
from edge_ovss.errors import BundleError


@dataclass(frozen=True)
class Reference:
    """A frame and its answer.

    Attributes:
        frame: uint8 [H, W, 3].
        labels: [H, W].
        alive: int32 [n], −1 for an empty slot.
        counts: int32 [3].
        lead: [H, W] in [0, 1], by how much the label leads; None where it is not known, as in
            bundles of versions before it: then every label counts.
        measure: float32 [H, W], what thresholds of "unknown" are compared with; None where the
            graph takes none. The labels are those of thresholds of 0.
    """

    frame: NDArray[np.uint8]
    labels: NDArray[Any]
    alive: NDArray[np.int32]
    counts: NDArray[np.int32]
    lead: NDArray[Any] | None = None
    measure: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Rule:
    """What is asked of an answer.

    Attributes:
        min_agreement: Least share of equal labels among those that count.
        same_survivors: Whether the same categories must survive, and the counts be equal.
        precision: In which the answer is computed; tells which labels count.
    """

    min_agreement: float
    same_survivors: bool
    precision: str = EXACT


@dataclass(frozen=True)
class Comparison:
    """A comparison with the reference answer.

    Attributes:
        rule: What was asked.
        agreement: Share of equal labels among those that count, 0 to 1; 1 where none does.
        same_alive: Whether the surviving categories are the same set.
        same_counts: Whether the counts are equal.
        undecided: Share of pixels whose label does not count; None where that is not known.
    """

    rule: Rule
    agreement: float
    same_alive: bool
    same_counts: bool
    undecided: float | None = None

    @property
    def survivors_count(self) -> bool:
        """Whether the survivors must be the same; where no label counts they are all there is."""
        return self.rule.same_survivors or self.undecided == 1.0

    def __bool__(self) -> bool:
        survivors = (self.same_alive and self.same_counts) or not self.survivors_count
        return self.agreement >= self.rule.min_agreement and survivors


class Answer(Protocol):
    """What is compared: labels [H, W], alive int32 [n] without empty slots, counts int32 [3]."""

    @property
    def labels(self) -> NDArray[Any]:
        """Labels [H, W]."""

    @property
    def alive(self) -> NDArray[np.int32]:
        """Surviving categories, int32 [n]."""

    @property
    def counts(self) -> NDArray[np.int32]:
        """Categories that wanted to stay, int32 [3]."""


def reference_info(precision: str, *, lead: bool = True, measure: bool = True) -> ReferenceInfo:
    """Return the manifest's section for the reference answer of a new bundle."""
    return ReferenceInfo(
        frame="reference/frame.npy",
        labels="reference/labels.npy",
        alive="reference/alive.npy",
        counts="reference/counts.npy",
        lead="reference/lead.npy" if lead else None,
        measure="reference/measure.npy" if measure else None,
        min_label_agreement=LIMITS[precision].reference_agreement,
    )


def write_reference(
    place: Callable[[str], Path], info: ReferenceInfo, reference: Reference
) -> None:
    """Write the files of a reference answer, as docs/bundle.md describes them.

    Args:
        place: From a name in the bundle to where it is written.
        info: Names of the files.
        reference: What is written; `alive` with its empty slots.
    """
    for part, data in reference_files(reference).items():
        name = getattr(info, part)
        if name is not None:
            place(name).write_bytes(data)


def reference_files(reference: Reference) -> dict[str, bytes]:
    """Return the content of the files of a reference answer, by field of `ReferenceInfo`."""
    arrays: dict[str, NDArray[Any]] = {
        "frame": reference.frame,
        "labels": reference.labels,
        "alive": reference.alive,
        "counts": reference.counts,
    }
    if reference.lead is not None:
        arrays["lead"] = pack_lead(reference.lead)
    if reference.measure is not None:
        arrays["measure"] = reference.measure.astype(np.float32)
    return {part: _npy(array) for part, array in arrays.items()}


def _npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
    return stream.getvalue()


def load_reference(manifest: Manifest, folder: Path) -> Reference:
    """Read the reference answer of a bundle; a leading axis of 1 is dropped.

    Args:
        manifest: Of the bundle; names and sizes of the files have been checked.
        folder: The bundle.

    Raises:
        BundleError: A file is no array of the right dtype and rank, or they do not fit together.
    """
    info = manifest.reference
    frame = read_array(folder / info.frame, info.frame, "uint8", rank=3)
    labels = read_array(folder / info.labels, info.labels, manifest.output.labels_dtype, rank=2)
    alive = read_array(folder / info.alive, info.alive, "int32", rank=1)
    counts = read_array(folder / info.counts, info.counts, "int32", rank=1)
    _check_shapes("frame", frame.shape, (*labels.shape, 3))
    lead = None
    if info.lead is not None:
        lead = unpack_lead(read_array(folder / info.lead, info.lead, "uint16", rank=2))
        _check_shapes("lead", lead.shape, labels.shape)
    measure = None
    if info.measure is not None:
        measure = read_array(folder / info.measure, info.measure, "float32", rank=2)
        _check_shapes("measure", measure.shape, labels.shape)
    return Reference(frame, labels, alive, counts, lead, measure)


def check_reference(manifest: Manifest, folder: Path) -> None:
    """Compare the reference answer with the manifest and with itself.

    Args:
        manifest: Of the bundle; names and sizes of the files have been checked.
        folder: The bundle.

    Raises:
        BundleError: It is no answer that this bundle could give.
    """
    info, words = manifest.reference, manifest.vocabulary
    found = load_reference(manifest, folder)
    _check_range(info.labels, found.labels, 0, words.outputs - 1)
    _check_range(info.alive, found.alive, -1, words.categories - 1)
    _check_range(info.counts, found.counts, 0, words.categories)
    _check_places(manifest, found.alive, found.counts)
    if manifest.unknown is not None and found.measure is None:
        message = "The graph takes thresholds, but 'reference.measure' is missing in manifest.json."
        raise BundleError(message, hint="Export the bundle again.")


def rule_for(manifest: Manifest, precision: str | None = None) -> Rule:
    """Return the rule of a bundle.

    Args:
        manifest: Of the bundle. It may ask for more than the code does, not for less; a precision
            that is not known is treated like FP32.
        precision: In which the labels are computed (`Segmenter.precision`), where that may be less
            than the graph's; None for the graph's.
    """
    known = manifest.precision if manifest.precision in LIMITS else EXACT
    own = precision or known
    if known == EXACT != own and own in LIMITS:
        return Rule(LIMITS[own].reference_agreement, same_survivors=False, precision=own)
    least = max(LIMITS[known].reference_agreement, manifest.reference.min_label_agreement)
    return Rule(least, same_survivors=known == EXACT, precision=known)


def judge(
    result: Answer,
    reference: Reference,
    rule: Rule,
    thresholds: NDArray[np.float32] | None = None,
) -> Comparison:
    """Compare an answer with the reference; labels must be of one size.

    Args:
        result: The answer.
        reference: The reference.
        rule: What is asked.
        thresholds: Of "unknown", float32 [K], with which the answer was made; None for none.
    """
    expected, counts = _expected(reference, rule, thresholds)
    equal, undecided = result.labels == expected, None
    if counts is not None:
        equal, undecided = equal[counts], 1.0 - float(np.mean(counts))
    return Comparison(
        rule=rule,
        agreement=float(np.mean(equal)) if equal.size else 1.0,
        same_alive=set(result.alive.tolist())
        == set(reference.alive[reference.alive >= 0].tolist()),
        same_counts=result.counts.tolist() == reference.counts.tolist(),
        undecided=undecided,
    )


def _expected(
    reference: Reference, rule: Rule, thresholds: NDArray[np.float32] | None
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return the labels of the reference, and which of them count; None where that is not known."""
    labels, lead, measure = reference.labels, reference.lead, reference.measure
    tolerance = LIMITS[EXACT].lead if lead is None else tolerance_of(lead, rule.precision)
    counts = None if lead is None else lead > tolerance
    if thresholds is None or measure is None or not thresholds.any():
        return labels, counts
    decided = np.ones(labels.shape, np.bool_) if counts is None else counts
    counts = is_decided_with_unknown(labels, measure, decided, thresholds, tolerance)
    return with_unknown(labels, measure, thresholds), counts


def _check_shapes(what: str, given: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if given != expected or 0 in given:
        labels = shape_text(expected[:2])
        message = f"Reference {what} {shape_text(given)} and labels {labels} do not fit together."
        raise BundleError(message, hint="Export the bundle again.")


def _check_range(name: str, array: NDArray[Any], low: int, high: int) -> None:
    wrong = array[(array < low) | (array > high)] if array.size else array
    if wrong.size:
        message = f"'{name}' of the bundle holds {int(wrong.flat[0])}; expected {low} to {high}."
        raise BundleError(message, hint="Export the bundle again.")


def _check_places(manifest: Manifest, alive: NDArray[Any], counts: NDArray[Any]) -> None:
    """Compare how many there are with the rejection."""
    info, rejection = manifest.reference, manifest.rejection
    if len(counts) != 3:
        refuse_array(info.counts, f"it has {len(counts)} numbers; expected 3")
    if rejection.mode == "slots" and rejection.slots and len(alive) != rejection.slots[-1]:
        slots = rejection.slots[-1]
        refuse_array(info.alive, f"it has {len(alive)} places; the manifest says {slots} slots")
    left = alive[alive >= 0]
    if len(np.unique(left)) != len(left):
        refuse_array(info.alive, "a category stands in it twice")
