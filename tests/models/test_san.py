"""SAN beyond the contract of all families: its resizes, its checkpoints, its two answers."""

from __future__ import annotations

import importlib.util
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
# Not importorskip: open_clip may be importable only through edge_ovss.models (see _open_clip.py).
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from torch.nn import functional as F  # noqa: E402

from edge_ovss.cli import main  # noqa: E402
from edge_ovss.errors import CheckpointError, UsageError  # noqa: E402
from edge_ovss.export import ExportOptions, Rejection, export_bundle  # noqa: E402
from edge_ovss.export.families import family_export  # noqa: E402
from edge_ovss.export.family import LoadedModel  # noqa: E402
from edge_ovss.export.parts.sampling import fit_matrix, fitted_size, spread_matrix  # noqa: E402
from edge_ovss.export.san.frozen import Shrink, pool_windows  # noqa: E402
from edge_ovss.models import load_model  # noqa: E402
from edge_ovss.models.random_weights import fill_randomly  # noqa: E402
from edge_ovss.models.san import San, build_san, text_tower  # noqa: E402
from edge_ovss.models.san.build import VARIANTS, SanNumbers, assemble  # noqa: E402
from edge_ovss.models.san.resizing import clip_positions, shrink  # noqa: E402
from edge_ovss.models.san.side_adapter import SideNumbers  # noqa: E402
from edge_ovss.runtime import Segmenter  # noqa: E402
from edge_ovss.synthetic import render_street  # noqa: E402
from edge_ovss.vocabulary import Vocabulary  # noqa: E402

DATA = Path(__file__).parents[1] / "data"
WORDS = ["road", "sky", "building", "car, automobile", "tree"]
MAX_ERROR = 1e-4

# What only san-large has: patches of 14 pixels, 0.7 of the picture, windows of uneven size.
UNEVEN = SanNumbers(
    clip="ViT-B-16",
    clip_scale=0.7,
    extractor_blocks=3,
    side=SideNumbers(
        width=48,
        depth=4,
        heads=3,
        patch=16,
        grid=8,
        queries=20,
        hidden=32,
        fusion={0: 0, 1: 1, 2: 2, 3: 3},
    ),
    vision={"image_size": 56, "patch_size": 14, "width": 64, "layers": 5, "head_width": 16},
    text={"width": 64, "heads": 4, "layers": 2},
    embed_dim=64,
)


@pytest.fixture(scope="module")
def tiny() -> San:
    model: San = load_model("san-tiny", weights="random", seed=1)
    return model


@pytest.fixture(scope="module")
def uneven() -> San:
    model = assemble("san-uneven", UNEVEN)
    fill_randomly(model, seed=2)
    return model


def _error(given: Any, expected: Any) -> float:  # noqa: ANN401
    return float((given - expected).norm() / expected.norm())


@pytest.mark.parametrize(
    ("frame", "size", "fitted"),
    [
        ((480, 640), (640, 640), (480, 640)),
        ((640, 853), (640, 864), (640, 853)),
        ((1080, 1920), (640, 640), (360, 640)),
        ((1, 1), (96, 128), (96, 96)),
        ((1, 4000), (96, 128), (1, 128)),
        ((3, 256), (96, 128), (2, 128)),  # 1.5 rounds up
        ((4000, 3000), (640, 640), (640, 480)),
    ],
)
def test_a_frame_is_fitted_with_its_aspect_and_halves_rounded_up(
    frame: tuple[int, int], size: tuple[int, int], fitted: tuple[int, int]
) -> None:
    assert fitted_size(*frame, size=size) == fitted
    scale = min(Fraction(size[0], frame[0]), Fraction(size[1], frame[1]))
    rule = tuple(max(1, int(side * scale + Fraction(1, 2))) for side in frame)
    assert rule == fitted


