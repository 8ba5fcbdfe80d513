"""SED's decoder: cost map → three layers that each double the resolution → logits."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from edge_ovss.models.sed.blocks import DecoderLayer


class GradualFusionDecoder(nn.Module):
    """The decoder under its published names (`sem_seg_head.predictor.transformer.`).

    Args:
        templates: P, number of prompt templates = channels of the cost map.
        channels: Channels at the input of layers 1, 2, 3 and at the output of layer 3.
        guidance: Channels of the image guidance of layers 1, 2, 3.
        cost_guidance: Channels of the cost guidance of layers 1, 2, 3.
        trunk: Channels of the image features at strides 4, 8, 16, in this order.
    """

    def __init__(
        self,
        *,
        templates: int,
        channels: Sequence[int],
        guidance: Sequence[int],
        cost_guidance: Sequence[int],
        trunk: Sequence[int],
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(templates, channels[0], 7, padding=3)
        self.decoder_guidance_projection = nn.ModuleList(
            nn.Sequential(nn.Conv2d(source, target, 3, padding=1), nn.ReLU())
            for source, target in zip(reversed(trunk), guidance, strict=True)
        )
        sources = (templates, *cost_guidance[:-1])
        self.decoder_corr_guidance_projection = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(source, target, 2, stride=2), nn.ReLU())
            for source, target in zip(sources, cost_guidance, strict=True)
        )
        numbers = zip(channels[:-1], channels[1:], guidance, cost_guidance, strict=True)
        self.decoder1, self.decoder2, self.decoder3 = (
            DecoderLayer(inputs=a, outputs=b, guidance=g, cost_guidance=s) for a, b, g, s in numbers
        )
        self.head = nn.Conv2d(channels[3], 1, 3, padding=1)
        self.head0 = nn.Conv2d(channels[0], 1, 3, padding=1)
        self.head1 = nn.Conv2d(channels[1], 1, 3, padding=1)
        self.head2 = nn.Conv2d(channels[2], 1, 3, padding=1)

    @property
    def layers(self) -> tuple[DecoderLayer, DecoderLayer, DecoderLayer]:
        """The three layers in order."""
        return self.decoder1, self.decoder2, self.decoder3

    @property
    def rejection_heads(self) -> tuple[nn.Conv2d, nn.Conv2d, nn.Conv2d]:
        """The heads on the inputs of layers 1, 2, 3."""
        return self.head0, self.head1, self.head2

    def guide(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Image guidance of layers 1, 2, 3 from trunk features at strides 4, 8, 16."""
        projections = self.decoder_guidance_projection
        return [p(f) for p, f in zip(projections, reversed(features), strict=True)]

    def guide_cost(self, cost: Tensor) -> list[Tensor]:
        """Cost guidance of layers 1, 2, 3 from the cost map, float [N, P, h, w]."""
        levels: list[Tensor] = []
        for projection in self.decoder_corr_guidance_projection:
            cost = projection(cost)
            levels.append(cost)
        return levels
