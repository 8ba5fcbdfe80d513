"""Constants of the models that no reference answer pins: their values are published or chosen."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from edge_ovss.models.random_weights import fill_randomly  # noqa: E402
from edge_ovss.models.san.classifier import OpenVocabularyClassifier  # noqa: E402
from edge_ovss.models.sed.blocks import LinearAttention  # noqa: E402


class _Parameters(torch.nn.Module):  # type: ignore[name-defined, misc]
    def __init__(self) -> None:
        super().__init__()
        shapes = {"gamma": (20_000,), "weight": (20_000,), "bias": (20_000,), "matrix": (400, 50)}
        shapes |= {"pos_embed": (100, 200), "token_embedding": (100, 200), "logit_scale": (1,)}
        for name, shape in shapes.items():
            self.register_parameter(name, torch.nn.Parameter(torch.empty(shape)))


@pytest.mark.parametrize(
    ("name", "mean", "deviation"),
    [
        ("gamma", 0.3, 0.05),
        ("weight", 1.0, 0.1),
        ("bias", 0.0, 0.05),
        ("matrix", 0.0, math.sqrt(2 / 50)),
        ("pos_embed", 0.0, 0.5),
        ("token_embedding", 0.0, 0.5),
    ],
)
def test_random_weights_are_spread_as_documented(name: str, mean: float, deviation: float) -> None:
    model = _Parameters()
    fill_randomly(model, seed=1)
    values = model.get_parameter(name).detach()
    assert float(values.mean()) == pytest.approx(mean, abs=4 * deviation / math.sqrt(20_000))
    assert float(values.std()) == pytest.approx(deviation, rel=0.03)
    assert float(model.get_parameter("logit_scale").detach()) == pytest.approx(math.log(100))


def test_linear_attention_adds_its_published_epsilon() -> None:
    """Where queries and keys are tiny, elu(-7) + 1 each, the epsilon halves the answer."""
    attention = LinearAttention(channels=4)
    for layer, bias in ((attention.q, -7.0), (attention.k, -7.0), (attention.v, 2.0)):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, bias)
    total = math.exp(-14)
    expected = 2.0 * total / (total + 1e-6)
    found = attention(torch.zeros(1, 1, 4)).detach()
    assert found.flatten().tolist() == pytest.approx([expected] * 4, rel=1e-3)


class _Clip(torch.nn.Module):  # type: ignore[name-defined, misc]
    def __init__(self) -> None:
        super().__init__()
        self.context_length = 77
        self.transformer = self.token_embedding = self.ln_final = torch.nn.Identity()
        self.positional_embedding = torch.nn.Parameter(torch.zeros(77, 3))
        self.text_projection = torch.nn.Parameter(torch.zeros(3, 2))
        self.logit_scale = torch.nn.Parameter(torch.tensor(math.log(50.0)))


def test_classifier_rows_are_unit_vectors_of_the_mean_times_the_temperature() -> None:
    """Templates that nearly cancel have a short mean; its direction counts, not its length."""
    classifier = OpenVocabularyClassifier(_Clip())
    classifier.bg_embed.data = torch.tensor([[0.0, 3.0]])
    near = math.sqrt(1 - 1e-12)
    templates = torch.tensor([[[1e-6, near], [1e-6, -near]], [[1.0, 0.0], [0.0, 1.0]]])
    rows = classifier(templates).detach()
    half = 50 / math.sqrt(2)
    assert rows.flatten().tolist() == pytest.approx([50, 0, half, half, 0, 50], abs=1e-3)
