"""The parity suite: one contract for every family, rejection, precision and backend.

What can run on this machine runs; the tolerances are those of `edge_ovss.evaluation.tolerances`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_ovss.evaluation.parity import compare_backends
from edge_ovss.evaluation.sources import open_dataset
from edge_ovss.evaluation.torch_side import TorchReference
from edge_ovss.runtime import Bundle, Segmenter
from edge_ovss.runtime.backends import REGISTRY

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

STREETS = "synthetic://street?count=2&seed=50&size=120x160"
# SAN has no rejection.
MODELS = {"sed-tiny": ("slots", "dynamic", "none"), "san-tiny": ("none",)}
PRECISIONS = ("fp32",)

Make = Callable[[str, str, str], Path]


@pytest.fixture(scope="module")
def bundle_of(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Return a function that gives the bundle of (model, rejection, precision), made once."""
    made: dict[tuple[str, str, str], Path] = {("sed-tiny", "slots", "fp32"): tiny_bundle}

    def make(model: str, rejection: str, precision: str) -> Path:
        from edge_ovss.export import ExportOptions, Rejection, export_bundle

        key = (model, rejection, precision)
        if key not in made:
            options = ExportOptions(
                model=model,
                weights="random",
                size=(64, 96),
                rejection=Rejection(rejection, topk=2),
                outputs=("labels", "scores"),
            )
            out = tmp_path_factory.mktemp("suite") / "-".join(key)
            made[key] = export_bundle("camvid", out, options).path
        return made[key]

    return make


CASES = [
    pytest.param(
        *(model, rejection, precision),
        # One export is shared by the whole suite; the others take seconds each.
        marks=[] if rejection == "slots" else [pytest.mark.slow],
        id=f"{model}-{rejection}-{precision}",
    )
    for model, rejections in MODELS.items()
    for rejection in rejections
    for precision in PRECISIONS
]


@pytest.mark.parametrize(("model", "rejection", "precision"), CASES)
def test_every_backend_gives_the_answer_of_torch(
    bundle_of: Make, model: str, rejection: str, precision: str
) -> None:
    bundle = Bundle.open(bundle_of(model, rejection, precision))
    reference = TorchReference.open(bundle, threads=1)
    usable = [name for name, entry in REGISTRY.items() if entry.automatic and entry.usable]
    assert usable
    for name in usable:
        with Segmenter.open(bundle, backend=name, threads=1) as segmenter:
            (parity,) = compare_backends(reference, [segmenter], open_dataset(STREETS))
        assert parity, f"{name}: {parity.failures()}"
        assert parity.frames[0].scores is not None
