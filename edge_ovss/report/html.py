"""A report as one HTML page: no network, no script, light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from edge_ovss._version import VERSION
from edge_ovss.bundle.identity import answer_hash
from edge_ovss.graph.reasons import kept_in_float
from edge_ovss.metrics.license_terms import use_of
from edge_ovss.report.data import Document, ReportData, other_answer
from edge_ovss.report.gallery import gallery
from edge_ovss.report.gates import HEADERS, gate_rows
from edge_ovss.report.markup import STYLE, facts_of, flatten, legend, missing, section, table_of
from edge_ovss.report.scope import remarks_of, scope_of, title_of
from edge_ovss.report.svg import Bar, Series, bar_plot, percentile_plot
from edge_ovss.report.tuning import tuning_part
from edge_ovss.report.unknown import unknown_part
from edge_ovss.report.video import video_part


def render_html(data: ReportData) -> str:
    """Return the page."""
    title = escape(data.bundle.path.name)
    sections = [
        _head(data),
        _what(data),
        _parity(data),
        _accuracy(data),
        _latency(data),
        _gates(data),
        *map(tuning_part, data.tunings),
        _rejection(data),
        _calibration(data),
        _environment(data),
    ]
    foot = f"<footer>edge-ovss {VERSION}, {escape(data.created)}</footer>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}: report</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(sections)}{foot}</main></body></html>\n"
    )


def _head(data: ReportData) -> str:
    manifest = data.bundle.manifest
    words = manifest.vocabulary
    tiles = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for name, value in _tiles(data)
    )
    about = (
        f"{manifest.model.name}, {manifest.precision}, rejection {manifest.rejection.mode}, "
        f"{words.categories} categories of {words.name}, "
        f"{manifest.picture.height} x {manifest.picture.width} inside the network"
        f"{other_answer(manifest)}"
    )
    name = escape(data.bundle.path.name)
    return f'<header><h1>{name}</h1><p>{escape(about)}</p><div class="tiles">{tiles}</div></header>'


def _tiles(data: ReportData) -> list[tuple[str, str]]:
    tiles = []
    own = [result for result in data.comparisons if result.get("own")]
    if own:
        worst = min(result["numbers"]["label_agreement"] for result in own)
        tiles.append(("labels equal to torch", f"{100 * worst:.3f} %"))
        drop = max(result["numbers"]["miou_drop"] for result in own)
        scopes = {result["scope"] for result in own if result.get("scope")}
        name = ", ".join(["mIoU lost against torch", *sorted(scopes)])
        # Adding zero removes the sign of a negative zero.
        tiles.append((name, f"{round(drop, 2) + 0.0:.2f} points"))
    for one in data.evaluations[:2]:
        subset = " (subset)" if one["subset"] else ""
        scope = f", {scope_of(one)}" if scope_of(one) else ""
        name = f"mIoU, {_short_name(one['dataset'])}{subset}{scope}"
        tiles.append((name, f"{one['scores']['miou']:.2f}"))
    for bench in data.benches[:1]:
        numbers = bench["numbers"]
        tiles.append((f"p50 on {bench['backend']}", f"{numbers['p50_ms']:.1f} ms"))
        tiles.append(("p99", f"{numbers['p99_ms']:.1f} ms"))
        if numbers.get("peak_mib"):
            tiles.append(("peak memory", f"{numbers['peak_mib']:.0f} MiB"))
    return tiles


def _short_name(dataset: object) -> str:
    text = str(dataset)
    return "street" if text.startswith("synthetic:") else text


def _what(data: ReportData) -> str:
    manifest = data.bundle.manifest
    weights = manifest.model.weights
    slots = manifest.rejection.slots
    origin = weights.file or ("" if weights.seed is None else f"seed {weights.seed}")
    pairs: list[tuple[str, object]] = [
        ("model", f"{manifest.model.name} ({manifest.model.family})"),
        ("weights", f"{weights.source} {origin}".strip()),
        ("weights sha256", weights.sha256),
        ("vocabulary", f"{manifest.vocabulary.name}, sha256 {manifest.vocabulary.sha256[:16]}…"),
        ("templates", f"{manifest.templates.name} ({manifest.templates.count})"),
        ("rejection", f"{manifest.rejection.mode}" + (f", slots {list(slots)}" if slots else "")),
        ("precision", manifest.precision),
        ("outputs", ", ".join(manifest.output.outputs)),
        ("answer", manifest.output.answer),
        ("graph sha256", answer_hash(data.bundle)),
        ("written by", f"{manifest.tool}, {manifest.created}"),
    ]
    pairs += [(f"license of {part}", text) for part, text in manifest.licenses.items()]
    pairs.append(("licenses allow", str(use_of(manifest.licenses))))
    left = ""
    if data.foreign:
        names = escape(", ".join(data.foreign))
        left = f"<p class='bad'>Skipped, measured on a different graph or engine: {names}.</p>"
    return section("What it is", facts_of(pairs), left)


def _parity(data: ReportData) -> str:
    if not data.comparisons:
        return section("Parity with torch", missing("Not measured:", "edge-ovss parity BUNDLE"))
    what = ("agrees", "frames", "labels equal %", "scores, relative L2")
    miou = ("mIoU torch", "mIoU", "change", "95 % interval")
    headers = ("bundle", "precision", "backend", *what, *miou)
    rows = []
    for result in data.comparisons:
        numbers, change = result["numbers"], result["miou_change"]
        rows.append(
            (
                result["bundle"],
                result["precision"],
                result["backend"],
                result["passed"],
                int(numbers["frames"]),
                f"{100 * numbers['label_agreement']:.4f}",
                None if numbers["score_error"] is None else f"{numbers['score_error']:.2e}",
                _scoped(numbers["miou_torch"], result),
                _scoped(numbers["miou"], result),
                f"{change['points']:+.3f}",
                f"{change['low']:+.3f} … {change['high']:+.3f}",
            )
        )
    return section("Parity with torch", table_of(headers, rows), _departures(data), gallery(data))


def _scoped(miou: float, result: Document) -> str:
    scope = result.get("scope")
    return f"{miou:.2f}" + (f" {scope}" if scope else "")


def _departures(data: ReportData) -> str:
    parts = []
    for result in data.comparisons:
        for failure in result["failures"]:
            parts.append(f"<li class='bad'>{escape(result['bundle'])}: {escape(failure)}</li>")
        if result.get("bisection"):
            parts.append(f"<li>{escape(result['bisection']['text'])}</li>")
    return f"<ul>{''.join(parts)}</ul>" if parts else ""


def _accuracy(data: ReportData) -> str:
    if not data.evaluations:
        command = "edge-ovss eval BUNDLE DATA --layout NAME"
        return section("Accuracy", missing("Not measured:", command), _compared(data))
    where = ("backend", "preprocessing", "protocol")
    keys = ("miou", "miou_d2_main", "miou_d2_06_mmseg", "pixel_accuracy", "mean_accuracy", "fw_iou")
    shown = ("mIoU", "d2-main", "d2-0.6+mmseg", "pixel acc.", "mean acc.", "fw IoU")
    headers = ("data set", "images", *where, "scored", *shown)
    rows, plots = [], []
    for one in data.evaluations:
        scores, title = one["scores"], title_of(one)
        scope = scope_of(one)
        named = (*(one[key] for key in where), scope or "all categories")
        rows.append((title, one["pictures"], *named, *(scores[key] for key in keys)))
        about = f"IoU by category, {title}" + (f", {scope}" if scope else "")
        plots.append(_by_category(about, scores["by_category"]) + _remarks(one))
    more = (unknown_part(data.evaluations), video_part(data))
    return section("Accuracy", table_of(headers, rows), *more, *plots, _compared(data))


def _remarks(evaluation: Document) -> str:
    """Return the remarks on what the numbers do not cover."""
    items = "".join(f"<li>{escape(remark)}</li>" for remark in remarks_of(evaluation))
    return f"<ul>{items}</ul>" if items else ""


def _by_category(title: str, categories: Sequence[Document]) -> str:
    bars = [Bar(str(c["name"]), c["iou"], c.get("iou_torch")) for c in categories]
    bars.sort(key=lambda bar: -1.0 if bar.value is None else bar.value)
    headers = ("category", "IoU", "accuracy", "pixels")
    rows = [
        (str(c["name"]).strip(), c["iou"], c.get("accuracy"), c.get("truth_pixels"))
        for c in categories
    ]
    table = table_of(headers, rows)
    return (
        f"<h3>{escape(title)}</h3>{bar_plot(bars, title=title)}"
        f"<details><summary>Table</summary>{table}</details>"
    )


def _compared(data: ReportData) -> str:
    """Return plots of the IoU by category, with torch's as marks."""
    parts = []
    for result in data.comparisons:
        title = f"{result['bundle']} on {result['backend']}, against {result['truth']}"
        title += f", {result['scope']}" if result.get("scope") else ""
        bars = [Bar(str(c["name"]), c["iou"], c["iou_torch"]) for c in result["by_category"]]
        bars.sort(key=lambda bar: -1.0 if bar.value is None else bar.value)
        marks = legend("bundle", "torch (mark); change in points in brackets")
        parts.append(f"<h3>{escape(title)}</h3>{marks}{bar_plot(bars, title=title)}")
    return "".join(parts)


