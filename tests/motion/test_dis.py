from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.errors import UsageError
from edge_ovss.motion.dis import PRESETS, DisFlow, Still, open_flow
from edge_ovss.synthetic import Drive, MovingStreet, render_street

pytest.importorskip("cv2")

Frame = NDArray[np.uint8]


def wide(seed: int = 0) -> Frame:
    return render_street(seed, 180, 400).image


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("shift", [0, 3, -5])
def test_a_frame_that_is_shifted_sideways_is_followed(name: str, shift: int) -> None:
    scene = wide()
    flow = open_flow(name)
    assert flow.advance(scene[:, 40:360]) is None
    motion = flow.advance(scene[:, 40 - shift : 360 - shift])
    assert motion is not None
    assert motion.valid.mean() > 0.9
    right = np.abs(motion.vectors - np.array([-32 * shift, 0])).max(2) <= 16
    assert right[motion.valid > 0].mean() > 0.85


def test_the_default_is_close_to_the_exact_flow_of_a_street() -> None:
    street = MovingStreet(Drive(0, frames=30))
    flow = open_flow("dis")
    flow.advance(street.scene(20).image)
    motion, exact = flow.advance(street.scene(21).image), street.motion(21)
    assert motion is not None
    assert exact is not None
    both = (motion.valid > 0) & (exact.valid > 0)
    assert both.mean() > 0.55
    error = np.hypot(*(motion.vectors - exact.vectors.astype(np.int32))[both].T) / 32
    assert np.median(error) < 1.0
    assert np.quantile(error, 0.75) < 2.5


@pytest.mark.parametrize("seed", range(5))
def test_frames_with_nothing_in_common_fail_the_check(seed: int) -> None:
    flow = open_flow("dis")
    flow.advance(render_street(seed, 240, 320).image)
    motion = flow.advance(render_street(seed + 100, 240, 320).image)
    assert motion is not None
    assert motion.valid.mean() < 0.5


@pytest.mark.parametrize("size", [(16, 16), (20, 700), (700, 20), (33, 61), (1, 1), (8, 300)])
def test_any_size_has_a_motion_of_that_size_or_one_that_fits_it(size: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    for name in PRESETS:
        flow = open_flow(name)
        flow.advance(frame)
        motion = flow.advance(frame)
        assert motion is not None
        sources = motion.sources(*size)
        assert (sources.index == np.arange(size[0] * size[1]).reshape(size)).mean() > 0.9


@pytest.mark.parametrize("flow", [open_flow("dis"), Still()])
def test_another_size_has_nothing_before_it(flow: DisFlow | Still) -> None:
    assert flow.advance(wide()) is None
    assert flow.advance(wide()) is not None
    assert flow.advance(wide()[:, :300]) is None
    assert flow.advance(wide()[:, :300]) is not None
    flow.forget()
    assert flow.advance(wide()[:, :300]) is None


def test_without_flow_nothing_moves() -> None:
    flow = open_flow("none")
    flow.advance(wide())
    motion = flow.advance(wide(5))
    assert motion is not None
    assert motion.sources(180, 400).lost == 0


def test_an_unknown_flow_is_refused() -> None:
    with pytest.raises(UsageError, match="expected one of: dis, dis:ultrafast, dis:medium, none"):
        open_flow("raft")
