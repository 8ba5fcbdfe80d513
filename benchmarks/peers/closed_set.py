"""What a closed vocabulary costs: a small network with a timm backbone and as many classes."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.peers.programs import graph_path
from benchmarks.peers.wish import Wish
from edge_ovss._optional import require
from edge_ovss.models._open_clip import import_open_clip
from edge_ovss.vocabulary import Vocabulary

_BACKBONE, _STRIDE, _FINE = "mobilenetv3_large_100", 16, 8
_WIDTH = 128


class LrAspp(nn.Module):
    """LR-ASPP on MobileNetV3-Large (Howard et al., 2019): two maps, one of them gated."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        import_open_clip()  # timm imports torchvision too, and after this it can
        self.backbone = require("timm", extra="export").create_model(
            _BACKBONE, pretrained=False, features_only=True, output_stride=_STRIDE
        )
        facts = self.backbone.feature_info
        self.fine = facts.reduction().index(_FINE)
        fine, coarse = facts.channels()[self.fine], facts.channels()[-1]
        self.reduce = nn.Sequential(
            nn.Conv2d(coarse, _WIDTH, 1, bias=False), nn.BatchNorm2d(_WIDTH), nn.ReLU()
        )
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(coarse, _WIDTH, 1, bias=False), nn.Sigmoid()
        )
        self.classify_fine = nn.Conv2d(fine, classes, 1)
        self.classify_coarse = nn.Conv2d(_WIDTH, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits, float32 [1, T, H / 8, W / 8], of an image, float32 [1, 3, H, W]."""
        maps = self.backbone(image)
        fine, coarse = maps[self.fine], maps[-1]
        x = self.reduce(coarse) * self.gate(coarse)
        x = F.interpolate(x, fine.shape[-2:], mode="bilinear")
        logits: Tensor = self.classify_fine(fine) + self.classify_coarse(x)
        return logits


def export(folder: Path) -> None:
    """Write it with random weights."""
    classes = len(Vocabulary.load(Wish.of(folder).vocabulary))
    facts = json.loads((folder / "setting.json").read_text())
    torch.manual_seed(0)
    image = torch.zeros(1, 3, facts["height"], facts["width"])
    with torch.no_grad():
        program = torch.onnx.export(LrAspp(classes).eval(), (image,), dynamo=True, verbose=False)
    if program is None:
        message = "torch.onnx.export returned nothing"
        raise RuntimeError(message)
    program.save(str(graph_path(folder, "closed")))
