"""What a closed vocabulary costs: a small network of torchvision with as many classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.programs import graph_path
from benchmarks.peers.wish import Wish
from edge_ovss._optional import require
from edge_ovss.vocabulary import Vocabulary


class _Logits(nn.Module):
    """Without the last resize, which the program around the graph does for all alike."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 (torchvision has no types)
        super().__init__()
        self.backbone, self.classifier = model.backbone, model.classifier

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.backbone(image))
        return logits


def export(folder: Path) -> None:
    """Write LR-ASPP on MobileNetV3-Large with random weights."""
    models = require("torchvision.models.segmentation", extra="bench")
    classes = len(Vocabulary.load(Wish.of(folder).vocabulary))
    facts = json.loads((folder / "setting.json").read_text())
    torch.manual_seed(0)
    model = models.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=classes
    )
    image = torch.zeros(1, 3, facts["height"], facts["width"])
    with torch.no_grad():
        program = torch.onnx.export(_Logits(model).eval(), (image,), dynamo=True, verbose=False)
    if program is None:
        message = "torch.onnx.export returned nothing"
        raise RuntimeError(message)
    program.save(str(graph_path(folder, "closed")))
