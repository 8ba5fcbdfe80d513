"""A second graph with more slots, for frames that overflow the first.

It shares the weights file of the first, so it adds only its nodes to the bundle. It is opened, and
takes memory, only when a frame needs it.
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
    pairs = list(zip(fitted.slots or (), rejection.slots or (), strict=True))
    if any(more < few for more, few in pairs) or all(more == few for more, few in pairs):
        text, first = (",".join(map(str, r.slots or ())) for r in (fitted, rejection))
        message = (
            f"--spare-slots is {text}; expected more room than the {first} of the first graph."
        )
        raise UsageError(message, hint="For example --spare-slots all.")
    return fitted


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
