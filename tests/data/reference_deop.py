"""The weights of the DeOP cases: those of reference.py, and the rules that DeOP needs besides.

Needs only numpy. Imports reference.py, which has the images and the class names.
"""

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]

_here = Path(__file__).with_name("reference.py")
_spec = importlib.util.spec_from_file_location("reference", _here)
if _spec is None or _spec.loader is None:
    raise FileNotFoundError(_here)
reference: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

image, CLASSES = reference.image, reference.CLASSES

TOKENS = "clip_adapter.clip_model.token_embedding.weight"
SIGNALS = {"start_signal": 49406, "dot_signal": 269, "end_signal": 49407, "pad_signal": 0}
UNIT = {  # these become standard normal draws times the number
    "sem_seg_head.predictor.query_embed.weight": 1.0,
    "query_embedding.weight": 3.0,
    "clip_adapter.prompt_learner.prefix_prompt": 0.5,
}


@lru_cache(maxsize=1)
def _tokens() -> Array:
    rows: Array = reference.weight(TOKENS, (49408, 512))
    return rows


def _centered(x: Array, axis: tuple[int, ...]) -> Array:
    mean = x.mean(axis, keepdims=True, dtype=np.float64)
    return np.asarray(x - mean, np.float32)


def weight(name: str, shape: tuple[int, ...]) -> Array:
    """Float32 values for the parameter or buffer `name` of a published DeOP checkpoint.

    Plain draws would explode in 33 frozen residual blocks and leave the hundred queries, and the
    positions of the CLIP grid, nearly equal to each other.  So the last normalization of a residual
    block is small, every matrix and kernel is centered over its inputs (what is common to all
    positions does not pass), masks are small, and queries differ.
    """
    shape = tuple(shape)
    leaf = name.rsplit(".", 1)[-1]
    if name == "criterion.empty_weight":  # not used to infer; as the published file has it
        return np.asarray([1.0] * (shape[0] - 1) + [0.1], np.float32)
    if leaf in SIGNALS:  # rows of the token embedding, as in the published file
        return np.array(_tokens()[SIGNALS[leaf]].reshape(shape), np.float32)
    x: Array = reference.weight(name, shape)
    if leaf == "running_var":  # 0.05 z becomes 0.5 + 0.5 |z|
        return np.asarray(0.5 + 10.0 * np.abs(x), np.float32)
    if name.startswith("backbone.res") and name.endswith("conv3.norm.weight"):
        return np.asarray(0.2 * x, np.float32)
    if leaf == "learned_position":
        return np.asarray(0.5 * x / np.sqrt(2.0 / shape[1]), np.float32)
    if name in UNIT:
        return np.asarray(UNIT[name] * x / np.sqrt(2.0 / shape[1]), np.float32)
    if leaf.endswith("weight") and len(shape) > 1 and name != TOKENS:
        x = _centered(x, tuple(range(1, len(shape))))
    if name == "sem_seg_head.predictor.mask_embed.layers.2.weight":
        return np.asarray(0.4 * _centered(x, (0,)), np.float32)
    if name == "sem_seg_head.predictor.mask_embed.layers.2.bias":
        return np.asarray(x - 0.045, np.float32)
    if name == "sem_seg_head.pixel_decoder.mask_features.bias":
        return np.asarray(x + 1.0, np.float32)
    return x
