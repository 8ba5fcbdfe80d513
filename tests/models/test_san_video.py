"""R-SAN's video mode: a clip of one frame is the image, and a clip shares its classes."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from edge_ovss.errors import MissingDependencyError  # noqa: E402
from edge_ovss.models import load_model  # noqa: E402
from edge_ovss.models.san import San  # noqa: E402
from edge_ovss.models.san.video import kmeans, segment_clip  # noqa: E402

Points = NDArray[np.float32]


@pytest.fixture(scope="module")
def tiny() -> San:
    model: San = load_model("san-tiny", weights="random", seed=1)
    return model.eval()


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def clip(count: int, seed: int = 0) -> Any:  # noqa: ANN401 (a tensor)
    return torch.randn(count, 3, 70, 96, generator=torch.Generator().manual_seed(seed))


def words(model: San) -> Any:  # noqa: ANN401 (a tensor)
    wide = model.ov_classifier.text_projection.shape[1]
    found = torch.randn(5, 2, wide, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.normalize(found, dim=-1)


def reversed_points(points: Points, count: int) -> Points:
    """Each point its own cluster, in another order."""
    assert len(points) == count
    turned: Points = points[::-1].copy()
    return turned


def first_points(points: Points, count: int) -> Points:
    return points[:count]


def test_a_clip_of_one_frame_is_the_image(tiny: San) -> None:
    frame, embeddings = clip(1), words(tiny)
    expected = tiny(frame, embeddings)
    given = segment_clip(tiny, frame, embeddings, cluster=reversed_points)
    assert torch.allclose(given, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(given.argmax(1), expected.argmax(1))


def test_k_means_of_one_frame_gives_the_image_too(tiny: San) -> None:
    frame, embeddings = clip(1), words(tiny)
    expected = tiny(frame, embeddings)
    given = segment_clip(tiny, frame, embeddings)
    assert torch.allclose(given, expected, rtol=1e-3, atol=1e-4)
    assert (given.argmax(1) == expected.argmax(1)).float().mean() > 0.999


def test_equal_frames_give_the_image_for_each(tiny: San) -> None:
    frame, embeddings = clip(1), words(tiny)
    expected = tiny(frame, embeddings)
    given = segment_clip(tiny, frame.expand(3, -1, -1, -1), embeddings, cluster=first_points)
    assert torch.allclose(given, expected.expand(3, -1, -1, -1), rtol=1e-4, atol=1e-5)


def test_frames_share_queries_and_classes(tiny: San) -> None:
    frames, embeddings = clip(2), words(tiny)
    both = segment_clip(tiny, frames, embeddings, cluster=first_points)
    alone = tiny(frames, embeddings)
    # The first frame keeps its own queries, but its classes are averaged with the second's.
    assert not torch.allclose(both[0], alone[0], rtol=1e-3)
    assert not torch.allclose(both[1], alone[1], rtol=1e-3)
    turned = segment_clip(tiny, frames.flip(0), embeddings, cluster=lambda p, n: p[-n:])
    assert torch.allclose(turned.flip(0), both, rtol=1e-4, atol=1e-5)


def test_scores_are_resized_last(tiny: San) -> None:
    frames, embeddings = clip(2), words(tiny)
    plain = segment_clip(tiny, frames, embeddings, cluster=first_points)
    given = segment_clip(tiny, frames, embeddings, size=(35, 48), cluster=first_points)
    expected = torch.nn.functional.interpolate(plain, (35, 48), mode="bilinear")
    assert torch.allclose(given, expected)


def test_k_means_finds_the_points_when_there_are_as_many_clusters() -> None:
    points = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    found = kmeans(points, 20)
    assert np.allclose(np.sort(found, axis=0), np.sort(points, axis=0), atol=1e-6)


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.cluster", None)
    with pytest.raises(MissingDependencyError, match=r"sklearn\.cluster") as failed:
        kmeans(np.zeros((2, 2), np.float32), 2)
    assert "clips" in str(failed.value)
