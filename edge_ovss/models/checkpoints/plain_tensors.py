"""Tensors of a checkpoint as a model takes them: dense, in memory, of real numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from edge_ovss.errors import CheckpointError

_HINT = "Save the weights as plain float32, float16 or bfloat16 tensors."


def refuse_unusual(name: str, value: Tensor, like: Tensor) -> None:
    """Refuse a tensor that has no plain numbers for a parameter or buffer of the model.

    Raises:
        CheckpointError: It contains no data (meta), is quantized, nested or complex, or has whole
            numbers where the model has real ones.
    """
    problem = _problem(value, like)
    if problem is not None:
        raise _refusal(name, value, problem)


def plain(name: str, value: Tensor, like: Tensor) -> Tensor:
    """Return the values of a checkpoint's tensor for a parameter or buffer of the model.

    Half and double precision become float32, a sparse tensor becomes dense. Its shape must be
    that of `like` already: nothing larger is made.

    Args:
        name: Name of the tensor, for messages.
        value: The tensor of the checkpoint, which `refuse_unusual` let pass.
        like: The tensor that it will fill.

    Raises:
        CheckpointError: It has a type that this build of torch can store but not compute with.
    """
    try:
        dense = value.to_dense() if value.layout != torch.strided else value
        return dense.float() if like.is_floating_point() else dense.to(like.dtype)
    except (RuntimeError, TypeError, ValueError, AttributeError) as err:
        raise _refusal(name, value, f"cannot be read ({type(err).__name__})") from err


def _refusal(name: str, value: Tensor, problem: str) -> CheckpointError:
    dtype, layout = (str(each).removeprefix("torch.") for each in (value.dtype, value.layout))
    message = f"The checkpoint's tensor '{name}' ({dtype}, {layout}) {problem}."
    return CheckpointError(message, hint=_HINT)


def _problem(value: Tensor, like: Tensor) -> str | None:
    if value.is_meta:
        return "contains no data: it was saved from the device 'meta'"
    if value.is_quantized:
        return "is quantized"
    if value.is_nested:
        return "is nested"
    if value.is_complex():
        return "is complex"
    if like.is_floating_point() and not value.is_floating_point():
        return f"contains {value.dtype} where the model has real numbers"
    return None
