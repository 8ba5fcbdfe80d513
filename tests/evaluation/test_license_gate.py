"""What licenses allow, and the gate that refuses what is not for commercial use."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_ovss.cli import main
from edge_ovss.errors import UsageError
from edge_ovss.evaluation.gates import check_gates, parse_gates
from edge_ovss.metrics.license_terms import judge, use_of

onnx = pytest.importorskip("onnx")

MakeBundle = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
FREE = {"code": "Apache-2.0", "weights": "MIT", "text_encoder": "none", "training_data": "CC0-1.0"}


@pytest.mark.parametrize(
    ("text", "allows"),
    [
        ("Apache-2.0 (trained by this project)", "commercial"),
        ("mit", "commercial"),
        ("MIT AND CC-BY-4.0", "commercial"),
        ("none: random numbers", "commercial"),
        ("CC-BY-NC-4.0", "non-commercial"),
        ("CC BY-NC-SA 4.0", "non-commercial"),
        ("Apache-2.0 AND CC-BY-NC-4.0", "non-commercial"),
        ("MIT OR CC-BY-NC-4.0", "commercial"),
        ("CamVid (research use) and procedural scenes", "non-commercial"),
        ("for non-commercial use", "non-commercial"),
        ("COCO-Stuff 171; see their terms", "unknown"),
        ("MITx", "unknown"),
        ("Apache-2.0 AND Foo", "unknown"),
        ("unknown: nothing is stated", "unknown"),
        ("", "unknown"),
        ("MIT License", "commercial"),
        ("Apache-2.0 WITH LLVM-exception", "commercial"),
        ("MIT AND CC-BY-NC-4.0 OR Foo", "non-commercial"),
        ("MIT OR Apache-2.0 (research use only)", "non-commercial"),
        ("MIT, the weights are proprietary", "unknown"),
        ("MIT for evaluation", "unknown"),
        ("MIT OR Foo, but ask us", "unknown"),
        ("none of your business", "unknown"),
        ("none: random numbers (for research use)", "non-commercial"),
        (None, "unknown"),
        ({"spdx": "MIT"}, "unknown"),
    ],
)
def test_a_license_is_judged_by_its_text(text: object, allows: str) -> None:
    assert judge(text) == allows


def test_a_part_that_is_not_listed_is_unknown() -> None:
    assert use_of(FREE).status == "commercial"
    assert list(use_of({**FREE, "masks": "CC-BY-NC-4.0"}).barred) == ["masks"]
    lacking = {part: text for part, text in FREE.items() if part != "training_data"}
    assert str(use_of(lacking)) == "unknown of training_data"


@pytest.mark.parametrize("text", ["licence=commercial", "license == commercial"])
def test_the_gate_takes_only_what_is_known(text: str) -> None:
    gates = parse_gates(f"miou>=30, {text}")
    numbers = {"miou": 40.0}
    assert all(check_gates(gates, {**numbers, "licence": "commercial"}))
    (_, failed) = check_gates(gates, {**numbers, "licence": "unknown of weights"})
    assert not failed.passed
    assert failed.text == "licence=commercial: FAILED, unknown of weights"
    assert failed.to_json()["value"] == "unknown of weights"


@pytest.mark.parametrize("text", ["license=a", "license>1", "license>=1", "license==1", "license"])
def test_another_condition_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"malformed|unknown number"):
        check_gates(parse_gates(text), {})


def licensed(bundle: Path, terms: str) -> Path:
    """Let a bundle say these terms of its training data."""
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    document["licenses"] = {**FREE, "training_data": terms}
    path.write_text(json.dumps(document))
    return bundle


@pytest.mark.parametrize(("terms", "status"), [("CC0-1.0", 0), ("CC-BY-NC-4.0", 6), ("?", 6)])
def test_inspect_refuses_a_bundle(
    make_bundle: MakeBundle, capsys: Capture, terms: str, status: int
) -> None:
    bundle = licensed(make_bundle(), terms)
    arguments = ["inspect", str(bundle), "--gate", "licence=commercial"]
    assert main([*arguments, "--json"]) == status
    document = json.loads(capsys.readouterr().out)
    assert document["gates"][0]["passed"] is (status == 0)
    assert main(arguments) == status
    shown = capsys.readouterr()
    assert "licenses allow" in shown.out
    assert ("1 of 1 gates failed: licence=commercial" in shown.err) is (status == 6)


def test_a_gate_of_numbers_is_not_for_inspect(make_bundle: MakeBundle, capsys: Capture) -> None:
    bundle = make_bundle()
    assert main(["inspect", str(bundle), "--gate", "miou>=3"]) == 2
    assert main(["inspect", str(bundle / "model.onnx"), "--gate", "licence=commercial"]) == 2
    assert "not a bundle" in capsys.readouterr().err


def exported(source: Path, place: Path, terms: str) -> Path:
    """Copy an exported bundle that says these terms, in its manifest and in its graph."""
    shutil.copytree(source, place)
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["licenses"]["training_data"] = terms
    graph = place / "model.onnx"
    model = onnx.load(graph, load_external_data=False)
    (entry,) = (each for each in model.metadata_props if each.key == "edge_ovss.licenses")
    entry.value = json.dumps(manifest["licenses"])
    onnx.save(model, graph)
    digest = hashlib.sha256(graph.read_bytes()).hexdigest()
    manifest["files"]["model.onnx"] |= {"sha256": digest, "bytes": graph.stat().st_size}
    (place / "manifest.json").write_text(json.dumps(manifest))
    return place


def proof(verb: str, bundle: Path, out: Path) -> list[str]:
    """A verb that measures the bundle, as short as it can be."""
    if verb == "bench":
        source = "synthetic://street?count=1&size=32x32"
        how = ["--count", "3", "--warmup", "1", "--cold-starts", "0", "--source", source]
        return ["bench", str(bundle), *how, "--out", str(out / "bench.json")]
    how = ["--data", "synthetic://street?count=1&seed=1&size=60x80", "--out", str(out)]
    if verb == "parity":
        return ["parity", str(bundle), *how]
    return ["eval", str(bundle), how[1], "--out", str(out), "--allow-missing"]


@pytest.mark.parametrize("verb", ["eval", "bench", "parity"])
def test_measuring_verbs_refuse_a_bundle_and_still_write_what_they_measured(
    tiny_bundle: Path, tmp_path: Path, capsys: Capture, verb: str
) -> None:
    gate = ["--threads", "1", "--gate", "licence=commercial", "--json"]
    for terms, status in (("CC0-1.0", 0), ("CC-BY-NC-4.0", 6)):
        bundle = exported(tiny_bundle, tmp_path / f"{status}.ovss", terms)
        out = tmp_path / f"out{status}"
        out.mkdir()
        capsys.readouterr()
        assert main([*proof(verb, bundle, out), *gate]) == status
        shown = capsys.readouterr()
        (verdict,) = json.loads(shown.out)["gates"]
        assert (verdict["gate"], verdict["passed"]) == ("licence=commercial", status == 0)
        assert ("licence=commercial: FAILED, non-commercial" in shown.err) is (status == 6)
        (written,) = out.rglob(f"{verb}.json")
        assert json.loads(written.read_text()).get("gates", [verdict]) == [verdict]


def test_one_bundle_that_may_not_be_sold_fails_the_gate_of_several(
    tiny_bundle: Path, tmp_path: Path, capsys: Capture
) -> None:
    for name, terms in (("a.ovss", "CC0-1.0"), ("b.ovss", "for non-commercial use")):
        exported(tiny_bundle, tmp_path / name, terms)
    arguments = proof("parity", tmp_path / "a.ovss", tmp_path / "out")
    arguments.insert(2, str(tmp_path / "b.ovss"))
    assert main([*arguments, "--threads", "1", "--gate", "licence=commercial"]) == 6
    assert "non-commercial" in capsys.readouterr().err