@pytest.mark.parametrize(("source", "fitted", "count"), [(50, 96, 96), (211, 60, 64), (64, 64, 96)])
def test_the_fit_matrix_is_an_antialiased_resize_with_zeros_behind(
    source: int, fitted: int, count: int
) -> None:
    # Two columns: torch 2.13 resizes a contiguous picture to one column wrongly (antialias).
    line = torch.rand(1, 1, source, 1).expand(-1, -1, -1, 2)
    expected = F.interpolate(line, (fitted, 2), mode="bilinear", antialias=True)[0, 0, :, 0]
    given = fit_matrix(count, source=source, fitted=fitted) @ line[0, 0, :, 0]
    assert torch.allclose(given[:fitted], expected, atol=1e-5)
    assert not given[fitted:].any()


@pytest.mark.parametrize(("wanted", "fitted"), [(96, 96), (37, 64), (400, 90), (1, 1)])
def test_the_spread_matrix_is_two_resizes_and_a_crop(wanted: int, fitted: int) -> None:
    grid = torch.rand(1, 1, 6, 1)
    padded = F.interpolate(grid, (96, 1), mode="bilinear")[:, :, :fitted]
    expected = F.interpolate(padded, (wanted, 1), mode="bilinear")[0, 0, :, 0]
    matrix = spread_matrix(wanted, wanted=wanted, fitted=fitted, grid=6, padded=96)
    assert torch.allclose(matrix @ grid[0, 0, :, 0], expected, atol=1e-4)


@pytest.mark.parametrize(("size", "factor"), [((1440, 32), 0.7), ((96, 128), 0.5), ((64, 96), 0.7)])
def test_clips_picture_is_sampled_as_torch_samples_it(size: tuple[int, int], factor: float) -> None:
    image = torch.rand(1, 3, *size)
    given = Shrink(size=size, factor=factor)(image)
    assert given.shape[2] == int(size[0] * factor)  # 1440 x 0.7 = 1007, not 1008
    assert torch.allclose(given, shrink(image, factor=factor), atol=1e-3)


@pytest.mark.parametrize(
    ("given", "pooled"), [((40, 50), (32, 40)), ((8, 6), (4, 3)), ((7, 5), (5, 5))]
)
def test_pooled_windows_are_those_of_adaptive_pooling(
    given: tuple[int, int], pooled: tuple[int, int]
) -> None:
    maps = torch.randn(2, 3, *given)
    windows = pool_windows(maps, height=pooled[0], width=pooled[1])
    assert torch.equal(windows, F.adaptive_max_pool2d(maps, pooled))


def test_clip_positions_keep_the_class_token_and_change_only_with_the_grid() -> None:
    table = torch.randn(17, 6)
    assert torch.equal(clip_positions(table, height=4, width=4)[0], table)
    resized = clip_positions(table, height=3, width=5)
    assert resized.shape == (1, 16, 6)
    assert torch.equal(resized[0, 0], table[0])


@pytest.mark.parametrize("size", [(70, 100), (64, 96), (33, 1)])
def test_any_picture_is_padded_inside_and_answered_at_its_own_size(
    tiny: San, size: tuple[int, int]
) -> None:
    image = torch.randn(1, 3, *size)
    padded = F.pad(image, (0, -size[1] % 32, 0, -size[0] % 32))
    embeddings = tiny.encode_text(Vocabulary.from_names(WORDS))
    with torch.inference_mode():
        scores = tiny(image, embeddings)
        whole = tiny(padded, embeddings)
    assert scores.shape == (1, len(WORDS), *size)
    assert _error(scores, whole[..., : size[0], : size[1]]) < 1e-6


