"""Which ONNX Runtime runs FP16 graphs with FP16 rounding on the CPU.

Version 1.23, the last one for Python 3.10, rounds between operators; 1.31 runs whole stretches in
FP32. Models with random weights, as tests have them, do not survive the rounding; trained ones do,
as the ready bundle of `edge-ovss demo` shows on both.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest


def _rounds() -> bool:
    try:
        major, minor = version("onnxruntime").split(".")[:2]
    except PackageNotFoundError:
        return False
    return (int(major), int(minor)) < (1, 24)


REASON = "this ONNX Runtime rounds to FP16 between operators, which random weights do not survive"
needs_no_rounding = pytest.mark.skipif(_rounds(), reason=REASON)
