"""Embedding packs for SED with random weights whose survivors are as many as a trained model's.

Random weights reject almost nothing: every category looks like every other. Before the first
rejection the score of a category is an affine function of its embeddings, so its gradient says
which embeddings score high everywhere and which low. S categories lean towards it, each with its
own noise, and all others lean away: the S take all places among the k highest.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edge_ovss.export import ExportOptions, export_bundle
from edge_ovss.models.sed import Sed
from edge_ovss.models.spec import Model
from edge_ovss.synthetic import render_street
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary

_SEEDS = (1, 2)
_OWN_NOISE, _OTHERS_NOISE = 1.5, 0.3


def write_setting(
    folder: Path,
    model: Model,
    *,
    size: tuple[int, int] | None = None,
    frame: tuple[int, int] = (480, 640),
) -> None:
    """Write what all contestants read: the frame, and what the torch ones need of the model.

    Args:
        folder: Where to.
        model: The model.
        size: (height, width) inside the network; None for the model's own.
        frame: (height, width) of the frame.
    """
    picture = model.spec.picture
    height, width = size or (picture.height, picture.width)
    image = render_street(seed=7, height=frame[0], width=frame[1]).image
    np.save(folder / "frame.npy", image)
    setting = {
        "model": model.spec.name,
        "family": model.spec.family,
        "weights": model.origin.source,
        "height": height,
        "width": width,
        "mean": picture.mean,
        "std": picture.std,
    }
    (folder / "setting.json").write_text(json.dumps(setting))


def export_once(path: Path, vocabulary: Vocabulary, options: ExportOptions) -> None:
    """Export a bundle, unless an earlier run has."""
    if not path.is_dir():
        print(f"exporting {path.stem}", flush=True)
        export_bundle(vocabulary, path, options)


def survivor_pack(model: Sed, vocabulary: Vocabulary, *, survivors: int) -> TextEmbeddings:
    """Make text embeddings of which about `survivors` categories survive the first rejection.

    Args:
        model: SED with random weights.
        vocabulary: T categories; only their number and hashes are used.
        survivors: S, at most T.
    """
    count, width = len(vocabulary), int(model.clip_model.text_projection.shape[1])
    towards = _score_gradient(model, len(model.spec.templates), width)
    generator = torch.Generator().manual_seed(0)

    def noise(rows: int) -> Tensor:
        shape = (rows, *towards.shape)
        return F.normalize(torch.randn(shape, generator=generator), dim=-1)

    high = F.normalize(towards + _OWN_NOISE * noise(survivors), dim=-1)
    low = F.normalize(-towards + _OTHERS_NOISE * noise(count - survivors), dim=-1)
    order = torch.randperm(count, generator=generator)
    array = torch.cat([high, low])[order].contiguous().numpy()
    return TextEmbeddings(
        array=np.ascontiguousarray(array),
        prompts=vocabulary.prompts,
        vocabulary_sha256=vocabulary.sha256,
        templates_sha256=TextEmbeddings.templates_digest(model.spec.templates),
        text_tower=f"benchmark fixture, {survivors} survivors",
        text_tower_sha256="0" * 64,
    )


def _score_gradient(model: Sed, templates: int, width: int) -> Tensor:
    text = torch.zeros(1, templates, width, requires_grad=True)
    decoder = model.transformer
    for seed in _SEEDS:
        with torch.no_grad():
            _, dense = model.encode_picture(_image(model, seed))
        cost = torch.einsum("bdhw,tpd->tphw", F.normalize(dense, dim=1), text)
        decoder.head0(decoder.conv1(cost)).sum().backward()
    if text.grad is None:
        message = "The score does not depend on the text"
        raise RuntimeError(message)
    return F.normalize(text.grad[0], dim=-1)


def _image(model: Sed, seed: int) -> Tensor:
    frame = render_street(seed=seed, height=480, width=640).image
    return normalize(model, torch.from_numpy(frame), (480, 640))


def normalize(model: Sed, frame: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """uint8 [H, W, 3] → float32 [1, 3, h, w], as published: normalized, then resized."""
    spec = model.spec.picture
    x = frame.permute(2, 0, 1)[None].float()
    mean, std = (torch.tensor(each, device=x.device) for each in (spec.mean, spec.std))
    x = (x - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    return F.interpolate(x, size or (spec.height, spec.width), mode="bilinear")
