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
from edge_ovss.export.parts.words import Words, count_present, mark_empty

# Added to the logits of empty places: finite in half precision too, and its exponential is 0
# beside any logit of a network, whose magnitude is at most 100.
_NEVER = -3.0e4


class MaskGraph(nn.Module):
    """A graph without rejection. Meant for nothing but tracing and comparing.

    Classes see each other only in a softmax, so that an empty place of an open graph is neutral if
    its logit is so low that its share is 0.

    A family has `propose` and calls `hold_classes`, and sets `frame_bytes` and `answer`: a module
    that makes a `BandedAnswer` of masks, classes and the frame's `height` and `width`.

    Args:
        loaded: The model with weights and a vocabulary of T categories and K outputs.
        rejection: Mode "none", the only one there is.
        outputs: Names of the outputs, in the order in which they are returned.
    """

    output_map: Tensor
    class_weights: Tensor
    no_class: Tensor
    frame_bytes: int
    answer: nn.Module

    def __init__(self, loaded: LoadedModel, rejection: Rejection, outputs: tuple[str, ...]) -> None:
        super().__init__()
        vocabulary = loaded.vocabulary
        self.rejection = rejection
        self.size = loaded.size
        self.outputs = outputs
        labels = labels_dtype(loaded.outputs)
        self.labels_dtype, self.unknown = getattr(torch, labels), UNKNOWN[labels]
        self.categories = loaded.room
        self.fit = FitFrame(loaded.model.spec.picture, size=loaded.size)
        output_map = torch.tensor(vocabulary.output_map, dtype=torch.float32)
        self.register_buffer("output_map", output_map)

    def forward(
        self,
        frame: Tensor,
        thresholds: Tensor | None = None,
        text: Tensor | None = None,
        places: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Segment one frame.

        Args:
            frame: uint8 [1, H, W, 3] RGB.
            thresholds: float32 [K], of the best score; labels below are unknown. None for none.
            text: Unit embeddings of other words, float32 [n, 1, D]; None for the vocabulary.
            places: Output of each, float32 [n], −1 where a place is empty.

        Returns:
            The outputs by name, in the order of `outputs`: labels uint8 or uint16 [1, H, W];
            alive int32 [T]; counts int32 [3]; scores float32 [1, T, H, W]; confidence float32
            [1, H, W], the best score, at most 1.
        """
        words = Words(self.class_weights, self.output_map, None)
        if text is not None and places is not None:
            words = Words.given(text, places)
        masks, queries = self.propose(self.fit(frame))
        classes = self.classify(queries, words)
        height, width = frame.shape[1], frame.shape[2]
        answer: BandedAnswer = self.answer(masks, classes, height=height, width=width)
        answers: dict[str, Callable[[], Tensor]] = {
            "labels": lambda: self.label(answer, words.table, thresholds),
            "alive": lambda: _alive(words),
            "counts": lambda: count_present(words, STAGES),
            "scores": lambda: answer.scores.unsqueeze(0),
            "confidence": lambda: answer.best.clamp(max=1).unsqueeze(0),
        }
        return tuple(answers[name]() for name in self.outputs)

    def propose(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Run the network.

        Args:
            image: float32 [1, 3, height, width], normalized and padded.

        Returns:
            Mask logits float32 [Q, h, w], and embeddings of the queries, float32 [Q, D].
        """
        raise NotImplementedError

    def hold_classes(self, classifier: Tensor, *, scale: float) -> None:
        """Keep the classifier of the vocabulary, float [T + 1, D], "no class" last.

        Args:
            classifier: Vectors, `scale` included.
            scale: What unit vectors of other words are multiplied by.
        """
        self.scale = scale
        self.register_buffer("class_weights", classifier.t().contiguous())
        self.register_buffer("no_class", classifier[-1:].clone(), persistent=False)

    def classify(self, queries: Tensor, words: Words) -> Tensor:
        """Class probabilities without "no class", float32 [T, Q]."""
        if words.present is None:
            return (queries @ words.text).softmax(-1)[:, :-1].t()
        rows = torch.cat([words.text[:, 0] * self.scale, self.no_class])
        never = torch.cat([(1 - words.present) * _NEVER, torch.zeros(1)])
        return (queries @ rows.t() + never).softmax(-1)[:, :-1].t()

    def label(
        self, answer: BandedAnswer, table: Tensor, thresholds: Tensor | None = None
    ) -> Tensor:
        """Category index → output index or unknown, uint8 or uint16 [1, H, W]."""
        picked = table.index_select(0, answer.index.flatten())
        labels = mark_unknown(picked, answer.best.flatten(), thresholds, self.unknown)
        # TensorRT takes uint8 as an output only where the cast is the very last operation.
        return labels.view(1, *answer.index.shape).to(self.labels_dtype)


def _alive(words: Words) -> Tensor:
    if words.present is None:  # no cast, which would be one more node of a frozen graph
        return torch.arange(words.table.shape[0], dtype=torch.int32)
    return mark_empty(torch.arange(words.table.shape[0]), words.present)