@pytest.mark.parametrize("answer", ["published", "fast"])
@pytest.mark.parametrize(
    ("size", "frame"), [((96, 128), (96, 128)), ((96, 160), (90, 100)), ((64, 96), (150, 90))]
)
def test_the_rewritten_graph_computes_what_the_model_does(
    uneven: San, size: tuple[int, int], frame: tuple[int, int], answer: str
) -> None:
    vocabulary = Vocabulary.from_names(WORDS)
    embeddings = uneven.encode_text(vocabulary)
    loaded = LoadedModel(family_export("san"), uneven, vocabulary, embeddings, size, answer)
    graph = loaded.freeze(Rejection("none"), ("labels", "scores"))
    picture = torch.from_numpy(render_street(seed=2, height=frame[0], width=frame[1]).image)
    with torch.inference_mode():
        labels, scores = graph(picture[None])
        published = loaded.family.published_scores(loaded, picture, None)
    error = _error(scores[0], published)
    if answer == "fast":
        assert error > 1e-3
    else:
        assert error < MAX_ERROR
        assert (labels[0] == published.argmax(0)).float().mean() >= 0.999


def test_only_the_first_synonym_is_encoded(tiny: San) -> None:
    both = tiny.encode_text(Vocabulary.from_names(["car, automobile", "sky"]))
    first = tiny.encode_text(Vocabulary.from_names(["car", "sky"]))
    assert both.array.shape == (2, 14, 64)
    assert np.array_equal(both.array, first.array)


def test_the_classifier_ends_with_the_background_and_carries_the_temperature(tiny: San) -> None:
    rows = tiny.classifier(tiny.encode_text(Vocabulary.from_names(WORDS)))
    assert rows.shape == (len(WORDS) + 1, 64)
    scale = tiny.ov_classifier.logit_scale.exp()
    assert torch.allclose(rows.norm(dim=-1), scale.expand(len(rows)), rtol=1e-5)
    background = F.normalize(tiny.ov_classifier.bg_embed, dim=-1)[0]
    assert torch.allclose(rows[-1] / scale, background, atol=1e-6)


@pytest.mark.parametrize("name", ["san-base", "san-large"])
def test_names_and_shapes_are_the_published_ones(name: str) -> None:
    published = json.loads((DATA / f"{name.replace('-', '_')}.keys.json").read_text())
    published.pop("ov_classifier.attn_mask")  # a buffer, not a parameter
    with torch.device("meta"):
        model = build_san(name)
    assert {key: list(value.shape) for key, value in model.state_dict().items()} == published


def test_a_published_checkpoint_may_hold_training_state(tiny: San, tmp_path: Path) -> None:
    extra = {
        "criterion.empty_weight": torch.ones(172),
        "ov_classifier.attn_mask": torch.full((77, 77), -torch.inf).triu(1),
    }
    path = tmp_path / "san.pth"
    torch.save({"model": {**tiny.state_dict(), **extra}, "iteration": 1}, path)
    loaded = load_model("san-tiny", checkpoint=path)
    assert torch.equal(loaded.clip_rec_head.proj, tiny.clip_rec_head.proj)
    assert loaded.origin.file == "san.pth"


def test_missing_parameters_are_named(tiny: San, tmp_path: Path) -> None:
    tensors = dict(tiny.state_dict())
    del tensors["side_adapter_network.query_embed"]
    torch.save(tensors, tmp_path / "san.pth")
    with pytest.raises(CheckpointError, match=r"missing: side_adapter_network\.query_embed"):
        load_model("san-tiny", checkpoint=tmp_path / "san.pth")


@pytest.mark.parametrize(("given", "asked"), [("san-tiny", "sed-tiny"), ("sed-tiny", "san-tiny")])
def test_a_checkpoint_of_the_other_family_is_recognized_and_named(
    given: str, asked: str, tmp_path: Path
) -> None:
    model = load_model(given, weights="random")
    prefix = "sem_seg_head.predictor." if given == "sed-tiny" else ""
    tensors = {prefix + name: value for name, value in model.state_dict().items()}
    torch.save({"model": tensors}, tmp_path / "other.pth")
    family = given[:3].upper()
    with pytest.raises(CheckpointError, match=f"is a {family} checkpoint; '{asked}'") as caught:
        load_model(asked, checkpoint=tmp_path / "other.pth")
    assert caught.value.hint == f"Choose --model {given[:3]}-base or {given[:3]}-large."


