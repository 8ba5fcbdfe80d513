"""SED, frame in to labels out: torch in eager mode and compiled, and a plain export."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.shared.fixture import normalize
from benchmarks.shared.race import Run
from edge_ovss.models import load_model
from edge_ovss.models.sed import published_rejection
from edge_ovss.models.spec import Model
from edge_ovss.vocabulary import TextEmbeddings

TOPK = 8


@cache
def load_setting(folder: Path) -> dict[str, Any]:
    """What `fixture.write_setting` wrote."""
    facts: dict[str, Any] = json.loads((folder / "setting.json").read_text())
    return facts


def filled_model(folder: Path) -> Model:
    """The model of a benchmark, with its weights."""
    facts = load_setting(folder)
    return load_model(facts["model"], weights=facts["weights"], seed=0)


def load_text(folder: Path) -> Tensor:
    """The text embeddings of a benchmark, float32 [T, P, D]."""
    return torch.from_numpy(TextEmbeddings.load(folder / "pack.npz").array)


def _frame(folder: Path) -> NDArray[np.uint8]:
    frame: NDArray[np.uint8] = np.load(folder / "frame.npy")
    return frame


class Published(nn.Module):
    """The published order of operations as one module, for eager mode and torch.compile.

    Args:
        model: SED.
        text: Text embeddings [T, P, D]; the network computes in their type.
        size: (height, width) inside the network.
    """

    text: Tensor

    def __init__(self, model: Model, text: Tensor, size: tuple[int, int]) -> None:
        super().__init__()
        self.model, self.size = model, size
        self.register_buffer("text", text)

    def forward(self, frame: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """From a frame, uint8 [H, W, 3], to labels [H, W] and who is alive, by rejection."""
        image = normalize(self.model, frame, self.size).to(self.text.dtype)
        scores, alive = published_rejection(self.model, image, self.text, topk=TOPK)
        size = (frame.shape[0], frame.shape[1])
        resized = F.interpolate(scores[None].float(), size, mode="bilinear")
        return resized[0].argmax(0), alive


def published(folder: Path) -> Published:
    """SED of a benchmark in the published order, float32 on the CPU."""
    facts = load_setting(folder)
    size = (facts["height"], facts["width"])
    return Published(filled_model(folder), load_text(folder), size).eval()


def _run(folder: Path, threads: int, *, compiled: bool) -> Run:
    torch.set_num_threads(threads)
    module = published(folder)
    call = torch.compile(module, dynamic=True) if compiled else module
    frame = torch.from_numpy(_frame(folder))

    def run() -> tuple[NDArray[Any], list[int]]:
        with torch.inference_mode():
            labels, alive = call(frame)
        return labels.numpy(), [len(ids) for ids in alive]

    return run


def torch_eager(folder: Path, threads: int) -> Run:
    """The torch model in eager mode with the published rejection."""
    return _run(folder, threads, compiled=False)


def torch_compiled(folder: Path, threads: int) -> Run:
    """The same under torch.compile."""
    return _run(folder, threads, compiled=True)


class _Plain(nn.Module):
    """What one call of torch.onnx.export makes of the model: picture in, logits out."""

    def __init__(self, model: Model, text: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("text", text)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.model(image, self.text)
        return logits


def export_plain(folder: Path) -> Path:
    """Write the plain export, once."""
    path = folder / "plain.onnx"
    if not path.is_file():
        model = filled_model(folder)
        facts = load_setting(folder)
        image = torch.zeros(1, 3, facts["height"], facts["width"])
        with torch.no_grad():
            program = torch.onnx.export(
                _Plain(model, load_text(folder)).eval(), (image,), dynamo=True, verbose=False
            )
        if program is None:
            message = "torch.onnx.export returned nothing"
            raise RuntimeError(message)
        program.save(str(path), external_data=True)
    return path


def plain_export(folder: Path, threads: int) -> Run:
    """A plain export in ONNX Runtime, with numpy and OpenCV around it."""
    import onnxruntime

    from benchmarks.shared.plain import image_of, labels_of

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    path = str(folder / "plain.onnx")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    frame, facts = _frame(folder), load_setting(folder)

    def run() -> tuple[NDArray[Any], list[int]]:
        logits = session.run(None, {name: image_of(frame, facts)})[0][0]
        return labels_of(logits, *frame.shape[:2]), [len(logits)] * 3

    return run
