"""Labels around 255 outputs: eight bits number 255 of them, and the label 255 stays free."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from edge_ovss.bundle.contract import MOST_OUTPUTS, UNKNOWN, labels_dtype  # noqa: E402
from edge_ovss.cli import main  # noqa: E402
from edge_ovss.errors import ArtifactError, ParityError  # noqa: E402
from edge_ovss.export import ExportOptions, export_bundle  # noqa: E402
from edge_ovss.export.loading import load_for_export  # noqa: E402
from edge_ovss.models import load_model  # noqa: E402
from edge_ovss.models.families import FAMILIES  # noqa: E402
from edge_ovss.runtime import Segmenter, selftest  # noqa: E402
from edge_ovss.runtime.selftest import SelftestReport, run_selftest  # noqa: E402
from edge_ovss.synthetic import render_street  # noqa: E402
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary  # noqa: E402

DTYPES = {254: "uint8", 255: "uint8", 256: "uint16", 257: "uint16"}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Vocabulary], Path]:
    """Return a function that writes text embeddings drawn at random: encoding takes minutes."""
    folder = tmp_path_factory.mktemp("packs")

    def make(model: str, vocabulary: Vocabulary) -> Path:
        loaded = load_model(model, weights="random")
        one = loaded.encode_text(Vocabulary.from_names(["road"]))
        shape = (len(vocabulary), *one.array.shape[1:])
        array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        path = folder / f"{model}-{len(vocabulary)}.npz"
        TextEmbeddings(
            array=array / np.linalg.norm(array, axis=-1, keepdims=True),
            prompts=vocabulary.prompts,
            vocabulary_sha256=vocabulary.sha256,
            templates_sha256=one.templates_sha256,
            text_tower=one.text_tower,
            text_tower_sha256=one.text_tower_sha256,
        ).save(path)
        return path

    return make


@pytest.mark.slow
@pytest.mark.parametrize("outputs", sorted(DTYPES))
@pytest.mark.parametrize("family", [family.name for family in FAMILIES])
def test_every_family_gives_labels_as_wide_as_the_manifest_says(
    pack: Callable[[str, Vocabulary], Path], tmp_path: Path, family: str, outputs: int
) -> None:
    model = f"{family}-tiny"
    vocabulary = Vocabulary.from_names([f"thing{number}" for number in range(outputs)])
    options = ExportOptions(
        model=model, weights="random", embeddings=pack(model, vocabulary), size=(64, 64)
    )
    bundle = export_bundle(vocabulary, tmp_path / "many.ovss", options)
    assert bundle.manifest.output.labels_dtype == DTYPES[outputs]
    with Segmenter.open(bundle) as segmenter:
        assert run_selftest(segmenter)
        labels = segmenter.segment(render_street(seed=3, height=60, width=80).image).labels
    assert labels.dtype == DTYPES[outputs]
    assert int(labels.max()) < outputs


@pytest.mark.parametrize("outputs", sorted(DTYPES))
@pytest.mark.parametrize("family", [family.name for family in FAMILIES])
def test_every_frozen_graph_gives_them_in_torch(
    pack: Callable[[str, Vocabulary], Path], family: str, outputs: int
) -> None:
    vocabulary = Vocabulary.from_names([f"thing{number}" for number in range(outputs)])
    model = f"{family}-tiny"
    options = ExportOptions(
        model=model, weights="random", embeddings=pack(model, vocabulary), size=(64, 64)
    )
    graph = load_for_export(vocabulary, options).freeze(options.fit_rejection(outputs), ("labels",))
    with torch.inference_mode():
        (labels,) = graph(torch.zeros(1, 9, 12, 3).byte())
    assert labels.dtype == getattr(torch, DTYPES[outputs])


def test_the_largest_label_is_never_an_output() -> None:
    for outputs, dtype in {**DTYPES, 1: "uint8", MOST_OUTPUTS: "uint16"}.items():
        assert labels_dtype(outputs) == dtype
        assert UNKNOWN[dtype] == np.iinfo(dtype).max
        assert UNKNOWN[dtype] > outputs - 1


class TestABundleIsTriedBeforeItIsKept:
    """What the exporter would not open itself is not left for anybody else."""

    OPTIONS = ExportOptions(model="san-tiny", weights="random", size=(64, 64))

    @pytest.mark.slow
    def test_one_that_does_not_open_is_status_5_and_not_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("edge_ovss.export.manifest.OPSET", 19)
        with pytest.raises(ArtifactError, match="opset 20") as caught:
            export_bundle("road, sky", tmp_path / "a.ovss", self.OPTIONS)
        assert caught.value.status == 5
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.slow
    def test_one_that_fails_its_selftest_is_status_6_and_replaces_nothing(
        self,
        make_bundle: Callable[[str], Path],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        kept = make_bundle("a.ovss")
        before = (kept / "manifest.json").read_bytes()
        report = SelftestReport("onnxruntime", 0.5, 0.999, True, True, True, 1.0)
        monkeypatch.setattr(selftest, "run_selftest", lambda _: report)
        command = ["export", "--model", "san-tiny", "--weights", "random", "--size", "64x64"]
        command += ["--vocab", "road, sky", "--out", str(kept), "--overwrite"]
        assert main(command) == ParityError.status == 6
        assert "fails its own selftest" in capsys.readouterr().err
        assert [path.name for path in kept.parent.iterdir()] == ["a.ovss"]
        assert (kept / "manifest.json").read_bytes() == before
