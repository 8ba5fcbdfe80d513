"""Check an engine against its bundle's reference: some TensorRT versions compile graphs wrongly.

The engine runs the reference frame at a size that it accepts. If that is the frame's own size, the
expected output is the bundle's. Otherwise the frame is cropped or repeated to an allowed size, and
the expected output is that of ONNX Runtime on the CPU. Which of its labels are decided is then
known only if the bundle outputs scores; otherwise as many labels may differ as are undecided in the
same part of the reference frame.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.decisive import is_decided, rank_outputs
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.reference import Comparison, Reference, Rule, judge, rule_for
from edge_ovss.bundle.unknown import OFF
from edge_ovss.errors import ParityError
from edge_ovss.runtime.backends import create_backend
from edge_ovss.runtime.backends.base import Backend
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.trt.commands import rebuild_command, selftest_command
from edge_ovss.runtime.trt.engine_key import EngineKey
from edge_ovss.runtime.trt.engine_record import Proof
from edge_ovss.runtime.trt.frame_sizes import FrameRange, Size, text

_DEFAULT_LEVEL = 3
_OTHER_VERSION = {
    "tensorrt": "use another version of TensorRT (10.3 and 10.4 compile some transformers wrongly; "
    "on Orin, JetPack 7.2 has 10.16)",
    "tensorrt-rtx": "use another version of TensorRT for RTX, or --backend tensorrt",
}


def prove(bundle: Bundle, backend: Backend, key: EngineKey) -> Proof:
    """Compare the output of an engine with the expected one.

    Args:
        bundle: The bundle.
        backend: Backend opened on the engine.
        key: Key of the engine.

    Returns:
        A proof that passed, or one that was not run and says why.

    Raises:
        ParityError: The output is wrong; the hint lists what to try.
        ArtifactError: The engine fails.
    """
    reference, against = expected_answer(bundle, key.frames)
    if reference is None:
        height, width = bundle.reference().labels.shape
        size = text((height, width))
        reason = (
            f"the reference frame is {size}, the engine takes {key.frames}, and ONNX Runtime, "
            "which could compute the expected output, is not installed"
        )
        return Proof("not run", reason=reason)
    segmenter = Segmenter(bundle, backend)
    thresholds = None if reference.measure is None else segmenter.thresholds()
    result = segmenter.segment(reference.frame, unknown=OFF if thresholds is None else thresholds)
    verdict = judge(result, reference, rule_at(bundle, reference, key.frames), thresholds)
    if not verdict:
        raise ParityError(_message(verdict), hint=ladder(bundle, key))
    return Proof(
        "passed",
        against=against,
        agreement=verdict.agreement,
        undecided=verdict.undecided,
    )


def expected_answer(bundle: Bundle, frames: FrameRange) -> tuple[Reference | None, str]:
    """Return a frame that `frames` allows with its expected output, and who computed that."""
    reference = bundle.reference()
    height, width = reference.labels.shape
    if (height, width) in frames:
        return reference, "reference"
    if find_spec("onnxruntime") is None:
        return None, "nothing"
    frame = fit(reference.frame, frames.best)
    with Segmenter(bundle, create_backend("onnxruntime", bundle).open()) as segmenter:
        result = segmenter.segment(frame, unknown=OFF)
    lead = measure = None
    if result.scores is not None:
        output_map, size = bundle.vocabulary.output_map, (frame.shape[0], frame.shape[1])
        ranking = rank_outputs(result.scores, output_map, size, result.labels)
        lead, measure = ranking.lead, ranking.best
    alive, counts = result.alive, result.counts
    return Reference(frame, result.labels, alive, counts, lead, measure), "onnxruntime"


def rule_at(bundle: Bundle, expected: Reference, frames: FrameRange) -> Rule:
    """Return the rule for an engine that is compared with `expected`."""
    rule, own = rule_for(bundle.manifest), bundle.reference().lead
    if expected.lead is not None or own is None:
        return rule
    lead = fit(own, frames.best)
    share = float(np.mean(is_decided(lead, rule.precision)))
    return replace(rule, min_agreement=rule.min_agreement * share)


def fit(frame: NDArray[Any], size: Size) -> NDArray[Any]:
    """Crop or repeat a frame, [H, W] or [H, W, 3], to `size`, without resampling."""
    height, width = size
    rows, columns = np.arange(height) % frame.shape[0], np.arange(width) % frame.shape[1]
    return np.ascontiguousarray(frame[rows][:, columns])


def ladder(bundle: Bundle, key: EngineKey) -> str:
    """Return what to try when the output of an engine is wrong, the mildest measure first."""
    steps = [
        f"{what}: {rebuild_command(bundle, step, overwrite=False)}"
        for what, step in milder_keys(key)
    ]
    if bundle.manifest.precision != "fp32":
        steps.append("build the float32 bundle that this one was calibrated from")
    if "int8" in bundle.manifest.precision:
        steps.append("keep more in float: edge-ovss calibrate with --base fp32 or --max-miou-drop")
    steps.append(_OTHER_VERSION[key.surroundings.backend])
    right = selftest_command(bundle, "onnxruntime")
    steps.append(f"run with --backend onnxruntime, if its output is right: {right}")
    return "in this order, " + "; ".join(f"({i}) {step}" for i, step in enumerate(steps, 1))


def milder_keys(key: EngineKey) -> list[tuple[str, EngineKey]]:
    """Return measures and the resulting keys; everything else in the key stays."""
    pinned = replace(key, frames=FrameRange.pinned(key.frames.best))
    level = key.flags.optimization_level
    lower = (_DEFAULT_LEVEL if level is None else level) - 1
    steps = [] if key.frames.is_pinned else [("pin the frame size", pinned)]
    if lower >= 0:
        pinned = replace(pinned, flags=replace(pinned.flags, optimization_level=lower))
        steps.append(("let the builder fuse less", pinned))
    if key.flags.tf32:
        pinned = replace(pinned, flags=replace(pinned.flags, tf32=False))
        steps.append(("leave out --tf32", pinned))
    return steps


def _message(verdict: Comparison) -> str:
    rule, same = verdict.rule, verdict.same_alive and verdict.same_counts
    survivors = "the same categories survive" if same else "different categories survive"
    if not verdict.survivors_count:
        survivors += ", which matters in FP32 only"
    return (
        "The engine was built but its output is wrong, so it is not kept: "
        f"{100 * verdict.agreement:.4f} % of the labels that count are equal, at least "
        f"{100 * rule.min_agreement:.4f} % expected, and {survivors}."
    )
