"""A report as a Markdown model card."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping

from edge_ovss._safe_text import json_ready
from edge_ovss.bundle.identity import answer_hash
from edge_ovss.metrics.license_terms import COMMERCIAL, FREE, NON_COMMERCIAL, UNKNOWN, use_of
from edge_ovss.report.data import Document, ReportData, other_answer
from edge_ovss.report.gates import HEADERS, gate_rows
from edge_ovss.report.scope import remarks_of, scope_of, title_of
from edge_ovss.report.unknown import thresholds_of
from edge_ovss.report.video import video_table

# What model hubs know by another name, or not at all.
_NOT_ON_HUBS = re.compile("0bsd|l?gpl.*|odc-by.*|pddl.*")
_BARS = str.maketrans({"|": "\\|", "\n": " "})


def render_card(data: ReportData) -> str:
    """Return a model card: front matter for model hubs, and the numbers as tables."""
    measured = [_accuracy(data), _parity(data), _latency(data), _gates(data)]
    parts = [_front_matter(data), _about(data), *measured]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(data: ReportData) -> str:
    results = [result for one in data.evaluations for result in _results(one)]
    name = data.bundle.path.name
    measured = [{"name": name, "results": results}]
    lines = [
        "---",
        "library_name: edge-ovss",
        "pipeline_tag: image-segmentation",
        *_license(data.bundle.manifest.licenses),
        f"tags: {_yaml(['open-vocabulary', 'semantic-segmentation', 'onnx'])}",
        "metrics: [mean_iou]",
        *([f"model-index: {_yaml(measured)}"] if results else []),
        "---",
    ]
    return "\n".join(lines)


def _yaml(value: object) -> str:
    """Return a value as JSON that is YAML too, in ASCII: names may hold any character.

    JSON escapes characters of more than 16 bits as two halves, which are none in YAML.
    """
    text = json.dumps(json_ready(value), ensure_ascii=False)
    return "".join(char if " " <= char <= "~" else f"\\U{ord(char):08X}" for char in text)


def _license(licenses: Mapping[str, object]) -> list[str]:
    """Return the license as hubs take it: one of their names, or "other" with a name of ours."""
    use = use_of(licenses)
    word = str(licenses.get("weights", UNKNOWN)).partition(" ")[0].lower().rstrip(":,;")
    if use.status == COMMERCIAL and word in FREE and not _NOT_ON_HUBS.match(word):
        return [f"license: {word}"]
    if use.status == UNKNOWN:
        return ["license: unknown"]
    names = {COMMERCIAL: "see-the-list-below", NON_COMMERCIAL: "not-for-commercial-use"}
    return ["license: other", f"license_name: {names[use.status]}"]


def _results(evaluation: Document) -> Iterator[Document]:
    """Yield an evaluation as a result of a `model-index`, if it has a number."""
    scores = evaluation["scores"]
    protocols = {"d2-main": "miou_d2_main", "d2-0.6+mmseg": "miou_d2_06_mmseg"}
    metrics = [
        {"type": "mean_iou", "name": f"mIoU ({protocol}), %", "value": round(scores[key], 4)}
        for protocol, key in protocols.items()
        if isinstance(scores.get(key), int | float) and math.isfinite(scores[key])
    ]
    title = " ".join(filter(None, (title_of(evaluation), scope_of(evaluation))))
    kind = re.sub(r"[^\w.-]+", "-", str(evaluation["dataset"])).strip("-") or "unknown"
    if metrics:
        yield {
            "task": {"type": "image-segmentation"},
            "dataset": {"type": kind, "name": title},
            "metrics": metrics,
        }


def _about(data: ReportData) -> str:
    manifest = data.bundle.manifest
    words, picture, weights = manifest.vocabulary, manifest.picture, manifest.model.weights
    lines = [
        f"# {data.bundle.path.name}",
        "",
        f"{manifest.model.name} with {words.categories} frozen categories of {words.name}, "
        f"{manifest.precision}, rejection {manifest.rejection.mode}, "
        f"{picture.height} x {picture.width} inside the network, {weights.source} weights"
        f"{other_answer(manifest)}.",
        "",
        f"Graph sha256 `{answer_hash(data.bundle)}`; measured {data.created}.",
        "",
        *(f"- license of {_line(f'{part}: {text}')}" for part, text in manifest.licenses.items()),
        "",
        f"What the licenses allow: {_line(str(use_of(manifest.licenses)))}",
    ]
    return "\n".join(lines)


def _table(headers: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [headers, tuple("---" for _ in headers), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).translate(_BARS) for cell in line) + " |" for line in lines
    )


def _line(text: str) -> str:
    """Return text as one line with all markup escaped."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", " ".join(text.split()))


