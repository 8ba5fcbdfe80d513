"""The text side: CLIP's text tower behind a learned prompt, and the row that means "no class".

A prompt is put together from embeddings: a start signal, learned vectors, the class name's own
tokens, a full stop, an end signal. There are no templates, and a class name is used whole: "road,
route" is one name with its comma.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss._progress import CountProgress
from edge_ovss.models._open_clip import import_open_clip
from edge_ovss.models.spec import Clip

# Prompts of equal length that go through the tower together.
_BATCH = 64
_SIGNALS = ("start_signal", "dot_signal", "end_signal", "pad_signal")


class PromptLearner(nn.Module):
    """Learned vectors and the embeddings of CLIP's special tokens.

    Args:
        width: Of the text tower.
        vectors: Learned vectors in front of the class name.
    """

    start_signal: Tensor
    dot_signal: Tensor
    end_signal: Tensor

    def __init__(self, width: int, vectors: int) -> None:
        super().__init__()
        self.prefix_prompt = nn.Parameter(torch.zeros(vectors, width))
        for name in _SIGNALS:
            self.register_buffer(name, torch.zeros(1, width))

    def forward(self, names: Tensor) -> Tensor:
        """Frame token embeddings of class names of one length.

        Args:
            names: float [N, n, C].

        Returns:
            float [N, n + vectors + 3, C]; the last place is the end signal.
        """
        front = torch.cat([self.start_signal, self.prefix_prompt])
        back = torch.cat([self.dot_signal, self.end_signal])
        count = len(names)
        return torch.cat([front.expand(count, -1, -1), names, back.expand(count, -1, -1)], dim=1)


class ClipAdapter(nn.Module):
    """CLIP with its prompt and the embedding of "no class" (`clip_adapter.`).

    Args:
        clip: An open_clip CLIP; its temperature is not used.
        vectors: Learned vectors of the prompt.
    """

    def __init__(self, clip: Clip, *, vectors: int) -> None:
        super().__init__()
        self.clip_model = clip
        del self.clip_model.logit_scale
        self.prompt_learner = PromptLearner(clip.positional_embedding.shape[1], vectors)
        self.non_object_embedding = nn.Parameter(torch.zeros(1, clip.text_projection.shape[1]))

    def class_embeddings(self, embeddings: Tensor) -> Tensor:
        """Classes and the "no class" row, unit vectors float [T + 1, D], of float [T, 1, D]."""
        rest = F.normalize(self.non_object_embedding, dim=-1)
        return torch.cat([F.normalize(embeddings.mean(1), dim=-1), rest])

    @torch.inference_mode()
    def encode_names(
        self, prompts: Sequence[str], *, progress: CountProgress | None = None
    ) -> Tensor:
        """Encode class names.

        Args:
            prompts: N names; beyond the tower's context they are cut.
            progress: Called with (names done, N).

        Returns:
            float32 [N, D], unit norm, on the CPU.
        """
        tokens = [self._tokens(name) for name in prompts]
        order = sorted(range(len(prompts)), key=lambda index: len(tokens[index]))
        features = torch.empty(len(prompts), self.clip_model.text_projection.shape[1])
        start = 0
        while start < len(order):
            length = len(tokens[order[start]])
            rows = [i for i in order[start : start + _BATCH] if len(tokens[i]) == length]
            features[rows] = self._encode(torch.stack([tokens[row] for row in rows])).float().cpu()
            start += len(rows)
            if progress is not None:
                progress(start, len(prompts))
        return features

    def _tokens(self, name: str) -> Tensor:
        """Token ids of a name without start and end, cut to what the context leaves."""
        context = int(self.clip_model.context_length)
        row = import_open_clip().tokenize([name.strip()], context_length=context)[0]
        inside = row[1 : int(row.argmax())]
        room = context - len(self.prompt_learner.prefix_prompt) - 3
        tokens: Tensor = inside[:room]
        return tokens

    def _encode(self, tokens: Tensor) -> Tensor:
        clip = self.clip_model
        names = clip.token_embedding(tokens.to(clip.positional_embedding.device))
        x = self.prompt_learner(names)
        length = x.shape[1]
        mask = torch.full((length, length), float("-inf"), device=x.device, dtype=x.dtype).triu_(1)
        x = clip.transformer(x + clip.positional_embedding[:length], attn_mask=mask)
        # The tower is causal and the end signal is last: what would follow is not computed.
        features: Tensor = F.normalize(clip.ln_final(x[:, -1]) @ clip.text_projection, dim=-1)
        return features
