"""Exact rewrites do not move the answer; template compression does what it says."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from edge_ovss.bundle.rejection import Rejection  # noqa: E402
from edge_ovss.cli import main  # noqa: E402
from edge_ovss.errors import UsageError  # noqa: E402
from edge_ovss.export.family import LoadedModel  # noqa: E402
from edge_ovss.export.loading import load_for_export  # noqa: E402
from edge_ovss.export.options import ExportOptions  # noqa: E402
from edge_ovss.export.parity_check import relative_error  # noqa: E402
from edge_ovss.export.sed.decoder_layer import fold_layer_scale  # noqa: E402
from edge_ovss.export.sed.frozen import FrozenSed  # noqa: E402
from edge_ovss.export.sed.template_rank import (  # noqa: E402
    agreement_and_miou,
    apply_rank,
    compress_templates,
    smallest_rank,
    template_basis,
)
from edge_ovss.models.sed.blocks import SpatialBlock  # noqa: E402
from edge_ovss.synthetic import render_street  # noqa: E402
from edge_ovss.vocabulary import Vocabulary  # noqa: E402

OUTPUTS = ("labels", "alive", "counts", "scores")


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    words = Vocabulary.from_names(["road", "sky", "tree", "car", "person"])
    options = ExportOptions(weights="random", size=(96, 128))
    return load_for_export(words, options)


@pytest.fixture(scope="module")
def frame() -> Any:  # noqa: ANN401
    return render_street(seed=2, height=120, width=160).image


def _fresh(loaded: LoadedModel) -> FrozenSed:
    graph: FrozenSed = loaded.freeze(Rejection("none").fit(5), OUTPUTS)
    return graph


def _scores(graph: FrozenSed, frame: Any) -> Any:  # noqa: ANN401
    with torch.inference_mode():
        return graph(torch.from_numpy(frame)[None])[3][0].numpy()


def test_all_rewrites_together_leave_the_answer(loaded: LoadedModel, frame: Any) -> None:  # noqa: ANN401
    """Folded normalization and layer scale, split convolutions, text normalized at export."""
    spec = loaded.model.spec.picture
    x = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    x = (x - torch.tensor(spec.mean).view(1, 3, 1, 1)) / torch.tensor(spec.std).view(1, 3, 1, 1)
    x = torch.nn.functional.interpolate(x, (96, 128), mode="bilinear")
    with torch.inference_mode():
        expected = loaded.model(x, loaded.embeddings)[0].sigmoid().numpy()
    assert relative_error(_scores(_fresh(loaded), frame), expected) < 1e-5


def test_freezing_does_not_change_the_model(loaded: LoadedModel) -> None:
    before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    compress_templates(_fresh(loaded), 7)
    after = loaded.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_layer_scale_folds_exactly() -> None:
    torch.manual_seed(0)
    block = SpatialBlock(channels=8)
    with torch.no_grad():
        block.gamma.copy_(torch.randn(8))  # type: ignore[union-attr]
    x = torch.randn(2, 8, 6, 5)
    expected = block(x)
    fold_layer_scale(block, block.pwconv2)
    assert block.gamma is None
    assert torch.allclose(block(x), expected, atol=1e-6)


def test_full_rank_changes_nothing(loaded: LoadedModel, frame: Any) -> None:  # noqa: ANN401
    graph = _fresh(loaded)
    expected = _scores(graph, frame)
    assert compress_templates(graph, 80) == pytest.approx(1.0)
    assert relative_error(_scores(graph, frame), expected) < 1e-5


def test_energy_is_what_the_basis_keeps(loaded: LoadedModel) -> None:
    text = _fresh(loaded).text
    basis, energy = template_basis(text, 80)
    rows = text.reshape(-1, 80, text.shape[1])
    kept = torch.einsum("tpd,pr->trd", rows, basis[:, :10]).square().sum() / rows.square().sum()
    assert float(energy[9]) == pytest.approx(float(kept), abs=1e-5)
    assert torch.allclose(basis.t() @ basis, torch.eye(80), atol=1e-5)
    assert bool((energy[1:] >= energy[:-1] - 1e-12).all())


def test_shared_templates_compress_without_loss(loaded: LoadedModel, frame: Any) -> None:  # noqa: ANN401
    """Embeddings that really lie in a space of rank 6 lose nothing at rank 6."""
    rng = np.random.default_rng(0)
    low = np.einsum("pr,trd->tpd", rng.standard_normal((80, 6)), rng.standard_normal((5, 6, 128)))
    graph = _fresh(loaded)
    graph.text = torch.from_numpy(low.astype(np.float32)).flatten(0, 1).contiguous()
    expected = _scores(graph, frame)
    assert compress_templates(graph, 6) == pytest.approx(1.0, abs=1e-9)
    assert graph.conv1.in_channels == 6
    assert relative_error(_scores(graph, frame), expected) < 1e-4


def test_auto_keeps_the_labels_it_promises(loaded: LoadedModel, frame: Any) -> None:  # noqa: ANN401
    graph = _fresh(loaded)
    report = apply_rank(graph, "auto", fresh=lambda: _fresh(loaded), frames=[frame])
    assert report.label_agreement >= 0.995
    assert report.rank == graph.templates == graph.conv1.in_channels
    assert report.templates == 80


@pytest.mark.parametrize("rank", [0, 81, -1])
def test_rank_out_of_range_is_refused(loaded: LoadedModel, frame: Any, rank: int) -> None:  # noqa: ANN401
    with pytest.raises(UsageError, match="1 to 80"):
        apply_rank(_fresh(loaded), rank, fresh=lambda: _fresh(loaded), frames=[frame])


def test_rank_that_is_no_number_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--vocab", "camvid", "--template-rank", "few"]) == 2
    assert "whole number" in capsys.readouterr().err


def test_smallest_rank_that_holds() -> None:
    assert smallest_rank([(80, 1.0), (40, 0.999), (20, 0.9)], at_least=0.995) == 40
    assert smallest_rank([(80, 0.9), (40, 0.8)], at_least=0.995) == 80
    with pytest.raises(ValueError, match="tried"):
        smallest_rank([], at_least=0.5)


def test_compare_labels_by_hand() -> None:
    full, given = np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 1]])
    agreement, miou = agreement_and_miou([full], [given])
    assert agreement == pytest.approx(0.75)
    assert miou == pytest.approx((1 / 2 + 2 / 3) / 2)
