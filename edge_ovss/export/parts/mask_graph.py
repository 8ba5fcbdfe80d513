"""The frozen graph of a family that classifies masks: what it does around the network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from edge_ovss.bundle.contract import STAGES, UNKNOWN, labels_dtype
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.export.family import LoadedModel
from edge_ovss.export.parts.answer_bands import BandedAnswer
from edge_ovss.export.parts.fit_frame import FitFrame
from edge_ovss.export.parts.unknown import mark_unknown


class MaskGraph(nn.Module):
    """A graph without rejection. Meant for nothing but tracing and comparing.

    A family has `propose`, and sets `frame_bytes` and `answer`: a module that makes a
    `BandedAnswer` of what `propose` returns and the frame's `height` and `width`.

    Args:
        loaded: The model with weights and a vocabulary of T categories and K outputs.
        rejection: Mode "none", the only one there is.
        outputs: Names of the outputs, in the order in which they are returned.
    """

    output_map: Tensor
    frame_bytes: int
    answer: nn.Module

    def __init__(self, loaded: LoadedModel, rejection: Rejection, outputs: tuple[str, ...]) -> None:
        super().__init__()
        vocabulary = loaded.vocabulary
        self.rejection = rejection
        self.size = loaded.size
        self.outputs = outputs
        labels = labels_dtype(len(vocabulary.outputs))
        self.labels_dtype, self.unknown = getattr(torch, labels), UNKNOWN[labels]
        self.categories = len(vocabulary)
        self.fit = FitFrame(loaded.model.spec.picture, size=loaded.size)
        output_map = torch.tensor(vocabulary.output_map, dtype=torch.float32)
        self.register_buffer("output_map", output_map)

    def forward(self, frame: Tensor, thresholds: Tensor | None = None) -> tuple[Tensor, ...]:
        """Segment one frame.

        Args:
            frame: uint8 [1, H, W, 3] RGB.
            thresholds: float32 [K], of the best score; labels below are unknown. None for none.

        Returns:
            The outputs by name, in the order of `outputs`: labels uint8 or uint16 [1, H, W];
            alive int32 [T]; counts int32 [3]; scores float32 [1, T, H, W]; confidence float32
            [1, H, W], the best score, at most 1.
        """
        masks, classes = self.propose(self.fit(frame))
        height, width = frame.shape[1], frame.shape[2]
        answer: BandedAnswer = self.answer(masks, classes, height=height, width=width)
        answers: dict[str, Callable[[], Tensor]] = {
            "labels": lambda: self.label(answer, thresholds),
            "alive": lambda: torch.arange(self.categories, dtype=torch.int32),
            "counts": lambda: torch.full((STAGES,), self.categories, dtype=torch.int32),
            "scores": lambda: answer.scores.unsqueeze(0),
            "confidence": lambda: answer.best.clamp(max=1).unsqueeze(0),
        }
        return tuple(answers[name]() for name in self.outputs)

    def propose(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Run the network.

        Args:
            image: float32 [1, 3, height, width], normalized and padded.

        Returns:
            Mask logits float32 [Q, h, w], and class probabilities without "no class", float32
            [T, Q].
        """
        raise NotImplementedError

    def label(self, answer: BandedAnswer, thresholds: Tensor | None = None) -> Tensor:
        """Category index → output index or unknown, uint8 or uint16 [1, H, W]."""
        picked = self.output_map.index_select(0, answer.index.flatten())
        labels = mark_unknown(picked, answer.best.flatten(), thresholds, self.unknown)
        # TensorRT takes uint8 as an output only where the cast is the very last operation.
        return labels.view(1, *answer.index.shape).to(self.labels_dtype)
