from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TRAINING = Path(__file__).parents[2] / "training"

torch = pytest.importorskip("torch", reason="the training programs need the extra 'export'")
pytest.importorskip("cv2", reason="the training programs need the extra 'export'")
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("the training programs need the extra 'export'", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def training_on_path() -> Iterator[None]:
    # The programs are scripts that import each other by name, as when one of them is run.
    sys.path.insert(0, str(TRAINING))
    yield
    sys.path.remove(str(TRAINING))


def program(name: str) -> Any:  # noqa: ANN401
    return importlib.import_module(name)


def test_every_word_belongs_to_one_group_of_the_thesaurus() -> None:
    words = program("words")

    listed = [word for group in words.thesaurus() for word in group]
    assert len(listed) == len(set(listed))


def test_held_out_words_are_never_offered_in_training() -> None:
    words, vocabularies = program("words"), program("vocabularies")

    held_out = {word for group in words.HELD_OUT.values() for word in group}
    offers = vocabularies.Offers(np.random.default_rng(0))
    offered = {w for _ in range(60) for w in offers.draw(fewest=3, most=30).words}
    assert {"automobile", "pedestrian"} <= held_out
    assert not offered & held_out


def test_absent_words_cover_nothing_and_every_label_has_a_word() -> None:
    make_offer = program("vocabularies").make_offer

    from edge_ovss.synthetic import STREET_CLASSES

    offer = make_offer([*STREET_CLASSES, "sofa"], [*STREET_CLASSES, None])
    assert offer.covers[-1].sum() == 0
    assert (offer.covers + offer.unsure).sum(0).min() >= 1


def test_all_of_an_offer_moves_to_the_device_of_the_pictures() -> None:
    offer = program("vocabularies").make_offer(["sky", "sofa"], ["sky", None]).to("meta")

    assert offer.words == ("sky", "sofa")
    assert offer.covers.device.type == offer.unsure.device.type == "meta"


def test_unnamed_category_counts_for_its_relative() -> None:
    make_offer = program("vocabularies").make_offer

    from edge_ovss.synthetic import STREET_CLASSES

    bus, car = STREET_CLASSES.index("bus"), STREET_CLASSES.index("car")
    alone = make_offer(["car"], ["car"])
    both = make_offer(["car", "bus"], ["car", "bus"])
    assert alone.covers[0, bus] == alone.covers[0, car] == 1
    assert both.covers[0, bus] == 0
    assert both.covers[1, bus] == 1


def test_perfect_logits_have_the_smallest_loss() -> None:
    losses, make_offer = program("losses"), program("vocabularies").make_offer

    offer = make_offer(["sky", "road", "sofa"], ["sky", "road", None])
    labels = torch.zeros(1, 16, 16, dtype=torch.int64)
    labels[:, 8:] = 2
    shares = losses.block_shares(labels, stride=4)
    truth = torch.einsum("tl,blhw->bthw", offer.covers, shares)
    right = losses.segmentation_loss(20 * truth - 10, shares, offer)
    wrong = losses.segmentation_loss(20 * truth.flip(2) - 10, shares, offer)
    assert shares.sum(1).min() == 1
    assert right < 0.01 < wrong


def test_ignored_pixels_carry_no_loss() -> None:
    losses, make_offer = program("losses"), program("vocabularies").make_offer

    offer = make_offer(["sky", "road"], ["sky", "road"])
    labels = torch.full((1, 16, 16), 255)
    shares = losses.block_shares(labels, stride=4)
    logits = torch.randn(1, 2, 4, 4)
    assert losses.segmentation_loss(logits, shares, offer) == 0


def test_augmentation_keeps_labels_on_their_pixels() -> None:
    data = program("data")

    # Red carries the label, so a crop, scale or flip that moved only one of them would show.
    labels = np.zeros((90, 120), np.uint8)
    labels[:, 60:] = 1
    image = np.repeat(labels[..., None] * 255, 3, 2)
    change = data.Augmentation(64, 96, (0.6, 1.0))
    for seed in range(5):
        result = change(data.Sample(image, labels, camvid=False), np.random.default_rng(seed))
        bright = result.image[..., 0] > 128
        assert result.labels.shape == (64, 96)
        assert (bright == (result.labels == 1)).mean() > 0.95


def test_a_category_elsewhere_in_the_picture_may_take_second_place() -> None:
    losses, make_offer = program("losses"), program("vocabularies").make_offer
    from edge_ovss.models.sed import SedMaps

    offer = make_offer(["sky", "road", "sofa"], ["sky", "road", None])
    labels = torch.zeros(1, 64, 64, dtype=torch.int64)
    labels[:, 32:] = 2
    shares = losses.block_shares(labels, stride=4)

    def loss(sky: tuple[float, float], sofa: tuple[float, float]) -> float:
        # Logits above and below the horizon, on the grids of strides 32, 16 and 8.
        heads = []
        for rows in (2, 4, 8):
            head = torch.full((1, 3, rows, rows), -10.0)
            head[:, 1, rows // 2 :] = 10
            for word, (above, below) in ((0, sky), (2, sofa)):
                head[:, word, : rows // 2], head[:, word, rows // 2 :] = above, below
            heads.append(head)
        return float(losses.rejection_loss(SedMaps(heads[0], tuple(heads)), shares, offer))

    best = loss(sky=(10, -1.4), sofa=(-10, -10))
    assert best < loss(sky=(10, -10), sofa=(-10, -10))
    assert best < loss(sky=(10, -1.4), sofa=(-1.4, -1.4))
    assert best < loss(sky=(-1.4, -1.4), sofa=(-10, -10))


def test_uneven_logits_of_absent_words_cost_more_where_that_is_asked() -> None:
    losses, make_offer = program("losses"), program("vocabularies").make_offer

    offer = make_offer(["sky", "sofa"], ["sky", None])
    shares = losses.block_shares(torch.zeros(1, 8, 8, dtype=torch.int64), stride=4)
    even = torch.tensor([20.0, -20.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    tilt = torch.tensor([2.0, -2.0]).view(1, 1, 1, 2)
    sofa, sky = torch.zeros(1, 2, 1, 1), torch.zeros(1, 2, 1, 1)
    sofa[:, 1], sky[:, 0] = 1, 1
    assert losses.head_loss(even, shares, offer, flat=1) < 1e-5
    assert losses.head_loss(even + tilt * sky, shares, offer, flat=1) < 1e-5
    assert losses.head_loss(even + tilt * sofa, shares, offer, flat=0) < 1e-5
    assert losses.head_loss(even + tilt * sofa, shares, offer, flat=1) == pytest.approx(4, rel=1e-4)


def test_fitting_the_heads_changes_nothing_else() -> None:
    fit_heads, network, data = (program(n) for n in ("fit_heads", "network", "data"))

    torch.manual_seed(0)
    trainee = network.Trainee().eval()
    words = ("sky", "road", "sofa")
    offer = program("vocabularies").make_offer(words, ["sky", "road", None])
    table = torch.nn.functional.normalize(torch.randn(3, 80, 128), dim=-1)
    seen = [fit_heads.look(trainee, data.Streets(0, 1)[0], offer, table)]
    before = {n: p.detach().clone() for n, p in trainee.named_parameters()}
    args = argparse.Namespace(rate=1e-2, steps=3, seed=0, elsewhere=0.2, flat=0.1)
    for level, head in enumerate(trainee.model.transformer.rejection_heads):
        fit_heads.fit(head, seen, level, args)
    moved = {n for n, p in trainee.named_parameters() if not torch.equal(p, before[n])}
    assert [tuple(f.shape[2:]) for f in seen[0].features] == [(13, 17), (26, 34), (52, 68)]
    assert moved == {f"model.transformer.head{i}.{p}" for i in range(3) for p in ("weight", "bias")}


def test_dense_features_that_resemble_absent_words_cost_more() -> None:
    losses, make_offer = program("losses"), program("vocabularies").make_offer

    offer = make_offer(["sky", "sofa"], ["sky", None])
    shares = losses.block_shares(torch.zeros(1, 8, 8, dtype=torch.int64), stride=4)
    words = torch.eye(2, 4)
    clean = torch.tensor([1.0, 0.0, 0.0, 0.0]).view(1, 4, 1, 1).expand(1, 4, 2, 2)
    mixed = torch.tensor([1.0, 0.3, 0.0, 0.0]).view(1, 4, 1, 1).expand(1, 4, 2, 2)
    assert losses.alignment_loss(clean, words, shares, offer) < 1e-5
    assert losses.alignment_loss(mixed, words, shares, offer) > 0.1


def test_dense_features_keep_a_trace_of_what_is_elsewhere_in_the_picture() -> None:
    losses, make_offer = program("losses"), program("vocabularies").make_offer

    offer = make_offer(["sky", "road", "sofa"], ["sky", "road", None])
    labels = torch.zeros(1, 8, 16, dtype=torch.int64)
    labels[:, :, 8:] = 2
    shares = losses.block_shares(labels, stride=8)
    words = torch.eye(3, 4)

    def loss(other: float, absent: float) -> float:
        left, right = [1.0, other, absent, 0.0], [other, 1.0, absent, 0.0]
        dense = torch.tensor([left, right]).T.view(1, 4, 1, 2)
        return float(losses.alignment_loss(dense, words, shares, offer))

    assert loss(0.25, 0.0) < 0.01
    assert loss(0.25, 0.0) < loss(0.0, 0.0) - 0.1
    assert loss(0.25, 0.25) > loss(0.25, 0.0) + 0.1


def test_crops_are_laid_around_thin_things_of_camvid_where_that_is_asked() -> None:
    data = program("data")

    labels = np.zeros((360, 480), np.uint8)
    labels[100:110, 300:302] = data.CAMVID_CLASSES.index("pole")
    image = np.zeros((360, 480, 3), np.uint8)
    change = data.Augmentation(64, 96, (1.0, 1.0), thin=1.0)

    def found(labels: Any, *, camvid: bool) -> int:  # noqa: ANN401
        sample = data.Sample(image, labels, camvid=camvid)
        results = [change(sample, np.random.default_rng(seed)) for seed in range(20)]
        return sum(bool((result.labels == 2).any()) for result in results)

    # Scaling may drop a pixel at the very edge of a crop.
    assert found(labels, camvid=True) >= 18
    assert found(labels, camvid=False) < 10
    assert found(np.zeros_like(labels), camvid=True) == 0


def test_pasted_poles_are_labelled_where_they_are_seen() -> None:
    data, pasting = program("data"), program("paste")

    source = np.zeros((220, 160), np.uint8)
    source[120:200, 70:76] = 2
    source[20:40, 10:12] = 2  # too short
    source[160:220, 100:150] = 2  # too wide
    red = np.zeros((220, 160, 3), np.uint8)
    red[source == 2] = (255, 0, 0)
    poles = pasting.cut_poles([data.Sample(red, source, camvid=True)])
    assert [(pole.mask.shape, pole.foot) for pole in poles] == [((80, 6), 200)]

    empty = data.Sample(np.zeros((220, 160, 3), np.uint8), np.ones((220, 160), np.uint8), True)
    for seed in range(5):
        result = pasting.paste(empty, poles, np.random.default_rng(seed))
        pole = result.labels == 2
        assert 100 < pole.sum() < 3000
        assert set(np.unique(result.labels)) == {1, 2}
        assert result.image[..., 0][pole].mean() > 10 * result.image[..., 0][~pole].mean()
    assert (empty.image == 0).all()
    assert (empty.labels == 1).all()


def test_pasted_poles_are_made_higher_but_not_wider() -> None:
    pasting, random = program("paste"), np.random.default_rng(0)
    piece = pasting.Piece(np.zeros((100, 20, 3), np.uint8), np.ones((100, 20), np.uint8), 200)
    shapes = np.asarray([pasting._vary(piece, random).mask.shape for _ in range(200)], float)
    widths, slimness = shapes[:, 1] / 20, shapes[:, 0] / shapes[:, 1] / 5
    assert 0.58 < widths.min() < 0.65
    assert 1.2 < widths.max() < 1.32
    assert 0.94 < slimness.min() < 1.05
    assert 1.5 < slimness.max() < 1.75


def test_a_blend_lies_between_its_two_models() -> None:
    blend = program("blend").blend

    first = {"a": torch.tensor([0.0, 4.0]), "count": torch.tensor(3)}
    second = {"a": torch.tensor([4.0, 0.0]), "count": torch.tensor(5)}
    assert blend(first, second, 0.75)["a"].tolist() == [3.0, 1.0]
    assert blend(first, second, 0.0)["a"].tolist() == [0.0, 4.0]
    assert blend(first, second, 0.75)["count"] == 5


def test_a_mistake_at_a_boundary_costs_more_where_that_is_asked() -> None:
    losses, make_offer = program("losses"), program("vocabularies").make_offer

    offer = make_offer(["sky", "road"], ["sky", "road"])
    labels = torch.zeros(1, 32, 32, dtype=torch.int64)
    labels[:, 16:] = 2
    shares = losses.block_shares(labels, stride=4)
    assert losses.edges(shares)[0, 0, :, 0].tolist() == pytest.approx(
        [0, 0, 0, 1 / 3, 1 / 3, 0, 0, 0]
    )

    def cost(row: int, boundary: float) -> float:
        logits = 20 * torch.einsum("tl,blhw->bthw", offer.covers, shares) - 10
        logits[:, :, row] *= -1
        return float(losses.segmentation_loss(logits, shares, offer, boundary=boundary))

    assert cost(0, 0.0) == pytest.approx(cost(3, 0.0), rel=1e-4)
    assert cost(3, 1.0) > 1.2 * cost(0, 1.0)


def test_darkened_pictures_keep_their_labels_and_lose_light() -> None:
    data = program("data")

    labels = np.zeros((64, 96), np.uint8)
    bright = data.Sample(np.full((64, 96, 3), 200, np.uint8), labels, camvid=False)
    change = data.Augmentation(64, 96, (1.0, 1.0), jitter=0.0, dark=1.0)
    for seed in range(5):
        result = change(bright, np.random.default_rng(seed))
        assert 20 < result.image.mean() < 170
        assert (result.labels == 0).all()


def test_labels_can_be_compared_finer_than_the_decoder_sees() -> None:
    # Of a thing that fills half of a block, only the finer grid knows which half.
    training, network = program("train_sed_tiny"), program("network")
    make_offer, losses = program("vocabularies").make_offer, program("losses")
    from edge_ovss.models.sed import SedMaps

    offer = make_offer(["sky", "road"], ["sky", "road"])
    left = torch.zeros(1, 64, 64, dtype=torch.int64)
    left[:, :, 2::4] = left[:, :, 3::4] = 2
    right = left.flip(2)
    logits = torch.zeros(1, 2, 16, 16)
    heads = tuple(torch.zeros(1, 2, size, size) for size in (2, 4, 8))

    def loss(labels: Any, *, fine: bool) -> float:  # noqa: ANN401
        torch.manual_seed(0)
        recipe = replace(recipe_of("all", bf16=False), fine=fine)
        trainer = training.Trainer(network.Trainee(), recipe, "cpu")
        coarse = losses.block_shares(labels, stride=4)
        shares = losses.block_shares(labels, stride=2) if fine else coarse
        tilted = logits.clone()
        tilted[:, 0, :, ::2] = 1
        return float(trainer._decoder_loss(SedMaps(tilted, heads), coarse, shares, offer))

    assert loss(left, fine=False) == pytest.approx(loss(right, fine=False))
    assert loss(left, fine=True) != pytest.approx(loss(right, fine=True), rel=1e-3)


def recipe_of(part: str, *, bf16: bool) -> Any:  # noqa: ANN401
    return program("train_sed_tiny").Recipe(
        height=64,
        width=64,
        batch=2,
        scales=(0.5, 1.0),
        rate=1e-3,
        minutes=1.0,
        steps=10,
        words=(1, 2),
        room=1000,
        plain=0.5,
        align=0.1,
        dice=0.5,
        boundary=1.0,
        fine=True,
        part=part,
        bf16=bf16,
    )


@pytest.mark.parametrize("bf16", [False, True])
def test_one_step_changes_the_decoder_and_leaves_the_text_tower(bf16: bool) -> None:
    training, network, offers = (
        program(name) for name in ("train_sed_tiny", "network", "vocabularies")
    )

    torch.manual_seed(0)
    trainee = network.Trainee()
    network.freeze_text_tower(trainee.model)
    trainer = training.Trainer(trainee, recipe_of("all", bf16=bf16), "cpu")
    offer = offers.Offers(np.random.default_rng(0)).draw(fewest=1, most=2)
    before = {n: p.detach().clone() for n, p in trainee.named_parameters()}
    table = torch.nn.functional.normalize(torch.randn(len(offer.words), 80, 128), dim=-1)
    worded = training.Worded(offer, table)
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    labels = torch.randint(0, 16, (2, 64, 64))
    assert np.isfinite(trainer.learn(images, labels, worded, worded))
    moved = {n for n, p in trainee.named_parameters() if not torch.equal(p, before[n])}
    assert any(".transformer.conv1" in name for name in moved)
    assert any(".visual.trunk.stem" in name for name in moved)
    assert not any("token_embedding" in name for name in moved)


def test_training_starts_from_the_embedded_weights() -> None:
    training = program("train_sed_tiny")

    from edge_ovss.models import load_model
    from edge_ovss.models.registry import EMBEDDED

    model = training.start(EMBEDDED / "sed_tiny.safetensors", None).model
    embedded = load_model("sed-tiny").state_dict()
    assert all(torch.equal(value, embedded[name]) for name, value in model.state_dict().items())
    trained = {name for name, p in model.clip_model.named_parameters() if p.requires_grad}
    assert trained
    assert all(name.startswith("visual") for name in trained)


def test_training_without_a_text_tower_is_refused() -> None:
    with pytest.raises(SystemExit, match="--text"):
        program("train_sed_tiny").start(None, None)


def test_batches_drawn_ahead_are_the_ones_that_draw_gives() -> None:
    data, training = program("data"), program("batches")

    def batches() -> Any:  # noqa: ANN401
        return training.Batches(
            camvid=data.Streets(50, 4),
            streets=data.Streets(0, 4),
            augmentation=data.Augmentation(64, 64, (0.5, 1.0)),
            random=np.random.default_rng(3),
        )

    direct, ahead = batches(), batches()
    for _ in range(2):
        expected, got = direct.draw(2), ahead.next(2)
        assert torch.equal(expected[0], got[0])
        assert torch.equal(expected[1], got[1])


def test_measure_counts_an_absent_word_as_wrong() -> None:
    evaluate = program("evaluate")

    words = evaluate.ade_words()
    assert len(words.names) == 150
    assert (words.answer != evaluate.IGNORE).sum() == len(evaluate.ade_subset().names) == 16
    assert set(words.answer.tolist()) == {*range(11), evaluate.IGNORE}
