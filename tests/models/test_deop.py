"""DeOP beyond the contract of all families: exact rewrites, sizes, idle masks, checkpoints."""

from __future__ import annotations

import importlib.util
import json
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

from edge_ovss.bundle.rejection import Rejection  # noqa: E402
from edge_ovss.errors import CheckpointError, UsageError  # noqa: E402
from edge_ovss.export import ExportOptions  # noqa: E402
from edge_ovss.export.deop.anchors import cover_patches, weigh_patches  # noqa: E402
from edge_ovss.export.deop.answer import DeopAnswer  # noqa: E402
from edge_ovss.export.deop.convolutions import fold_norm  # noqa: E402
from edge_ovss.export.families import family_export  # noqa: E402
from edge_ovss.export.family import LoadedModel  # noqa: E402
from edge_ovss.export.loading import load_for_export  # noqa: E402
from edge_ovss.export.manifest import describe  # noqa: E402
from edge_ovss.export.parts.answer_bands import BANDS  # noqa: E402
from edge_ovss.models import load_model  # noqa: E402
from edge_ovss.models.deop import Deop, DeopNumbers, build_deop  # noqa: E402
from edge_ovss.models.deop.backbone import NormConv  # noqa: E402
from edge_ovss.models.deop.build import VARIANTS, assemble  # noqa: E402
from edge_ovss.models.deop.clip_tower import severance  # noqa: E402
from edge_ovss.models.random_weights import fill_randomly  # noqa: E402
from edge_ovss.synthetic import render_street  # noqa: E402
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary  # noqa: E402

DATA = Path(__file__).parents[1] / "data"
WORDS = ["road, route", "sky", "building", "car, automobile", "tree"]
MAX_ERROR = 1e-4

# Masks logits at which sigmoid is 0 in float32.
EMPTY = -200.0


@pytest.fixture(scope="module")
def tiny() -> Deop:
    model = load_model("deop-tiny", weights="random")
    assert isinstance(model, Deop)
    return model


@pytest.fixture(scope="module")
def embeddings(tiny: Deop) -> TextEmbeddings:
    return tiny.encode_text(Vocabulary.from_names(WORDS))


def load(model: Deop, embeddings: TextEmbeddings, size: tuple[int, int]) -> LoadedModel:
    vocabulary = Vocabulary.from_names(WORDS)
    return LoadedModel(family_export("deop"), model, vocabulary, embeddings, size)


def answer(loaded: LoadedModel, frame: Any) -> Any:  # noqa: ANN401
    """Scores of the frozen graph, float32 [T, H, W]."""
    graph = loaded.freeze(Rejection("none").fit(len(WORDS)), ("labels", "scores"))
    with torch.inference_mode():
        return graph(frame[None])[1][0]


def published(loaded: LoadedModel, frame: Any) -> Any:  # noqa: ANN401
    with torch.inference_mode():
        return loaded.family.published_scores(loaded, frame, None)


def street(height: int, width: int) -> Any:  # noqa: ANN401
    return torch.from_numpy(render_street(seed=3, height=height, width=width).image)


def error(given: Any, expected: Any) -> float:  # noqa: ANN401
    return float((given - expected).norm() / expected.norm())


@pytest.mark.parametrize(
    ("size", "frame"),
    [
        ((64, 64), (64, 64)),
        ((64, 64), (50, 333)),
        ((96, 160), (96, 160)),
        ((64, 256), (120, 31)),
        ((640, 1024), (97, 155)),
    ],
    ids=str,
)
def test_the_rewritten_graph_computes_what_the_model_does(
    tiny: Deop, embeddings: TextEmbeddings, size: tuple[int, int], frame: tuple[int, int]
) -> None:
    loaded = load(tiny, embeddings, size)
    image = street(*frame)
    assert error(answer(loaded, image), published(loaded, image)) < MAX_ERROR


def test_an_unpadded_image_answers_as_the_model_itself(
    tiny: Deop, embeddings: TextEmbeddings
) -> None:
    image = street(96, 128)
    spec = tiny.spec.picture
    normalized = (image.float() - torch.tensor(spec.mean)) / torch.tensor(spec.std)
    with torch.inference_mode():
        expected = tiny(normalized.permute(2, 0, 1)[None], embeddings)[0]
        asked = tiny(normalized.permute(2, 0, 1)[None], embeddings, size=(150, 70))[0]
    assert error(answer(load(tiny, embeddings, (96, 128)), image), expected) < MAX_ERROR
    assert asked.shape == (len(WORDS), 150, 70)


