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

# Families that answer with masks; nothing is rejected.
MASKS = ("san", "deop")
HALF = {"cuda": torch.float16, "cpu": torch.bfloat16}


def ready(name: str, device: str, folder: Path, threads: int) -> Run:
    """Get torch ready by the contestant's name: in FP32 or in half, eager or compiled."""
    torch.set_num_threads(threads)
    _set_precision()
    family = sed_contestants.load_setting(folder)["family"]
    masks = family in MASKS
    module: nn.Module = _Masks(folder) if masks else sed_contestants.published(folder)
    module = module.eval().to(device, torch.float32 if name.endswith("fp32") else HALF[device])
    # After the weights are drawn, which a CPU does: the published order makes its constants anew.
    torch.set_default_device(device)
    if name.startswith("torch-compiled"):
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


class _Masks(nn.Module):
    """The published order of operations of SAN or DeOP; its type is that of its weights."""

    text: Tensor

    def __init__(self, folder: Path) -> None:
        super().__init__()
        facts = sed_contestants.load_setting(folder)
        self.model, self.size = (
            sed_contestants.filled_model(folder),
            (facts["height"], facts["width"]),
        )
        self.register_buffer("text", sed_contestants.load_text(folder))
        self.scores: Any = family_export(facts["family"]).published_scores

    def forward(self, frame: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """From a frame, uint8 [H, W, 3], to labels [H, W]; nothing is rejected."""
        scores = self.scores(_Casting(self.model, self.text, self.size), frame, None)
        return scores.argmax(0), ()


class _Casting:
    """What is read of a `LoadedModel`: a model that takes float32 images whatever its weights."""

    def __init__(self, model: Model, text: Tensor, size: tuple[int, int]) -> None:
        self.spec, self.embeddings, self.size = model.spec, text, size
        self._of, self._dtype = model, text.dtype

    @property
    def model(self) -> _Casting:
        """The model: this one too."""
        return self

    def maps(self, image: Tensor, embeddings: Tensor) -> Any:  # noqa: ANN401 (maps of the family)
        """Run both networks."""
        return self._of.maps(image.to(self._dtype), embeddings)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (masks, scores)
        return getattr(self._of, name)
