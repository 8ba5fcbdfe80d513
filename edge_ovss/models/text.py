"""Encode a vocabulary into text embeddings, once, and cache them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss._files import cache_folder
from edge_ovss._progress import CountProgress
from edge_ovss.errors import EdgeOvssError
from edge_ovss.models._open_clip import import_open_clip
from edge_ovss.models.spec import Clip, ModelSpec
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary
from edge_ovss.words.prompts import batches_by_length, encoded_names

_FORMAT = 2
_TEXT_TOWER = (
    "token_embedding.",
    "transformer.",
    "ln_final.",
    "positional_embedding",
    "text_projection",
)
_LEARNED = "learned."


class EncodePrompts(Protocol):
    """Encodes prompts: N texts to float32 [N, D] of unit norm."""

    def __call__(self, prompts: Sequence[str], *, progress: CountProgress | None = None) -> Tensor:
        """Encode; `progress` is called with (prompts done, N)."""
        ...


def imagenet_templates() -> tuple[str, ...]:
    """The 80 ImageNet prompt templates of open_clip with "{}" for the category, in its order."""
    open_clip = import_open_clip()
    return tuple(str(template("{}")) for template in open_clip.OPENAI_IMAGENET_TEMPLATES)


def encode_vocabulary(
    clip: Clip,
    vocabulary: Vocabulary,
    *,
    spec: ModelSpec,
    progress: CountProgress | None = None,
    encode: EncodePrompts | None = None,
    learned: nn.Module | None = None,
) -> TextEmbeddings:
    """Encode a vocabulary, or read its embeddings from the cache.

    For every category and template the encoded names are normalized, averaged and normalized
    again. The cache is in `EDGE_OVSS_CACHE` (default `~/.cache/edge-ovss`), keyed by names,
    templates, weights and structure of the text tower; an empty `EDGE_OVSS_CACHE=` turns it off.

    Args:
        clip: The text tower, an open_clip CLIP.
        vocabulary: T categories.
        spec: The model's templates, and what it encodes of a category.
        progress: Called with (prompts done, prompts in all).
        encode: Encodes prompts instead of `encode_prompts`.
        learned: Weights that `encode` reads besides the text tower, such as a learned prompt.

    Returns:
        float32 [T, P, D], unit norm.
    """
    tower = text_tower_digest(clip, learned)
    groups = [encoded_names(category, spec.synonyms) for category in vocabulary.categories]
    words = [name for group in groups for name in group]
    made_by = {
        "vocabulary_sha256": vocabulary.sha256,
        "templates_sha256": TextEmbeddings.templates_digest(spec.templates),
        "text_tower": spec.name,
        "text_tower_sha256": tower,
    }
    cached = _cache_path(words, [*made_by.values(), _form(clip)])
    found = _from_cache(cached, vocabulary, made_by)
    if found is not None:
        return found
    prompts = [template.replace("{}", word) for word in words for template in spec.templates]
    encode = encode or partial(encode_prompts, clip)
    features = encode(prompts, progress=progress)
    features = features.view(len(words), len(spec.templates), -1)
    result = TextEmbeddings(
        array=_average_synonyms(features, [len(group) for group in groups]).numpy(),
        prompts=vocabulary.prompts,
        vocabulary=vocabulary,
        **made_by,
    )
    _to_cache(cached, result)
    return result


def _average_synonyms(features: Tensor, counts: Sequence[int]) -> Tensor:
    groups = torch.split(features, list(counts))
    return torch.stack([F.normalize(group.mean(0), dim=-1) for group in groups])


def as_tensor(embeddings: TextEmbeddings | Tensor, *, like: Tensor) -> Tensor:
    """Return the embeddings as a tensor on the device and of the type of `like`."""
    if isinstance(embeddings, TextEmbeddings):
        embeddings = torch.from_numpy(embeddings.array)
    return embeddings.to(device=like.device, dtype=like.dtype)


@torch.inference_mode()
def encode_prompts(
    clip: Clip, prompts: Sequence[str], *, progress: CountProgress | None = None
) -> Tensor:
    """Encode prompts with the CLIP text tower.

    The tower is causal and the feature is read at the end token, so nothing after the longest end
    token of a batch is computed; prompts are sorted by length to keep that short.

    Args:
        clip: An open_clip CLIP.
        prompts: N texts; the tokenizer cuts them after 77 tokens.
        progress: Called with (prompts done, N).

    Returns:
        float32 [N, D], unit norm, on the CPU.
    """
    open_clip = import_open_clip()
    # Many prompts occur twice (synonyms shared by categories): encode each once.
    unique = {prompt: index for index, prompt in enumerate(dict.fromkeys(prompts))}
    tokens = open_clip.tokenize(list(unique), context_length=clip.context_length)
    features = torch.empty(len(unique), _width(clip))
    done = 0
    for batch, length in batches_by_length(tokens.numpy()):
        rows = torch.from_numpy(batch)
        features[rows] = _encode_tokens(clip, tokens[rows, :length]).float().cpu()
        done += len(rows)
        if progress is not None:
            progress(done * len(prompts) // len(unique), len(prompts))
    return features[[unique[prompt] for prompt in prompts]]


def _width(clip: Clip) -> int:
    return int(clip.text_projection.shape[1])


def _encode_tokens(clip: Clip, tokens: Tensor) -> Tensor:
    device = clip.positional_embedding.device
    length = tokens.shape[1]
    tokens = tokens.to(device)
    x = clip.token_embedding(tokens) + clip.positional_embedding[:length]
    mask = torch.full((length, length), float("-inf"), device=device, dtype=x.dtype).triu_(1)
    x = clip.ln_final(clip.transformer(x, attn_mask=mask))
    x = x[torch.arange(len(tokens), device=device), tokens.argmax(-1)] @ clip.text_projection
    features: Tensor = F.normalize(x, dim=-1)
    return features


def text_tower_digest(clip: Clip, learned: nn.Module | None = None) -> str:
    """SHA-256 over the names and bytes of the text tower's parameters (as float32).

    Args:
        clip: An open_clip CLIP.
        learned: A module whose parameters and buffers are included, such as a learned prompt.
    """
    digest = hashlib.sha256()
    others = {} if learned is None else learned.state_dict(prefix=_LEARNED)
    for name, value in sorted({**clip.state_dict(), **others}.items()):
        if name.startswith((*_TEXT_TOWER, _LEARNED)):
            digest.update(f"{name}{tuple(value.shape)}".encode())
            digest.update(np.ascontiguousarray(value.detach().float().cpu().numpy()).data)
    return digest.hexdigest()


def _form(clip: Clip) -> str:
    """Describe what a text tower does with its weights: layers, activations, heads, length."""
    heads = [getattr(module, "num_heads", 0) for module in clip.transformer.modules()]
    return f"{clip.transformer!r} {heads} {clip.context_length}"


def _cache_path(words: Sequence[str], others: Sequence[str]) -> Path | None:
    folder = cache_folder()
    if folder is None:
        return None
    # As JSON: names may contain line ends.
    key = json.dumps([_FORMAT, list(words), list(others)])
    return folder / "embeddings" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"


def _from_cache(
    path: Path | None, vocabulary: Vocabulary, made_by: Mapping[str, str]
) -> TextEmbeddings | None:
    """Return the cached embeddings; None if they are damaged or were made by something else."""
    if path is None or not path.is_file():
        return None
    try:
        found = TextEmbeddings.load(path)
        found.require_match(vocabulary)
    except EdgeOvssError:
        # A damaged cache file is written again.
        return None
    same = all(getattr(found, name) == value for name, value in made_by.items())
    # The same words may have other colors, or another name.
    return replace(found, vocabulary=vocabulary) if same else None


def _to_cache(path: Path | None, embeddings: TextEmbeddings) -> None:
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        embeddings.save(path)
    except (OSError, EdgeOvssError):
        # The cache is a convenience: a read-only home folder must not stop an export.
        return