def test_positions_whose_number_fits_are_dealt_out_in_reading_order() -> None:
    """288x512 has 18·32 = 576 patches, as many as the published positions."""
    numbers = VARIANTS["deop-tiny"]
    published_grid = DeopNumbers(
        **{**vars(numbers), "grid": 24, "vision": {**numbers.vision, "image_size": 224}}
    )
    model = assemble("deop-tiny", published_grid)
    fill_randomly(model, seed=1)
    filled = load_model("deop-tiny", weights="random")
    model.origin, model.licenses = filled.origin, filled.licenses
    embeddings = model.encode_text(Vocabulary.from_names(WORDS))
    loaded = load(model, embeddings, (288, 512))
    image = street(72, 128)
    scores = answer(loaded, image)
    assert error(scores, published(loaded, image)) < MAX_ERROR
    graph = loaded.freeze(Rejection("none").fit(len(WORDS)), ("labels",))
    assert torch.equal(
        graph.clip.resblocks[1].places, model.visual.transformer.resblocks[1].learned_position
    )
    with torch.no_grad():
        grid = model.visual.learned_position[1:].t().reshape(1, -1, 24, 24)
        resized = F.interpolate(grid, (18, 32), mode="bicubic", align_corners=False)
        model.visual.learned_position[1:] = resized[0].flatten(1).t()
    assert error(scores, published(loaded, image)) > 0.01


def test_a_norm_becomes_a_part_of_its_convolution() -> None:
    torch.manual_seed(0)
    conv = NormConv(5, 7, 3, stride=2, dilation=2)
    for name, buffer in conv.norm.named_buffers():
        buffer.copy_(torch.rand(7) + (0.5 if name == "running_var" else 0))
    image = torch.randn(1, 5, 16, 18)
    with torch.no_grad():
        assert error(fold_norm(conv)(image), conv(image)) < 1e-6
    assert conv.norm.weight.dtype == torch.float32


def test_masks_reach_the_patches_as_bilinear_resizes() -> None:
    torch.manual_seed(0)
    masks = 6 * torch.randn(1, 3, 24, 36)
    cover = severance(masks, height=6, width=9).flatten(1)
    assert torch.allclose(cover_patches(masks), cover, atol=1e-5)
    expected = F.interpolate(masks.sigmoid(), (6, 9), mode="bilinear", align_corners=False)
    weights = weigh_patches(masks).view(1, 3, 6, 9)
    factor = (weights / expected).flatten(2)
    assert torch.allclose(factor.amax(2), factor.amin(2), rtol=1e-4)
    assert (weights.flatten(2).amax(2) > 0.25).all()


@pytest.mark.parametrize("level", [EMPTY, -1.0e4, 1.0e4])
def test_weights_of_an_idle_query_are_numbers(level: float) -> None:
    weights = weigh_patches(torch.full((1, 2, 8, 12), level))
    assert torch.equal(weights, torch.ones(1, 2, 6))


def test_weights_look_only_at_the_places_that_a_resize_reads() -> None:
    masks = torch.full((1, 2, 8, 12), EMPTY)
    masks[:, :, ::4], masks[:, :, :, 3::4] = 50.0, 50.0  # rims of the 4x4 of each patch
    assert torch.equal(weigh_patches(masks), torch.ones(1, 2, 6))


def test_empty_masks_everywhere_make_no_nan(embeddings: TextEmbeddings) -> None:
    model = load_model("deop-tiny", weights="random")
    head = model.sem_seg_head["predictor"].mask_embed.layers[2]
    features = model.sem_seg_head["pixel_decoder"].mask_features
    with torch.no_grad():
        for parameter in (head.weight, features.weight):
            parameter.zero_()
        head.bias.fill_(-EMPTY)
        features.bias.fill_(-1.0)
    loaded = load(model, embeddings, (64, 96))
    image = street(64, 96)
    found, expected = answer(loaded, image), published(loaded, image)
    assert torch.equal(found, torch.zeros_like(found))
    assert torch.equal(expected, torch.zeros_like(expected))