def _latency(data: ReportData) -> str:
    if not data.benches:
        return section("Latency", missing("Not measured:", "edge-ovss bench BUNDLE"))
    parts = []
    for bench in data.benches:
        frame = bench["frame"]
        parts.append(
            f"<h3>{escape(bench['backend'])}, frames of {frame['height']} x {frame['width']}, "
            f"threads: {bench['threads'] or 'default'}</h3>"
        )
        parts.append(_stages(bench))
        subjects = bench["subjects"]
        if len(subjects) > 1:
            parts.append(legend(subjects[0]["name"], subjects[1]["name"]))
        series = [Series(s["name"], s["total_ms"]) for s in subjects]
        parts.append(percentile_plot(series, title="milliseconds per frame by percentile"))
        parts.append(facts_of(_other_numbers(bench)))
    return section("Latency", *parts)


def _stages(bench: Mapping[str, Any]) -> str:
    headers = ("milliseconds", "stage", "mean", "p50", "p90", "p99", "max", "frames/s")
    rows: list[tuple[object, ...]] = []
    for subject in bench["subjects"]:
        for stage, times in subject["stages_ms"].items():
            speed = subject["throughput_fps"] if stage == "total" else None
            row = tuple(float(times[key]) for key in ("mean", "p50", "p90", "p99", "max"))
            rows.append((subject["name"], stage, *row, speed))
    return table_of(headers, rows)


