"""The graph contract: what goes into the graph of a bundle and what comes out (docs/bundle.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.words.section import OpenInfo
from edge_ovss.errors import ArtifactError

GRAPH_OUTPUTS = ("labels", "alive", "counts", "confidence", "scores")
REQUIRED_OUTPUTS = GRAPH_OUTPUTS[:3]

STAGES = 3
"""How many rejections a graph has, and so how many `counts` it gives."""

NARROW_OUTPUTS = 255
"""Up to so many outputs, labels are uint8. Their largest value, 255, names none of them."""

MOST_OUTPUTS = 65535
"""The most outputs. Labels of uint16 number them from 0; their largest value names none."""

UNKNOWN = {"uint8": 255, "uint16": 65535}
"""The label that is reserved for "unknown" or "ignore", by dtype. No output has this number."""

THRESHOLDS = "thresholds"
"""The input by which a graph knows when a label is unknown (`bundle.unknown`)."""

TEXT, PLACES = "text", "places"
"""The inputs by which an open graph knows its words (`bundle.words`)."""

Arrays = Mapping[str, NDArray[Any]]
Shape = tuple[int | str, ...]

_EXPORT_AGAIN = "The graph does not match its manifest; export it again."


def labels_dtype(outputs: int) -> str:
    """Return the dtype of labels that index so many outputs: "uint8" or "uint16"."""
    return "uint8" if outputs <= NARROW_OUTPUTS else "uint16"


@dataclass(frozen=True)
class Tensor:
    """An input or output of the graph.

    Attributes:
        name: In the graph.
        dtype: As numpy spells it.
        shape: Sizes; one with a name is free.
        limit: Values must be below this; None where any will do.
        default: Of an input that a caller may leave out; None where it must be given.
        reserved: A value that may stand there in spite of `limit`.
    """

    name: str
    dtype: str
    shape: Shape
    limit: int | None = None
    default: NDArray[Any] | None = None
    reserved: int | None = None

    def shape_of(self, rank: int) -> Shape:
        """Return the shape that is expected of a tensor of so many axes.

        `scores` may leave the batch out.
        """
        short = self.name == "scores" and rank == len(self.shape) - 1
        return self.shape[1:] if short else self.shape

    def fits(self, shape: Sequence[int | str]) -> bool:
        """Whether a shape that a graph declares is this one: free where this one is."""
        expected = self.shape_of(len(shape))
        return len(shape) == len(expected) and all(map(_same_size, shape, expected))


@dataclass(frozen=True)
class GraphContract:
    """Names, types and shapes of the inputs and outputs of one graph.

    Attributes:
        inputs: What the graph takes; the frame is the first.
        outputs: What it gives, in the manifest's order.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @classmethod
    def of(
        cls,
        outputs: Sequence[str],
        *,
        labels: str,
        names: int,
        categories: int,
        places: int | str,
        scores_size: tuple[int, int] | None,
        thresholds: NDArray[np.float32] | None = None,
        words: OpenInfo | None = None,
    ) -> GraphContract:
        """Return the contract of a graph.

        Args:
            outputs: Names of its outputs.
            labels: dtype of the labels.
            names: K, what labels index.
            categories: T.
            places: Room in `alive`; a name where it is free.
            scores_size: (height, width) of the scores; (0, 0) is the frame's.
            thresholds: Below which a label is unknown, float32 [K]; None where the graph has no
                such input, and so no such label.
            words: Room for words; None where they are frozen.
        """
        height, width = scores_size or (0, 0)
        most = categories if words is None else words.side
        reserved = None if thresholds is None else UNKNOWN[labels]
        known = {
            "labels": Tensor("labels", labels, (1, "H", "W"), names, reserved=reserved),
            "alive": Tensor("alive", "int32", (places,), categories),
            "counts": Tensor("counts", "int32", (STAGES,)),
            "confidence": Tensor("confidence", "float32", (1, "H", "W")),
            "scores": Tensor("scores", "float32", (1, most, height or "H", width or "W")),
        }
        inputs = [Tensor("frame", "uint8", (1, "H", "W", 3))]
        if thresholds is not None:
            limits = thresholds if words is None else pad_thresholds(thresholds, words.places)
            inputs.append(Tensor(THRESHOLDS, "float32", limits.shape, default=limits))
        if words is not None:
            inputs.append(Tensor(TEXT, "float32", (words.side, words.prompts, words.width)))
            inputs.append(Tensor(PLACES, "float32", (words.side,)))
        return cls(tuple(inputs), tuple(known[name] for name in outputs))

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in order."""
        return tuple(each.name for each in self.outputs)

    def feed(
        self,
        frame: NDArray[np.uint8],
        thresholds: NDArray[np.float32] | None = None,
        words: Arrays | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Return all inputs by name; those that are not given have their defaults.

        Args:
            frame: uint8 [1, H, W, 3].
            thresholds: float32 [K], for a graph that takes them.
            words: `text` and `places`, for an open graph.
        """
        others = {each.name: each.default for each in self.inputs[1:] if each.default is not None}
        if thresholds is not None and THRESHOLDS in others:
            others[THRESHOLDS] = pad_thresholds(thresholds, len(others[THRESHOLDS]))
        return {self.inputs[0].name: frame, **others, **(words or {})}

    def frame_size(self, inputs: Arrays) -> tuple[int, int]:
        """Return (H, W) of the frame among the inputs."""
        shape = inputs[self.inputs[0].name].shape
        return shape[1], shape[2]

    def departure(self, inputs: Mapping[str, str], outputs: Iterable[str]) -> str | None:
        """Compare what a library says of a graph that it has loaded.

        Args:
            inputs: dtype by name; "" where the library does not say.
            outputs: Names.

        Returns:
            What differs, for a message; None if nothing does.
        """
        expected = {each.name: each.dtype for each in self.inputs}
        given = {name: dtype or expected.get(name, "") for name, dtype in inputs.items()}
        if given != expected:
            return f"the inputs {given}; the manifest says {expected}"
        found, wanted = sorted(outputs), sorted(self.output_names)
        return None if found == wanted else f"the outputs {found}; the manifest says {wanted}"

    def require_ends(self, inputs: Mapping[str, str], outputs: Iterable[str]) -> None:
        """Refuse a loaded graph whose inputs or outputs differ; see `departure`.

        Raises:
            ArtifactError: They do.
        """
        found = self.departure(inputs, outputs)
        if found is not None:
            message = f"The graph has {found}."
            raise ArtifactError(message, hint=_EXPORT_AGAIN)

    def check_answer(self, answer: Arrays, size: tuple[int, int]) -> None:
        """Compare what a graph has computed with the contract; what comes after this trusts it.

        Args:
            answer: Outputs by name.
            size: (H, W) of the frame.

        Raises:
            ArtifactError: An output is missing, or has another dtype or shape, or a label or
                category that does not exist.
        """
        for expected in self.outputs:
            if expected.name not in answer:
                _refuse(expected.name, "missing", "an array")
            _check_array(expected, answer[expected.name], size)


