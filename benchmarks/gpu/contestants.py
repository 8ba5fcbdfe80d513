"""torch on a GPU (or the CPU): the published order of operations in float32, half, and compiled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.sed import contestants as sed_contestants
from benchmarks.shared.race import Run
from edge_ovss.export.families import family_export
from edge_ovss.models.spec import Model

HALF = {"cuda": torch.float16, "cpu": torch.bfloat16}


def ready(name: str, device: str, folder: Path, threads: int) -> Run:
    """Get torch ready: "torch-fp32", "torch-half" or "torch-compiled", the latter two in half."""
    torch.set_num_threads(threads)
    _set_precision()
    family = sed_contestants.load_setting(folder)["family"]
    module: nn.Module = _San(folder) if family == "san" else sed_contestants.published(folder)
    module = module.eval().to(device, torch.float32 if name == "torch-fp32" else HALF[device])
    # After the weights are drawn, which a CPU does: the published order makes its constants anew.
    torch.set_default_device(device)
    if name == "torch-compiled":
        # How many categories survive changes from frame to frame.
        return _timed(torch.compile(module, dynamic=family == "sed" or None), device, folder)
    return _timed(module, device, folder)


def _set_precision() -> None:
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    # ONNX Runtime measures convolutions as well.
    torch.backends.cudnn.benchmark = True


def _timed(call: Any, device: str, folder: Path) -> Run:  # noqa: ANN401 (eager or compiled)
    frame: NDArray[np.uint8] = np.load(folder / "frame.npy")

    def run() -> tuple[NDArray[Any], list[int]]:
        with torch.inference_mode():
            labels, alive = call(torch.from_numpy(frame).to(device))
            # Copies to the host wait until the GPU has finished.
            return labels.to(torch.int16).cpu().numpy(), alive[-1].tolist() if alive else []

    return run


class _San(nn.Module):
    """The published order of operations of SAN as one module; its type is that of its weights."""

    text: Tensor

    def __init__(self, folder: Path) -> None:
        super().__init__()
        facts = sed_contestants.load_setting(folder)
        self.model, self.size = (
            sed_contestants.filled_model(folder),
            (facts["height"], facts["width"]),
        )
        self.register_buffer("text", sed_contestants.load_text(folder))
        self.scores: Any = family_export("san").published_scores

    def forward(self, frame: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """From a frame, uint8 [H, W, 3], to labels [H, W]; nothing is rejected."""
        scores = self.scores(_Casting(self.model, self.text, self.size), frame, None)
        return scores.argmax(0), ()


class _Casting:
    """What is read of a `LoadedModel`: SAN that takes float32 images whatever its weights are."""

    def __init__(self, model: Model, text: Tensor, size: tuple[int, int]) -> None:
        self.model, self.embeddings, self.size = self, text, size
        self.spec, self.masks = model.spec, model.masks
        self._maps, self._dtype = model.maps, text.dtype

    def maps(self, image: Tensor, embeddings: Tensor) -> Any:  # noqa: ANN401 (SanMaps)
        """Run both networks."""
        return self._maps(image.to(self._dtype), embeddings)
