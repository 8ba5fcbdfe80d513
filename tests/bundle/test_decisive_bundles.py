"""Bundles with leads: selftest and proof leave out what is undecided, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ovss.cli import main
from edge_ovss.engines.proof import expected_answer, rule_at
from edge_ovss.errors import BundleError
from edge_ovss.runtime import Bundle, Segmenter
from edge_ovss.runtime.selftest import run_selftest
from edge_ovss.runtime.trt.frame_sizes import FrameRange

pytest.importorskip("onnxruntime")

Array = Any
MakeBundle = Callable[..., Path]
Write = Callable[[Path, str, Array], None]


@pytest.fixture
def with_lead(make_bundle: MakeBundle, write_reference: Write) -> Callable[..., Path]:
    """Return a function that makes a bundle with a lead, and other labels in some rows."""

    def make(lead: Array, rows: slice | None = None, **options: Any) -> Path:  # noqa: ANN401
        path = make_bundle(**options)
        write_reference(path, "lead", lead)
        if rows is not None:
            write_reference(path, "labels", other_labels(path, rows))
        return path

    return make


def other_labels(path: Path, rows: slice) -> Array:
    """Return the labels of the reference answer, wrong in some rows."""
    labels = np.load(path / "reference" / "labels.npy")
    labels[rows] = (labels[rows] + 1) % 3
    return labels


def lead_below(first: int, steps: int = 65) -> Array:
    """Leads of a 20x30 frame, undecided from row `first` on."""
    lead = np.full((20, 30), 40000, np.uint16)
    lead[first:] = steps
    return lead


@pytest.mark.parametrize(("rows", "status"), [(slice(10, 20), 0), (slice(9, 10), 6)])
def test_selftest_leaves_out_what_is_undecided(
    with_lead: MakeBundle, capsys: pytest.CaptureFixture[str], rows: slice, status: int
) -> None:
    path = with_lead(lead_below(10), rows)
    assert main(["selftest", str(path), "--json"]) == status
    report = json.loads(capsys.readouterr().out)
    assert report["undecided"] == 0.5
    assert report["passed"] is (status == 0)
    assert main(["selftest", str(path)]) == status
    assert "50.0000 % of the pixels are undecided" in capsys.readouterr().out


def test_a_lead_one_step_above_the_tolerance_counts(with_lead: MakeBundle) -> None:
    path = with_lead(lead_below(10, steps=66), slice(10, 20))
    with Segmenter.open(path) as segmenter:
        report = run_selftest(segmenter)
    assert not report
    assert (report.undecided, report.agreement) == (0, 0.5)


def test_selftest_says_that_nothing_was_compared(
    with_lead: MakeBundle, write_reference: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = with_lead(lead_below(0), slice(0, 20))
    assert main(["selftest", str(path)]) == 0
    assert "NONE WAS COMPARED" in capsys.readouterr().out
    write_reference(path, "counts", np.array([3, 3, 3], np.int32))
    assert main(["selftest", str(path)]) == 6


def test_an_older_bundle_is_judged_as_before(
    make_bundle: MakeBundle, write_reference: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_bundle()
    assert main(["selftest", str(path)]) == 0
    assert "undecided" not in capsys.readouterr().out
    write_reference(path, "labels", other_labels(path, slice(10, 11)))
    assert main(["selftest", str(path)]) == 6


@pytest.mark.parametrize(
    ("lead", "text"),
    [
        (np.zeros((20, 30), np.float32), "lead.npy"),
        (np.zeros((20, 29), np.uint16), "do not fit together"),
        (np.zeros((2, 20, 30), np.uint16), "lead.npy"),
    ],
)
def test_a_lead_that_does_not_fit_is_refused(
    with_lead: MakeBundle, capsys: pytest.CaptureFixture[str], lead: Array, text: str
) -> None:
    assert main(["selftest", str(with_lead(lead))]) == 5
    assert text in capsys.readouterr().err


def test_a_changed_lead_is_noticed(with_lead: MakeBundle) -> None:
    path = with_lead(lead_below(10))
    np.save(path / "reference" / "lead.npy", lead_below(0))
    with pytest.raises(BundleError, match=r"lead\.npy"):
        Bundle.open(path)


@pytest.mark.parametrize("least", [1e-300, 0.5])
def test_a_manifest_that_asks_for_nothing_does_not_switch_the_selftest_off(
    with_lead: MakeBundle, capsys: pytest.CaptureFixture[str], least: float
) -> None:
    path = with_lead(lead_below(10), slice(0, 4))
    document = json.loads((path / "manifest.json").read_text())
    document["reference"]["min_label_agreement"] = least
    (path / "manifest.json").write_text(json.dumps(document))
    assert main(["selftest", str(path), "--json"]) == 6
    assert json.loads(capsys.readouterr().out)["min_agreement"] == 0.999


def test_another_frame_size_allows_for_what_is_undecided(with_lead: MakeBundle) -> None:
    """Without scores an engine of another size is given the share of the reference frame."""
    path = with_lead(lead_below(10))
    bundle, frames = Bundle.open(path), FrameRange.pinned((10, 30))
    expected, against = expected_answer(bundle, frames)
    assert expected is not None
    assert (against, expected.lead) == ("onnxruntime", None)
    assert rule_at(bundle, expected, frames).min_agreement == 0.999  # the upper half
    tall = FrameRange.pinned((40, 30))
    assert rule_at(bundle, expected, tall).min_agreement == pytest.approx(0.4995)
    own = FrameRange.pinned((20, 30))
    reference, against = expected_answer(bundle, own)
    assert reference is not None
    assert against == "reference"
    assert rule_at(bundle, reference, own).min_agreement == 0.999


def test_another_frame_size_knows_what_is_undecided_from_the_scores(
    with_lead: MakeBundle,
) -> None:
    path = with_lead(lead_below(10), extras=["scores"])
    expected, _ = expected_answer(Bundle.open(path), FrameRange.pinned((10, 30)))
    assert expected is not None
    assert expected.lead is not None
    assert expected.lead.shape == (10, 30)