def _other_numbers(bench: Mapping[str, Any]) -> list[tuple[str, object]]:
    numbers = bench["numbers"]
    pairs: list[tuple[str, object]] = [
        ("cold start, seconds to the first label", numbers.get("cold_start_s")),
        ("peak memory, MiB", numbers.get("peak_mib")),
        ("ratio to the second (p50)", numbers.get("speedup_p50")),
    ]
    board = bench.get("tegrastats") or {}
    pairs += [(f"board: {key}", str(value)) for key, value in board.items()]
    return [(name, value) for name, value in pairs if value is not None]


def _gates(data: ReportData) -> str:
    rows = gate_rows(data)
    return section("Gates", table_of(HEADERS, rows)) if rows else ""


def _rejection(data: ReportData) -> str:
    rejection = data.bundle.manifest.rejection
    rows = []
    for one in data.evaluations:
        found = one["rejection"]
        share = 100 * found["overflow_pictures"] / one["pictures"]
        rows.append(
            (title_of(one), str(found["counts_p50"]), str(found["counts_max"]), f"{share:.1f}")
        )
    slots = list(rejection.slots) if rejection.slots else "no limit"
    text = f"Mode {rejection.mode}, k {rejection.topk}, slots {slots}."
    headers = ("data set", "median of wanted", "most wanted", "images without room, %")
    return section("Rejection", f"<p>{escape(text)}</p>", table_of(headers, rows) if rows else "")


def _calibration(data: ReportData) -> str:
    facts = data.bundle.manifest.document.get("precision")
    known = facts if isinstance(facts, dict) else {}
    pairs, lists = flatten("", known)
    if "calibration" not in known:
        pairs.append(("calibration", "none: no value in the graph was chosen from images"))
    details = "".join(
        f"<details><summary>{escape(name)} ({len(rows)})</summary>{facts_of(rows)}</details>"
        for name, rows in lists
    )
    reasons = facts_of(kept_in_float(facts))
    return section("Precision and calibration", facts_of(pairs), reasons, details)


def _environment(data: ReportData) -> str:
    environment = data.environment()
    machine = environment.get("machine", {})
    packages = {name: v for name, v in environment.get("packages", {}).items() if v}
    # Paths on the measuring machine are private.
    shown = [(k, str(v)) for k, v in machine.items() if v and k not in ("executable", "cache")]
    made = [(f"export: {k}", str(v)) for k, v in data.bundle.manifest.versions.items()]
    return section("Environment", facts_of([*shown, *packages.items(), *made]))
