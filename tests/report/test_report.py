"""A report: one page, whole in itself, with what was measured on this graph and nothing else."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from edge_ovss.bundle.identity import graph_hash
from edge_ovss.cli import main
from edge_ovss.engines.build import BuildOptions, build_engine
from edge_ovss.errors import InputError
from edge_ovss.report.data import gather
from edge_ovss.report.svg import Bar, Series, bar_plot, curve_plot, percentile_plot
from edge_ovss.runtime import Bundle
from edge_ovss.runtime.trt.engine_store import plan_hashes
from edge_ovss.runtime.trt.frame_sizes import FrameRange

pytest.importorskip("onnxruntime")
pytest.importorskip("cv2")

MakeBundle = Callable[..., Path]
SOURCE = "synthetic://street?count=2&size=48x64"
VOID = {"meta", "img", "br", "line", "rect", "polyline", "circle"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and collects addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def measured(make_bundle: MakeBundle, tmp_path: Path) -> Path:
    """A bundle with an evaluation and a bench."""
    import cv2

    bundle = make_bundle(outputs=4)
    for folder, array in (("images", np.zeros((4, 4, 3))), ("labels", np.zeros((4, 4)))):
        (tmp_path / "data" / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "data" / folder / "a.png"), array.astype(np.uint8))
    assert main(["eval", str(bundle), str(tmp_path / "data"), "--layout", "folder"]) == 0
    options = ["--count", "3", "--cold-starts", "0", "--source", SOURCE]
    assert main(["bench", str(bundle), *options]) == 0
    return bundle


def test_a_report_is_one_page_that_needs_no_network(measured: Path) -> None:
    assert main(["report", str(measured)]) == 0
    text = (measured / "reports" / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert all(address.startswith("data:") for address in page.addresses)
    assert "script" not in page.tags
    assert not re.findall(r"https?://|@import|url\(", text)
    assert "prefers-color-scheme:dark" in text
    assert text.count("<svg") == 2
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg)


@pytest.mark.parametrize("answer", ["published", "fast"])
def test_a_report_says_when_the_answer_is_not_the_published_one(
    measured: Path, answer: str
) -> None:
    path = measured / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["output"]["answer"] = answer
    path.write_text(json.dumps(manifest))
    assert main(["report", str(measured)]) == 0
    for name in ("report.html", "report.md"):
        text = html.unescape((measured / "reports" / name).read_text(encoding="utf-8"))
        said = "answer 'fast', not the published one" in text
        assert said == (answer == "fast"), name


def test_json_and_card_hold_the_same_numbers(measured: Path) -> None:
    assert main(["report", str(measured)]) == 0
    document = json.loads((measured / "reports" / "report.json").read_text())
    miou = document["evaluations"][0]["scores"]["miou"]
    card = (measured / "reports" / "report.md").read_text()
    assert card.startswith("---\nlibrary_name: edge-ovss\n")
    assert "What the licenses allow: unknown" in card
    assert f"| {miou:.2f} |" in card
    assert document["manifest"]["model"]["name"] == "sed-tiny"
    assert main(["report", str(measured)]) == 0  # its own files are no measurements


def test_the_front_matter_of_a_card_is_valid_on_a_hub(measured: Path) -> None:
    """Read by the hub's own client, which refuses a model-index that lacks anything."""
    hub = pytest.importorskip("huggingface_hub")
    assert main(["report", str(measured)]) == 0
    card = hub.ModelCard.load(measured / "reports" / "report.md")
    document = json.loads((measured / "reports" / "report.json").read_text())
    scores = document["evaluations"][0]["scores"]
    found = {result.metric_name: result for result in card.data.eval_results}
    result = found["mIoU (d2-main), %"]
    assert result.metric_value == pytest.approx(scores["miou_d2_main"], abs=1e-3)
    assert (result.metric_type, result.task_type) == ("mean_iou", "image-segmentation")
    assert re.fullmatch(r"[\w.-]+", result.dataset_type)
    assert card.data.model_name == measured.name
    assert card.data.license == "unknown"


