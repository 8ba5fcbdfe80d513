"""Second step: teach the text tower which words mean the same, under all prompt templates.

    python training/text_pretrain.py --out training/runs/text.pt

InfoNCE over groups of a thesaurus (training/words.py): two prompts of one group (any synonym, any
template) attract each other, prompts of other groups repel. Random tokens take part as words of
their own, so that a word nobody thought of does not land on a street category. Nothing is
downloaded; the thesaurus is hand-written plus the synonym groups of ade847.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from words import RELATED, thesaurus

from edge_ovss.models import load_model
from edge_ovss.models._open_clip import import_open_clip
from edge_ovss.synthetic import STREET_CLASSES

logger = logging.getLogger("text_pretrain")

Clip: TypeAlias = Any  # a CLIP of open_clip

TEXT_PARTS = ("token_embedding", "transformer", "ln_final", "positional_embedding")
_TEMPERATURE = 0.07
_START, _END, _CONTEXT = 49406, 49407, 77


def initialize_text(clip: Clip) -> None:
    """Give the text tower the usual starting values."""
    width = clip.token_embedding.weight.shape[1]
    nn.init.normal_(clip.token_embedding.weight, std=0.3)
    nn.init.normal_(clip.positional_embedding, std=0.05)
    nn.init.normal_(clip.text_projection, std=width**-0.5)
    nn.init.ones_(clip.ln_final.weight)
    nn.init.zeros_(clip.ln_final.bias)
    for module in clip.transformer.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=width**-0.5)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.MultiheadAttention):
            nn.init.normal_(module.in_proj_weight, std=width**-0.5)
            nn.init.zeros_(module.in_proj_bias)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


@cache
def _pieces(text: str) -> tuple[int, ...]:
    """Token ids of a text without start and end."""
    row = import_open_clip().tokenize([text])[0]
    return tuple(row[1 : int(row.argmax())].tolist())


def _row(template: str, word: Sequence[int]) -> Tensor:
    """Tokens of a prompt, int64 [77]; parts are put together, which is quicker than whole texts."""
    before, after = template.split("{}")
    ids = [_START, *_pieces(before), *word, *_pieces(after), _END]
    row = torch.zeros(_CONTEXT, dtype=torch.int64)
    row[: len(ids)] = torch.tensor(ids)
    return row


def encode(clip: Clip, tokens: Tensor) -> Tensor:
    """Encode prompts with gradients.

    Args:
        clip: An open_clip CLIP.
        tokens: int64 [N, 77].

    Returns:
        float32 [N, D], unit norm.
    """
    ends = tokens.argmax(-1)
    length = int(ends.max()) + 1
    x = clip.token_embedding(tokens[:, :length]) + clip.positional_embedding[:length]
    mask = torch.full((length, length), float("-inf"), device=x.device).triu_(1)
    x = clip.ln_final(clip.transformer(x, attn_mask=mask))
    return F.normalize(x[torch.arange(len(x)), ends] @ clip.text_projection, dim=-1)


class Prompts:
    """Draws pairs of prompts that mean the same.

    Args:
        templates: With "{}" for the word.
        seed: Of the draws.
    """

    def __init__(self, templates: Sequence[str], *, seed: int) -> None:
        self.templates = templates
        self.groups = thesaurus()
        self.random = np.random.default_rng(seed)
        self.always = len(STREET_CLASSES) + len(RELATED)

    def draw(self, *, others: int, noise: int) -> Tensor:
        """Tokens of 2·N prompts, int64; prompts 2i and 2i + 1 mean the same."""
        rest = np.arange(self.always, len(self.groups))
        chosen = [*range(self.always), *self.random.choice(rest, others, replace=False)]
        rows = [self._row(self.groups[index]) for index in chosen for _ in range(2)]
        for _ in range(noise):
            token = int(self.random.integers(300, 49000))
            rows += [self._noise(token), self._noise(token)]
        return torch.stack(rows)

    def _template(self) -> str:
        return self.templates[int(self.random.integers(len(self.templates)))]

    def _row(self, group: Sequence[str]) -> Tensor:
        return _row(self._template(), _pieces(group[int(self.random.integers(len(group)))]))

    def _noise(self, token: int) -> Tensor:
        return _row(self._template(), (token,))


def contrast(features: Tensor) -> Tensor:
    """InfoNCE of pairs (2i, 2i + 1), both ways, float32 [2·N, D] of unit norm."""
    first, second = features[::2], features[1::2]
    logits = first @ second.T / _TEMPERATURE
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def pretrain(clip: Clip, prompts: Prompts, *, steps: int) -> None:
    """Train the text tower in place."""
    initialize_text(clip)
    parameters = [p for n, p in clip.named_parameters() if not n.startswith(("visual", "logit"))]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    started, mean = time.monotonic(), 0.0
    for step in range(steps):
        loss = contrast(encode(clip, prompts.draw(others=64, noise=16)))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        mean = loss.item() if step == 0 else 0.95 * mean + 0.05 * loss.item()
        if step % 50 == 0 or step == steps - 1:
            logger.info("step %d loss %.3f (%.0f s)", step, mean, time.monotonic() - started)


def report(clip: Clip, templates: Sequence[str]) -> None:
    """Log how far synonyms and other words are from each street category."""
    groups = thesaurus()
    some = templates[::8]
    with torch.inference_mode():
        rows = []
        for group in groups:
            for word in group:
                tokens = torch.stack([_row(t, _pieces(word)) for t in some])
                rows.append(F.normalize(encode(clip, tokens).mean(0), dim=-1))
    vectors = torch.stack(rows)
    owner = torch.tensor([i for i, group in enumerate(groups) for _ in group])
    words = [word for group in groups for word in group]
    for index, name in enumerate(STREET_CLASSES):
        anchor = vectors[words.index(name)]
        cosine = vectors @ anchor
        same, other = cosine[owner == index], cosine[owner != index]
        worst = words[int(torch.where(owner == index, -1.0, cosine).argmax())]
        text = "%s: synonyms at least %.2f, others at most %.2f (%s)"
        logger.info(text, name, float(same.min()), float(other.max()), worst)


def main() -> None:
    """Train and write the text tower's parameters."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="file to write (.pt)")
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = load_model("sed-tiny", weights="random", seed=args.seed)
    pretrain(model.clip_model, Prompts(model.spec.templates, seed=args.seed), steps=args.steps)
    report(model.clip_model, model.spec.templates)
    names = (*TEXT_PARTS, "text_projection")
    state = {n: v for n, v in model.clip_model.state_dict().items() if n.startswith(names)}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, args.out)


if __name__ == "__main__":
    main()
