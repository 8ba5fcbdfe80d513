"""torch in the published order of operations: eager, compiled, and with BF16 autocast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from benchmarks.peers.programs import Frame, Segment
from benchmarks.peers.roster import Entry
from benchmarks.sed.contestants import published
from benchmarks.shared.race import Labels


def torch_program(entry: Entry, folder: Path, threads: int) -> Segment:
    """Return the torch contestant that `entry` describes."""
    torch.set_num_threads(threads)
    module = published(folder)
    # How many categories survive changes from frame to frame.
    call: Any = torch.compile(module, dynamic=True) if entry.what == "compiled" else module
    half = entry.precision == "BF16"

    def segment(frame: Frame) -> tuple[Labels, list[int]]:
        cast = torch.autocast("cpu", torch.bfloat16, enabled=half)
        with torch.inference_mode(), cast:
            labels, alive = call(torch.from_numpy(frame))
        return labels.numpy(), [len(ids) for ids in alive]

    return segment