def _accuracy(data: ReportData) -> str:
    if not data.evaluations:
        return ""
    shown = ("mIoU", "mIoU d2-main", "mIoU d2-0.6+mmseg", "pixel accuracy")
    where = ("backend", "preprocessing", "protocol")
    headers = ("data set", "images", *where, "scored", *shown)
    rows: list[tuple[object, ...]] = []
    remarks = []
    for one in data.evaluations:
        scores, title = one["scores"], title_of(one)
        numbers = ("miou", "miou_d2_main", "miou_d2_06_mmseg", "pixel_accuracy")
        row = tuple(f"{scores[key]:.2f}" for key in numbers)
        scope = scope_of(one) or "all categories"
        rows.append((title, one["pictures"], *(one[key] for key in where), scope, *row))
        remarks += [f"- {_line(f'{title}: {remark}')}" for remark in remarks_of(one)]
    parts = ["## Accuracy", _table(headers, rows), _unknown(data), _video(data), "\n".join(remarks)]
    return "\n\n".join(filter(None, parts))


def _unknown(data: ReportData) -> str:
    keys = ("coverage", "risk", "known_miou", "unknown_precision", "unknown_recall")
    headers = ("data set", "thresholds", *(key.replace("_", " ") for key in keys))
    rows: list[tuple[object, ...]] = []
    for one in data.evaluations:
        if isinstance(one.get("unknown"), dict):
            values = (one["unknown"].get(key) for key in keys)
            shown = ("" if value is None else f"{value:.2f}" for value in values)
            rows.append((title_of(one), thresholds_of(one), *shown))
    return _table(headers, rows) if rows else ""


def _video(data: ReportData) -> str:
    headers, rows = video_table(data)
    shown = [tuple(f"{v:.2f}" if isinstance(v, float) else v or "" for v in row) for row in rows]
    return _table(headers, shown) if shown else ""


def _parity(data: ReportData) -> str:
    if not data.comparisons:
        return ""
    headers = ("bundle", "precision", "backend", "agrees", "labels equal", "mIoU change, points")
    rows: list[tuple[object, ...]] = []
    for result in data.comparisons:
        change = result["miou_change"]
        interval = f"{change['points']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]"
        scope = result.get("scope")
        interval += f" {scope}" if scope else ""
        agreement = f"{100 * result['numbers']['label_agreement']:.4f} %"
        passed = "yes" if result["passed"] else "no"
        where = (result["bundle"], result["precision"], result["backend"])
        rows.append((*where, passed, agreement, interval))
    return "## Parity with torch\n\n" + _table(headers, rows)


def _latency(data: ReportData) -> str:
    if not data.benches:
        return ""
    headers = ("subject", "frame", "p50 ms", "p90 ms", "p99 ms", "max ms", "frames/s")
    rows: list[tuple[object, ...]] = []
    for bench in data.benches:
        frame = f"{bench['frame']['height']} x {bench['frame']['width']}"
        for subject in bench["subjects"]:
            total = subject["stages_ms"]["total"]
            times = tuple(f"{total[key]:.1f}" for key in ("p50", "p90", "p99", "max"))
            rows.append((subject["name"], frame, *times, f"{subject['throughput_fps']:.2f}"))
    return "## Latency\n\n" + _table(headers, rows)


def _gates(data: ReportData) -> str:
    rows: list[tuple[object, ...]] = [
        (*row[:-1], "yes" if row[-1] else "NO") for row in gate_rows(data)
    ]
    return "## Gates\n\n" + _table(HEADERS, rows) if rows else ""
