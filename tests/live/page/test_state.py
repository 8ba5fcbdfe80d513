"""What the page says about a run comes from its segmenter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_ovss.bundle.unknown import UnknownInfo
from edge_ovss.live.page.state import PageInfo, UnknownRange
from edge_ovss.runtime.segmenter import Segmenter


def test_a_page_is_about_the_bundle_of_its_segmenter(make_bundle: Callable[..., Path]) -> None:
    pytest.importorskip("onnxruntime")
    with Segmenter.open(make_bundle(), backend="onnxruntime") as segmenter:
        info = PageInfo.of(segmenter, sources=["a", "b"], alpha=0.3)
    document = info.to_json()
    assert document["bundle"] == segmenter.bundle.path.name
    assert document["names"] == list(segmenter.names)
    assert document["details"]["backend"] == "onnxruntime"  # type: ignore[index]
    assert (document["sources"], document["alpha"]) == (["a", "b"], 0.3)
    assert document["unknown"] is None


def test_thresholds_by_output_have_no_single_start() -> None:
    assert UnknownRange.of(None) is None
    one = UnknownInfo(thresholds=(0.25,))
    assert UnknownRange.of(one) == UnknownRange("score", 0.0, 1.0, 0.25)
    many = UnknownRange.of(UnknownInfo(thresholds=(0.25, 0.5)))
    assert many is not None
    assert many.start is None
