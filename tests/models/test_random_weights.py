"""Random weights: every parameter, no buffer, and tempered where a family says so."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from edge_ovss.models.random_weights import fill_randomly  # noqa: E402


class Small(nn.Module):
    """Two layers and the statistics of a frozen batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.register_buffer("running_mean", torch.zeros(4))
        self.register_buffer("running_var", torch.ones(4))


def filled(**options: object) -> dict[str, Tensor]:
    model = Small()
    fill_randomly(model, seed=3, **options)  # type: ignore[arg-type]
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_buffers_keep_their_defaults() -> None:
    state = filled()
    assert torch.equal(state["running_mean"], torch.zeros(4))
    assert torch.equal(state["running_var"], torch.ones(4))
    assert all(torch.equal(value, filled()[name]) for name, value in state.items())


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("first.weight", {"first.weight"}),
        ("layers.*.weight", {"layers.0.weight", "layers.1.weight"}),
        ("layers.[1-9].*", {"layers.1.weight", "layers.1.bias"}),
    ],
)
def test_only_what_matches_is_tempered(pattern: str, names: set[str]) -> None:
    plain, tempered = filled(), filled(tempered={pattern: 0.5})
    for name, value in plain.items():
        assert torch.equal(tempered[name], value * 0.5 if name in names else value)
