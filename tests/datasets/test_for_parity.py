"""What `parity` compares on where the street's labels are of no use, and what it says of that."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_ovss.bundle.tolerances import tolerance_for
from edge_ovss.cli import build_parser, main
from edge_ovss.cli.proof.parity import DEFAULT_DATA, _data, _text
from edge_ovss.cli.shared.console import Console
from edge_ovss.metrics.label_comparison import LabelComparison
from edge_ovss.parity.results import BackendParity, FrameParity, render_table

pytest.importorskip("onnxruntime")
pytest.importorskip("cv2")

MakeBundle = Callable[..., Path]


def given(*options: str | Path) -> argparse.Namespace:
    return build_parser().parse_args(["parity", *map(str, options)])


@pytest.mark.parametrize("options", [(), ("--allow-missing",)])
def test_words_that_the_street_has_not_are_compared_on_its_pictures(
    make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    args = given(make_bundle(), *options)
    dataset = _data(args, Console())
    assert args.pictures == DEFAULT_DATA
    assert args.data is None
    assert dataset.samples[0].name == "street-1000000"
    said = capsys.readouterr().err
    assert "are not in the vocabulary 'things'" in said
    assert "without their labels" in said
    assert "--allow-missing" not in said


def test_words_that_the_street_has_are_compared_with_its_labels(
    tiny_bundle: Path, make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    args = given(tiny_bundle)
    dataset = _data(args, Console())
    assert (args.pictures, args.data) == (None, DEFAULT_DATA)
    assert dataset.vocabulary == "street"
    assert capsys.readouterr().err == ""
    # One bundle whose words do not match is enough: all are compared on the same.
    both = given(tiny_bundle, make_bundle())
    _data(both, Console())
    assert both.pictures == DEFAULT_DATA


def test_data_that_were_asked_for_are_not_replaced(
    make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    args = given(make_bundle(), "--data", "synthetic://street?count=1&size=48x64")
    assert len(_data(args, Console()).samples) == 1
    assert args.pictures is None
    assert main(["parity", str(make_bundle("b.ovss")), "--layout", "folder"]) == 2
    assert "--layout is given" in capsys.readouterr().err


def test_what_is_left_out_stands_with_the_miou_of_a_comparison() -> None:
    matrix = np.array([[3, 1], [0, 4]], np.int64)
    frame = FrameParity("a", (2, 4), LabelComparison(1.0, 1.0), None, True, matrix, matrix)
    parity = BackendParity(
        bundle="b",
        graph_sha256="0",
        precision="fp32",
        backend="onnxruntime",
        names=("x", "y"),
        truth=True,
        frames=(frame,),
        tolerance=tolerance_for("fp32"),
        scope=" over 2 of 3 categories",
        left_out=("unicorn",),
    )
    text = _text(parity)
    (mean,) = [line for line in text.splitlines() if "mIoU" in line]
    assert "over 2 of 3 categories" in mean
    assert "left out unicorn" in text
    assert render_table([parity]).count("over 2 of 3 categories") == 3
    document = parity.to_json()
    assert document["scope"] == "over 2 of 3 categories"
    assert document["categories_left_out"] == ["unicorn"]
