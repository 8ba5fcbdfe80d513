"""Second graphs with other slots: more for frames that overflow the first, fewer for few words.

They share the weights file of the first, so that they add only their nodes to the bundle. Each is
opened, and takes memory, only when it is needed.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_ovss._optional import require
from edge_ovss.bundle.rejection import MAX_TOPK, Rejection
from edge_ovss.errors import UsageError
from edge_ovss.export.options import ExportOptions

SPARE_FILE = "spare.onnx"
SMALL_FILE = "small.onnx"

NO_SMALL = "none"
"""What `small_slots` says for no small graph."""

# Slots of the small graph: the published lists of street and of everyday classes fit. A graph
# computes all of its slots, so that each that is empty costs time.
_FEW = 20
_MORE_WORDS = 4  # than those of the export, if these are more than few

Slots = tuple[int, int, int]


def check_spare(options: ExportOptions, rejection: Rejection, *, categories: int) -> None:
    """Refuse spare slots that nothing could use, before a model is loaded for them.

    Args:
        options: What to export.
        rejection: Fitted to T categories; its slots may still be measured.
        categories: T.

    Raises:
        UsageError: The rejection has no slots, the templates are compressed, or there is not more
            room than in the first graph.
    """
    if options.spare_slots is None:
        return
    if rejection.mode != "slots":
        message = f"--spare-slots is given with --reject {rejection.mode}, which cannot overflow."
        raise UsageError(message, hint="Drop --spare-slots, or use --reject slots.")
    if options.template_rank is not None:
        message = "--spare-slots and --template-rank are both given; expected one of them."
        raise UsageError(message, hint="Drop one of them.")
    if options.slots_from is None:
        fit_spare(options.spare_slots, rejection, categories=categories)


def fit_spare(spare: Slots | str, rejection: Rejection, *, categories: int) -> Rejection:
    """Return the rejection of the spare graph.

    Args:
        spare: Slots after the three rejections, or "all" for as many as there are categories.
        rejection: Rejection of the first graph, fitted, with slots.
        categories: T.

    Raises:
        UsageError: There is not more room than in the first graph.
    """
    most = min(categories, MAX_TOPK)
    wanted = (most, most, most) if isinstance(spare, str) else spare
    fitted = replace(rejection, slots=wanted).fit(categories)
    if not _has_less_room(rejection, fitted):
        message = (
            f"--spare-slots is {_text(fitted)}; "
            f"expected more room than the {_text(rejection)} of the first graph."
        )
        raise UsageError(message, hint="For example --spare-slots all.")
    return fitted


def check_small(options: ExportOptions, rejection: Rejection, *, words: int) -> None:
    """Refuse small slots that nothing could use, before a model is loaded for them.

    Args:
        options: What to export.
        rejection: Fitted to the places; its slots may still be measured.
        words: T.

    Raises:
        UsageError: The words are frozen, the rejection has no slots, or there is not less room
            than in the first graph.
    """
    given = options.small_slots
    if given in (None, NO_SMALL):
        return
    text = given if isinstance(given, str) else ",".join(map(str, given or ()))
    if isinstance(given, str):
        message = f"--small-slots is '{text}'; expected three numbers or '{NO_SMALL}'."
        raise UsageError(message, hint="For example --small-slots 20,20,20.")
    if options.open_places is None:
        message = f"--small-slots is {text}, but the words are frozen."
        hint = "Frozen words never take more slots than they need; drop it, or add --open N."
        raise UsageError(message, hint=hint)
    if rejection.mode != "slots":
        message = f"--small-slots is {text}, but without --reject slots there are no slots."
        raise UsageError(message, hint="Drop --small-slots.")
    if options.slots_from is None:
        fit_small(options, rejection, words=words)


def fit_small(options: ExportOptions, rejection: Rejection, *, words: int) -> Rejection | None:
    """Return the rejection of the small graph; None if there shall be none.

    By default an open bundle has one with slots for few words, or for those of the export and a
    few more, where that is less than three quarters of the first graph's.

    Args:
        options: What to export.
        rejection: Rejection of the first graph, fitted.
        words: T.

    Raises:
        UsageError: There is not less room than in the first graph.
    """
    given, slots = options.small_slots, rejection.slots
    if options.open_places is None or slots is None or isinstance(given, str):
        return None
    if given is None:
        count = _few_slots(min(slots), words, rejection.k)
        return None if count is None else replace(rejection, slots=(count, count, count))
    fitted = replace(rejection, slots=given).fit(options.open_places)
    if not _has_less_room(fitted, rejection):
        message = (
            f"--small-slots is {_text(fitted)}; "
            f"expected less room than the {_text(rejection)} of --slots."
        )
        raise UsageError(message, hint=f"Give fewer, or --small-slots {NO_SMALL}.")
    return fitted


def _has_less_room(one: Rejection, other: Rejection) -> bool:
    """Return whether `one` has at most the slots of `other` everywhere, and fewer somewhere."""
    pairs = list(zip(one.slots or (), other.slots or (), strict=True))
    return all(few <= more for few, more in pairs) and any(few < more for few, more in pairs)


def _text(rejection: Rejection) -> str:
    return ",".join(map(str, rejection.slots or ()))


def _few_slots(most: int, words: int, topk: int) -> int | None:
    """Return the default for a first graph of `most` slots; None where it would save little."""
    for count in (words + _MORE_WORDS if words > _FEW else _FEW, _FEW):
        if 4 * max(count, topk) <= 3 * most:
            return max(count, topk)
    return None


def save_sharing(model: Any, path: Path, first: Path) -> None:  # noqa: ANN401
    """Write `model` so that it reads its large tensors from the data file of another graph.

    Args:
        model: An `onnx_ir.Model`, changed in place.
        path: ONNX file to write.
        first: ONNX file in the same folder, already written.
    """
    ir = require("onnx_ir", extra="export")
    stored = {
        _key(tensor): tensor
        for tensor in (value.const_value for value in ir.load(first).graph.initializers.values())
        if isinstance(tensor, ir.ExternalTensor)
    }
    for name, value in model.graph.initializers.items():
        found = stored.get(_key(value.const_value))
        if found is not None:
            value.const_value = _same_place(ir, found, name)
    ir.save(model, path)


def _key(tensor: Any) -> tuple[str, tuple[int, ...], bytes]:  # noqa: ANN401
    digest = hashlib.sha256(tensor.tobytes()).digest()
    return str(tensor.dtype), tuple(tensor.shape.numpy()), digest


def _same_place(ir: Any, tensor: Any, name: str) -> Any:  # noqa: ANN401
    return ir.ExternalTensor(
        tensor.location,
        tensor.offset,
        tensor.length,
        tensor.dtype,
        shape=tensor.shape,
        name=name,
        base_dir=tensor.base_dir,
    )