def _without_tower(tiny: San) -> dict[str, Any]:
    kept = ("ov_classifier.bg_embed", "ov_classifier.logit_scale")
    return {k: v for k, v in tiny.state_dict().items() if k in kept or "ov_class" not in k}


def test_a_missing_text_tower_comes_from_open_clip(
    tiny: San, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Source:
        def state_dict(self) -> dict[str, Any]:
            state = tiny.ov_classifier.state_dict()
            return {**state, "logit_scale": torch.zeros(()), "visual.proj": torch.zeros(1)}

    def fetch(name: str, numbers: SanNumbers) -> Source:
        asked.append(f"{name} {numbers.clip} {numbers.clip_pretrained}")
        return Source()

    monkeypatch.setattr(text_tower, "_fetch", fetch)
    given = _without_tower(tiny)
    completed = text_tower.add_text_tower("san-base", given)
    assert asked == ["san-base ViT-B-16 openai"]
    assert set(completed) == set(tiny.state_dict())
    # What SAN trained stays the checkpoint's.
    assert completed["ov_classifier.logit_scale"] is given["ov_classifier.logit_scale"]


def test_a_text_tower_that_cannot_be_fetched_is_said_to_be_missing(
    tiny: San, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoNetwork:
        def create_model(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
            message = "no route to host"
            raise OSError(message)

    monkeypatch.setattr(text_tower, "import_open_clip", NoNetwork)
    with pytest.raises(CheckpointError, match=r"no text tower.*no route to host") as caught:
        text_tower.add_text_tower("san-large", _without_tower(tiny))
    assert "san-large" in str(caught.value.hint)


@pytest.mark.parametrize("mode", ["slots", "dynamic"])
def test_asking_for_rejection_is_refused_before_anything_is_made(mode: str, tmp_path: Path) -> None:
    options = ExportOptions(model="san-tiny", weights="random", rejection=Rejection(mode))
    with pytest.raises(UsageError, match=f"--reject is {mode}, .*rejects no categories"):
        export_bundle("camvid", tmp_path / "x.ovss", options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [["--topk", "4"], ["--slots", "8,8,8"]], ids=lambda o: o[0])
def test_rejection_options_are_refused_on_the_command_line(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", "--vocab", "camvid", "--model", "san-tiny", "--weights", "random"]
    assert main([*words, *option, "--out", str(tmp_path / "x.ovss")]) == 2
    assert "rejects no categories" in capsys.readouterr().err


def test_sed_has_only_the_published_answer(tmp_path: Path) -> None:
    options = ExportOptions(model="sed-tiny", weights="random", answer="fast")
    with pytest.raises(UsageError, match="--answer is 'fast'; expected 'published' for 'sed-tiny'"):
        export_bundle("camvid", tmp_path / "x.ovss", options)


@pytest.mark.slow
def test_the_fast_answer_is_marked_and_measured_but_not_gated(tmp_path: Path) -> None:
    options = ExportOptions(model="san-tiny", weights="random", size=(64, 96), answer="fast")
    bundle = export_bundle(Vocabulary.from_names(WORDS), tmp_path / "fast.ovss", options)
    document: dict[str, Any] = json.loads((bundle.path / "manifest.json").read_text())
    assert document["output"]["answer"] == "fast"
    frames = document["parity"]["frames"]
    assert not any(frame["exact"] for frame in frames)
    assert all(0.0 <= frame["published_agreement"] <= 1.0 for frame in frames)
    with Segmenter.open(bundle) as segmenter:
        result = segmenter.segment(render_street(seed=1, height=50, width=70).image)
    assert result.labels.shape == (50, 70)


def test_the_numbers_of_the_published_models() -> None:
    base, large = VARIANTS["san-base"], VARIANTS["san-large"]
    assert (base.clip_scale, large.clip_scale) == (0.5, 0.7)
    assert (base.extractor_blocks, large.extractor_blocks) == (9, 18)
    assert base.side.fusion == {0: 0, 1: 3, 2: 6, 3: 9}
    assert large.side.fusion == {0: 0, 1: 6, 2: 12, 3: 18}