def pad_thresholds(thresholds: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Return thresholds of `length` outputs; nothing is below those that are added."""
    if len(thresholds) == length:
        return thresholds
    found: NDArray[np.float32] = np.zeros(length, np.float32)
    found[: len(thresholds)] = thresholds
    return found


def _same_size(given: int | str, expected: int | str) -> bool:
    return isinstance(given, str) if isinstance(expected, str) else given == expected


def _check_array(expected: Tensor, array: NDArray[Any], size: tuple[int, int]) -> None:
    name = expected.name
    if name == "scores":  # of any size: nothing but their use depends on it
        if array.ndim not in (3, 4):
            _refuse(name, f"of rank {array.ndim}", "rank 3 or 4")
        return
    if str(array.dtype) != expected.dtype:
        _refuse(name, str(array.dtype), expected.dtype)
    shape = (1, *size) if len(expected.shape) == 3 else (None,)
    fits = all(want in (None, have) for have, want in zip(array.shape, shape, strict=False))
    if array.ndim != len(shape) or not fits:
        _refuse(name, f"of shape {array.shape}", f"shape {shape}".replace("None", "any"))
    highest = _highest(array, expected.reserved)
    if expected.limit is not None and highest >= expected.limit:
        _refuse(name, f"as high as {highest}", f"values below {expected.limit}")


def _highest(array: NDArray[Any], reserved: int | None) -> int:
    """Return the highest value but for the reserved one, which is the last of its dtype."""
    if not array.size:
        return -1
    if reserved is None:
        return int(array.max())
    # One more, and the last wraps around to the lowest.
    return int((array + array.dtype.type(1)).max()) - 1


def _refuse(name: str, given: str, expected: str) -> NoReturn:
    message = f"Output '{name}' of the graph is {given}; expected {expected}."
    raise ArtifactError(message, hint=_EXPORT_AGAIN)