@pytest.mark.parametrize("categories", [4, 41])
@pytest.mark.parametrize("frame", [(1, 1), (37, 61), (96, 128), (130, 400)], ids=str)
def test_both_orders_of_the_last_sum_are_two_resizes(
    categories: int, frame: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    masks, classes = 4 * torch.randn(20, 24, 32), torch.rand(categories, 20)
    tiles = DeopAnswer(size=(96, 128), queries=20, categories=categories, scores=True, bands=BANDS)
    assert tiles.sums_first == (categories == 4)
    found = tiles(masks, classes, height=frame[0], width=frame[1])
    ratio = min(96 / frame[0], 128 / frame[1])
    fitted = [max(1, int(side * ratio + 0.5)) for side in frame]
    image = F.interpolate(masks[None], (96, 128), mode="bilinear", align_corners=False)
    image = image[..., : fitted[0], : fitted[1]].sigmoid()
    scores = torch.einsum("tq,bqhw->bthw", classes, image)
    scores = F.interpolate(scores, frame, mode="bilinear", align_corners=False)[0]
    assert torch.allclose(found.scores, scores, atol=1e-4)
    assert torch.allclose(found.best, scores.amax(0), atol=1e-4)
    assert (found.index == scores.argmax(0)).float().mean() > 0.99


def test_the_learned_prompt_takes_the_whole_string(tiny: Deop) -> None:
    one, other, spaced = (
        tiny.encode_text(Vocabulary.from_names([name, "sky"])).array[0]
        for name in ("road, route", "road", "  Road,   ROUTE ")
    )
    assert one.shape == (1, 64)
    assert np.linalg.norm(one - other) > 1e-3
    assert np.allclose(one, spaced, atol=1e-6)


def test_the_cache_of_embeddings_knows_the_learned_prompt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGE_OVSS_CACHE", str(tmp_path))
    model = load_model("deop-tiny", weights="random")
    vocabulary = Vocabulary.from_names(WORDS)
    before = model.encode_text(vocabulary)
    with torch.no_grad():
        model.clip_adapter.prompt_learner.prefix_prompt *= 9
    after = model.encode_text(vocabulary)
    assert before.text_tower_sha256 != after.text_tower_sha256
    assert not np.allclose(before.array, after.array, atol=1e-3)


def published_file(model: Deop) -> dict[str, Any]:
    """Tensors under published names, with those that nothing reads."""
    extra = (
        "criterion.empty_weight",
        "sem_seg_head.predictor.class_embed.weight",
        "decoder.norm.weight",
        "clip_adapter.clip_model.logit_scale",
    )
    return {**model.state_dict(), **{name: torch.ones(3) for name in extra}}


def test_a_published_checkpoint_may_hold_training_state(tiny: Deop, tmp_path: Path) -> None:
    path = tmp_path / "model_final.pth"
    state = {
        "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2)}},
        "param_groups": [],
    }
    scheduler = {"last_epoch": 7, "base_lrs": [0.1]}
    document = {"model": published_file(tiny), "optimizer": state, "scheduler": scheduler}
    torch.save({**document, "iteration": 59999}, path)
    notes: list[str] = []
    found = load_model("deop-tiny", checkpoint=path, note=notes.append)
    assert found.origin.source == "checkpoint"
    for name, value in tiny.state_dict().items():
        assert torch.equal(found.state_dict()[name], value)


def test_missing_and_extra_names_are_named(tiny: Deop, tmp_path: Path) -> None:
    tensors = published_file(tiny)
    del tensors["query_embedding.weight"]
    tensors["decoder.layers.1.norm1.weight"] = torch.ones(3)
    torch.save({"model": tensors}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError) as raised:
        load_model("deop-tiny", checkpoint=tmp_path / "model.pth")
    message = str(raised.value)
    assert "1 missing: query_embedding.weight" in message
    assert "1 unexpected: decoder.layers.1.norm1.weight" in message


@pytest.mark.parametrize(
    ("other", "said"),
    [("san-tiny", "a SAN checkpoint"), ("sed-tiny", "a SED checkpoint")],
)
def test_checkpoints_of_other_families_are_named(other: str, said: str, tmp_path: Path) -> None:
    model = load_model(other, weights="random")
    prefix = "sem_seg_head.predictor." if other.startswith("sed") else ""
    tensors = {prefix + name: value for name, value in model.state_dict().items()}
    torch.save({"model": tensors}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=said):
        load_model("deop-tiny", checkpoint=tmp_path / "model.pth")


@pytest.mark.parametrize("model", ["deop-tiny", "san-tiny", "sed-tiny"])
def test_a_maskformer_checkpoint_is_named(tiny: Deop, model: str, tmp_path: Path) -> None:
    parts = ("backbone.", "sem_seg_head.")
    tensors = {name: value for name, value in tiny.state_dict().items() if name.startswith(parts)}
    torch.save({"model": tensors}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="a MaskFormer checkpoint") as raised:
        load_model(model, checkpoint=tmp_path / "model.pth")
    assert "published checkpoint of" in str(raised.value.hint)


def test_names_and_shapes_are_the_published_ones() -> None:
    shapes = json.loads((DATA / "deop.keys.json").read_text(encoding="utf-8"))
    with torch.device("meta"):
        own = {name: list(value.shape) for name, value in build_deop("deop").state_dict().items()}
    assert own.items() <= shapes.items()
    assert len(shapes) == 1020


def test_asking_for_another_answer_or_rejection_is_refused() -> None:
    with pytest.raises(UsageError, match="--answer is 'fast'"):
        ExportOptions(model="deop-tiny", answer="fast").check()
    with pytest.raises(UsageError, match="rejects no categories"):
        ExportOptions(model="deop", rejection=Rejection("slots")).fit_rejection(5)


def test_terms_are_said_at_export_and_kept(tiny: Deop, tmp_path: Path) -> None:
    torch.save({"model": tiny.state_dict()}, tmp_path / "model.pth")
    options = ExportOptions(model="deop-tiny", checkpoint=tmp_path / "model.pth")
    notes: list[str] = []
    loaded = load_for_export(Vocabulary.from_names(WORDS), options, note=notes.append)
    assert "license of the weights: unknown: the checkpoint states none" in notes
    rejection = Rejection("none").fit(len(WORDS))
    terms = describe(loaded, rejection=rejection, outputs=("labels",)).licenses
    assert "no license file" in str(terms["code"])
    assert str(terms["mask_proposals"]).startswith("CC-BY-NC-4.0")
    assert terms["training_data"] == terms["weights"] == "unknown: the checkpoint states none"
