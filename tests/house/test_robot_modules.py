"""What a robot loads to run a bundle: exactly these modules of the package."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MODULES = """
edge_ovss
edge_ovss._files
edge_ovss._free_memory
edge_ovss._lazy
edge_ovss._leftovers
edge_ovss._machine
edge_ovss._optional
edge_ovss._safe_text
edge_ovss._strict_parsing
edge_ovss._version
edge_ovss.bundle
edge_ovss.bundle.contract
edge_ovss.bundle.decisive
edge_ovss.bundle.graph_check
edge_ovss.bundle.hashes
edge_ovss.bundle.hashes.comparing
edge_ovss.bundle.hashes.ownership
edge_ovss.bundle.identity
edge_ovss.bundle.json_fields
edge_ovss.bundle.manifest
edge_ovss.bundle.npy
edge_ovss.bundle.onnx_reader
edge_ovss.bundle.onnx_reader.file
edge_ovss.bundle.onnx_reader.metadata
edge_ovss.bundle.onnx_reader.nodes
edge_ovss.bundle.onnx_reader.operators
edge_ovss.bundle.onnx_reader.sizes
edge_ovss.bundle.onnx_reader.wire
edge_ovss.bundle.reader
edge_ovss.bundle.reference
edge_ovss.bundle.rejection
edge_ovss.bundle.replacement
edge_ovss.bundle.sections
edge_ovss.bundle.tolerances
edge_ovss.bundle.unknown
edge_ovss.bundle.words
edge_ovss.bundle.words.inputs
edge_ovss.bundle.words.section
edge_ovss.errors
edge_ovss.runtime
edge_ovss.runtime.backends
edge_ovss.runtime.backends.base
edge_ovss.runtime.backends.frame_memory
edge_ovss.runtime.backends.optimized_graph
edge_ovss.runtime.backends.ort
edge_ovss.runtime.graph_choice
edge_ovss.runtime.overflow
edge_ovss.runtime.result
edge_ovss.runtime.segmenter
edge_ovss.vocabulary
edge_ovss.vocabulary.alikes
edge_ovss.vocabulary.assembly
edge_ovss.vocabulary.builtin
edge_ovss.vocabulary.document
edge_ovss.vocabulary.embeddings
edge_ovss.vocabulary.linting
edge_ovss.vocabulary.palette
edge_ovss.vocabulary.vocabulary
edge_ovss.vocabulary.words
"""

PROGRAM = """
import sys
import numpy as np
from edge_ovss import Segmenter

with Segmenter.open(sys.argv[1], backend="onnxruntime") as segmenter:
    result = segmenter.segment(np.zeros((12, 16, 3), np.uint8))
assert result.labels.shape == (12, 16)
heavy = {"torch", "onnx", "open_clip", "timm", "safetensors"} & set(sys.modules)
assert not heavy, heavy
print(*(name for name in sys.modules if name.split(".")[0] == "edge_ovss"))
"""


def test_a_robot_loads_exactly_these_modules(make_bundle: Callable[..., Path]) -> None:
    pytest.importorskip("onnxruntime")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(make_bundle())],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == MODULES.split()