@pytest.mark.parametrize(
    ("weights", "data", "license_id", "name"),
    [
        ("Apache-2.0 (ours)", "none", "apache-2.0", None),
        ("Apache-2.0", "CC-BY-NC-4.0", "other", "not-for-commercial-use"),
        ("GPL-3.0-only", "none", "other", "see-the-list-below"),
        ("MIT", "unknown: 'x'", "unknown", None),
    ],
)
def test_the_license_of_a_card_is_that_of_the_whole(
    measured: Path, weights: str, data: str, license_id: str, name: str | None
) -> None:
    yaml = pytest.importorskip("yaml")
    path = measured / "manifest.json"
    manifest = json.loads(path.read_text())
    kinds = {"code": "MIT", "weights": weights, "text_encoder": "none", "training_data": data}
    path.write_text(json.dumps(manifest | {"licenses": kinds}))
    assert main(["report", str(measured)]) == 0
    card = (measured / "reports" / "report.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert (front["license"], front.get("license_name")) == (license_id, name)
    page = (measured / "reports" / "report.html").read_text(encoding="utf-8")
    assert "licenses allow" in page


def test_a_name_of_any_characters_is_valid_front_matter(measured: Path) -> None:
    yaml = pytest.importorskip("yaml")
    name = "Straße \U0001f6b2 \x7f\u2028\"'\\ud83d: #.ovss"
    bundle = measured.rename(measured.with_name(name))
    assert main(["report", str(bundle)]) == 0
    card = (bundle / "reports" / "report.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["model-index"][0]["name"] == name


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_no_text_is_reported_too(measured: Path) -> None:
    yaml = pytest.importorskip("yaml")
    bundle = Path(os.fsdecode(os.fsencode(measured.parent) + b"/caf\xe9.ovss"))
    measured.rename(bundle)
    assert main(["report", str(bundle)]) == 0
    card = (bundle / "reports" / "report.md").read_text(encoding="utf-8")
    assert yaml.safe_load(card.split("---\n")[1])["model-index"][0]["name"] == "caf\\xe9.ovss"


def test_gates_stand_in_the_files_and_in_the_report(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gates = "p99_ms<=60000,miou>=101"
    data = [str(tmp_path / "data"), "--layout", "folder"]
    assert main(["eval", str(measured), *data, "--gate", gates, "--json"]) == 6
    said = json.loads(capsys.readouterr().out)
    (written,) = (measured / "reports").glob("eval-*/eval.json")
    document = json.loads(written.read_text())
    assert document == {name: value for name, value in said.items() if name != "out"}
    held, failed = document["gates"]
    assert (held["name"], held["operator"], held["limit"]) == ("p99_ms", "<=", 60000)
    assert held["value"] == document["latency_ms"]["total"]["p99"]
    assert failed == {
        **{"gate": "miou>=101", "name": "miou", "operator": ">=", "limit": 101.0},
        **{"value": document["scores"]["miou"], "passed": False},
    }
    assert main(["report", str(measured)]) == 0
    reports = measured / "reports"
    shown = json.loads((reports / "report.json").read_text())["evaluations"][0]["gates"]
    assert shown == document["gates"]
    page = (reports / "report.html").read_text(encoding="utf-8")
    places = [page.index(text) for text in ("<h2>Gates</h2>", "p99_ms&lt;=60000", "miou&gt;=101")]
    assert places == sorted(places)
    card = (reports / "report.md").read_text(encoding="utf-8")
    assert re.search(r"\| p99_ms<=60000 \| [\d.]+ \| yes \|", card)
    assert re.search(r"\| miou>=101 \| [\d.]+ \| NO \|", card)
    # Without gates there are none, also where an earlier run had some.
    assert main(["eval", str(measured), *data]) == 0
    assert json.loads(written.read_text())["gates"] == []


def test_evaluations_of_the_candidates_of_a_tuning_are_no_measurements(
    measured: Path, tmp_path: Path
) -> None:
    (written,) = (measured / "reports").glob("eval-*/eval.json")
    out = tmp_path / "out"
    for folder in ("scores/0123456789ab", "mine"):
        shutil.copytree(written.parent, out / folder)
    bundle, own = Bundle.open(measured), 1
    assert len(gather(bundle, [out]).evaluations) == own + 2  # no table is beside them
    (out / "tune.json").write_text("{}")
    assert len(gather(bundle, [out]).evaluations) == own + 1
    asked = out / "scores" / "0123456789ab" / "eval.json"
    assert len(gather(bundle, [asked]).evaluations) == own + 1  # as named


def test_a_report_shows_pictures_of_a_comparison(tiny_bundle: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "parity", tmp_path / "page" / "report.html"
    assert main(["parity", str(tiny_bundle), "--data", SOURCE, "--out", str(out)]) == 0
    assert main(["report", str(tiny_bundle), "--include", str(out), "--out", str(page)]) == 0
    found = Page(page.read_text(encoding="utf-8"))
    assert found.tags.count("img") == 2 * 4
    assert all(address.startswith("data:image/png;base64,") for address in found.addresses)
    table = (out / "parity.md").read_text().splitlines()
    assert len(table) == 3
    assert "fp32" in table[2]


def test_what_was_measured_on_another_graph_is_left_out(
    measured: Path, make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_bundle("other.ovss", outputs=4, counts=(1, 1, 1))
    shutil.copytree(measured / "reports", other / "reports")
    assert main(["report", str(other)]) == 4
    captured = capsys.readouterr()
    assert "eval.json was measured on a different graph or engine" in captured.err
    assert "Nothing has been measured" in captured.err


def test_names_in_a_bundle_cannot_write_into_the_page(measured: Path) -> None:
    path = next((measured / "reports").rglob("eval.json"))
    document = json.loads(path.read_text())
    document["dataset"] = "<script>alert(1)</script>"
    document["scores"]["by_category"][0]["name"] = "</svg><b onclick='x'>"
    path.write_text(json.dumps(document))
    assert main(["report", str(measured)]) == 0
    text = (measured / "reports" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "onclick='x'" not in text
    Page(text)


@pytest.mark.parametrize("labels", [None, [], {}, {"categories": "x"}, {"ignored": 1}])
def test_an_older_evaluation_still_says_what_was_left_out(measured: Path, labels: object) -> None:
    path = next((measured / "reports").rglob("eval.json"))
    document = json.loads(path.read_text())
    document["categories_left_out"] = ["unicorn", "dragon"]
    document["labels"] = labels
    del document["warnings"], document["source"]
    path.write_text(json.dumps(document))
    assert main(["report", str(measured)]) == 0
    for name in ("report.html", "report.md"):
        text = (measured / "reports" / name).read_text(encoding="utf-8")
        assert "2 categories left out" in text
        assert "not in the vocabulary: unicorn, dragon" in text


def test_pictures_outside_the_folder_are_not_shown(measured: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    bundle = Bundle.open(measured)
    result = {"bundle": "a", "graph_sha256": graph_hash(bundle)}
    files = {"frame": "../../../../secret.png"}
    example = {"name": "a", "bundle": "a", "label_agreement": 1.0, "files": files}
    document = {"kind": "parity", "results": [result], "examples": [example]}
    (measured / "reports" / "parity.json").write_text(json.dumps(document))
    assert gather(bundle).pictures == ()


def test_parity_of_an_engine_that_is_gone_is_left_out(
    trt: Any,  # noqa: ANN401
    measured: Path,
) -> None:
    bundle = Bundle.open(measured)
    options = BuildOptions(FrameRange.pinned((20, 30)))
    engine = build_engine(bundle, "tensorrt", options).engine
    plans = plan_hashes(bundle, "tensorrt")
    assert plans == {engine.folder.name: engine.record.sha256}

    def shown(engines: dict[str, str]) -> bool:
        result = {"bundle": "a", "graph_sha256": graph_hash(bundle), "backend": "tensorrt"}
        document = {"kind": "parity", "results": [{**result, "engines": engines}]}
        (measured / "reports" / "parity.json").write_text(json.dumps(document))
        return any(part.get("engines") == engines for part in gather(bundle).comparisons)

    assert shown(plans)
    assert shown({})  # a report of an earlier version
    assert not shown(dict.fromkeys(plans, "0" * 64))
    shutil.rmtree(engine.folder)
    assert not shown(plans)


def test_a_tuning_counts_while_an_engine_that_it_measured_is_there(
    trt: Any,  # noqa: ANN401
    measured: Path,
) -> None:
    bundle = Bundle.open(measured)
    engine = build_engine(bundle, "tensorrt", BuildOptions(FrameRange.pinned((20, 30)))).engine
    row = {"measured_on_all": True, "graph_sha256": graph_hash(bundle), "backend": "tensorrt"}
    on_engine = {**row, "engines": plan_hashes(bundle, "tensorrt")}
    plain = {**row, "backend": "onnxruntime", "engines": {}}

    def shown(*rows: dict[str, object]) -> bool:
        document = {"kind": "tune", "candidates": rows, "graphs": [graph_hash(bundle)]}
        (measured / "reports" / "tune.json").write_text(json.dumps(document))
        return len(gather(bundle).tunings) == 1

    assert shown(on_engine)
    shutil.rmtree(engine.folder)
    assert not shown(on_engine)
    assert shown(on_engine, plain)
    assert not shown(on_engine, {**plain, "measured_on_all": False})
    assert not shown({**plain, "graph_sha256": "0" * 64})
    assert shown()  # of an earlier version, whose rows had no graph


def test_long_lists_of_a_calibration_are_folded_away(measured: Path) -> None:
    path = measured / "manifest.json"
    manifest = json.loads(path.read_text())
    ranges = {f"tensor {number}": [-1.0, 1.0 / 3] for number in range(40)}
    manifest["precision"] |= {"calibration": {"count": 300}, "ranges": ranges}
    path.write_text(json.dumps(manifest))
    assert main(["report", str(measured)]) == 0
    text = (measured / "reports" / "report.html").read_text(encoding="utf-8")
    assert "<summary>ranges (40)</summary>" in text
    assert "<dt>tensor 7</dt><dd>-1, 0.333333</dd>" in text
    assert "<dt>calibration: count</dt><dd>300</dd>" in text


def test_a_report_says_why_parts_stay_in_float(measured: Path) -> None:
    path = measured / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["precision"] |= {"islands": {"softmax": ["a", "b"]}, "excluded": {"conv": "stem"}}
    path.write_text(json.dumps(manifest))
    assert main(["report", str(measured)]) == 0
    text = (measured / "reports" / "report.html").read_text(encoding="utf-8")
    assert "<dt>in FP32: softmax</dt><dd>2 nodes: exponentials and their sum</dd>" in text
    assert "<dt>not INT8: stem</dt><dd>1 product: reads the image itself</dd>" in text


def test_nothing_measured_is_bad_input(
    make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(make_bundle())]) == 4
    assert "edge-ovss parity" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "\xff", ""])
def test_a_damaged_measurement_is_named(measured: Path, content: str) -> None:
    (measured / "reports" / "bad.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"bad\.json"):
        gather(Bundle.open(measured))


def test_a_missing_place_is_named(measured: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        gather(Bundle.open(measured), [tmp_path / "nowhere"])


def test_a_page_that_cannot_be_written_is_bad_input(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["report", str(measured), "--out", str(tmp_path / "file" / "a.html")]) == 4
    assert "Cannot write" in capsys.readouterr().err


def test_bars_show_a_change_and_a_missing_value() -> None:
    svg = bar_plot([Bar("a & b", 50.0, 75.0), Bar("gone", None)], title="x < y")
    ElementTree.fromstring(svg)
    assert "50.0 (-25.00)" in svg
    assert "no pixels" in svg


@pytest.mark.parametrize("times", [[5.0], [1.0, 9.0, 4.0]])
def test_times_are_drawn_in_order(times: list[float]) -> None:
    svg = percentile_plot([Series("a", times)], title="ms")
    points = re.findall(r'points="([^"]+)"', svg)[0].split()
    heights = [float(point.split(",")[1]) for point in points]
    assert heights == sorted(heights, reverse=True)


def test_seconds_are_drawn_without_exponents() -> None:
    svg = percentile_plot([Series("a", [120.0, 2656.9])], title="ms")
    labels = re.findall(r"text-anchor=\"end\">([^<]+)<", svg)
    assert labels == ["0", "697", "1395", "2092", "2790"]


def test_what_is_unknown_is_in_the_report_with_a_curve(
    make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(outputs=4, extras=["confidence"], unknown=[0.5])
    words = json.loads((bundle / "vocabulary.json").read_text())["outputs"]
    assert words
    data = bundle.parent / "data"
    for folder in ("images", "labels"):
        (data / folder).mkdir(parents=True)
    import cv2

    frame = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    assert cv2.imwrite(str(data / "images" / "a.png"), frame)
    assert cv2.imwrite(str(data / "labels" / "a.png"), frame[:, :, 0] % 5)
    (data / "classes.txt").write_text("thing0\nthing1\nthing2\nthing3\n<sky>\n")
    command = ["eval", str(bundle), str(data), "--layout", "folder", "--missing-unknown"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "no word for     <sky>" in printed
    assert "risk-coverage   area" in printed
    assert main(["report", str(bundle)]) == 0
    page = (bundle / "reports" / "report.html").read_text()
    parsed = Page(page)
    assert "circle" in parsed.tags
    assert "score below 0.5 (number)" in page
    assert "Risk by coverage, folder data" in page
    assert "&lt;sky&gt;" in page
    assert "| score below 0.5 (number) |" in (bundle / "reports" / "report.md").read_text()


@pytest.mark.parametrize("mark", [None, (50.0, 20.0)])
def test_a_curve_is_one_image_without_an_exponent(mark: tuple[float, float] | None) -> None:
    plot = curve_plot([(0.0, 0.0), (100.0, 1e-7)], title="a < b", across="c & d", mark=mark)
    image = ElementTree.fromstring(plot)
    assert len(image.findall("circle")) == (mark is not None)
    assert image.findtext("title") == "a < b"
    labels = [text.text or "" for text in image.findall("text")]
    assert not [label for label in labels if re.fullmatch(r"[\d.]+e.*", label)]
