"""The part of a report about videos: frame by frame and as a stream, with a strip of frames."""

from __future__ import annotations

from html import escape

from edge_ovss.report.data import Document, Picture, ReportData
from edge_ovss.report.gallery import inline
from edge_ovss.report.markup import table_of
from edge_ovss.report.scope import title_of

_COLUMNS = {
    "vc8": "VC8 %",
    "vc8_right": "VC8 right %",
    "vc16": "VC16 %",
    "vc16_right": "VC16 right %",
    "tc": "TC %",
    "flicker": "flicker %",
    "flashes": "flashes per 100 frames",
}
_LOSS = 0.5
"""Points of IoU that a category must lose to be named."""


def video_part(data: ReportData) -> str:
    """Return a table, remarks and strips of the evaluations of videos; "" for none."""
    headers, rows = video_table(data)
    if not rows:
        return ""
    remarks = "".join(f"<li>{escape(text)}</li>" for one in _videos(data) for text in _remarks(one))
    strips = "".join(_figure(strip) for strip in data.strips)
    return f"<h3>Video</h3>{table_of(headers, rows)}<ul>{remarks}</ul>{strips}"


def video_table(data: ReportData) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Return headers and rows of the evaluations of videos; no rows where there are none."""
    headers = ("data set", "answered", "inferences %", "age ms", "mIoU", *_COLUMNS.values())
    return headers, [row for one in _videos(data) for row in _rows(one)]


def _videos(data: ReportData) -> list[Document]:
    return [one for one in data.evaluations if isinstance(one.get("video"), dict)]


def _rows(evaluation: Document) -> list[tuple[object, ...]]:
    video, title = evaluation["video"], title_of(evaluation)
    before = video["scores_frame_by_frame"]["miou"], video["frame_by_frame"]
    rows: list[tuple[object, ...]] = [(title, "frame by frame", 100.0, 0.0, *_numbers(*before))]
    if video["title"] != "frame by frame":
        after = evaluation["scores"]["miou"], video["stream"]
        facts = video["title"], video["inferences"], video["age_ms"]["mean"]
        rows.append((title, *facts, *_numbers(*after)))
    return rows


def _numbers(miou: float, scores: Document) -> list[float | None]:
    return [miou, *(scores.get(key) for key in _COLUMNS)]


def _remarks(evaluation: Document) -> list[str]:
    video, title = evaluation["video"], title_of(evaluation)
    numbers, change = video["stream"], video["miou_change"]
    truth = "" if video["tc_truth"] is None else f"; the truth's own TC is {video['tc_truth']:.1f}"
    area = numbers.get("vc8_area") or 0.0
    remarks = [
        f"{title}: VC8 looks at {area:.1f} % of the pixels{truth}, along the flow "
        f"{video['measured_along']}"
    ]
    if video["title"] != "frame by frame":
        remarks.append(
            f"{title}: mIoU {change['points']:+.2f} [{change['low']:+.2f}, {change['high']:+.2f}] "
            f"(95 %, by blocks of 8 frames); IoU lost: {losses(evaluation)}"
        )
    return remarks + [str(video["warning"])] * bool(video.get("warning"))


def losses(evaluation: Document) -> str:
    """Return the categories that lose at least half a point of IoU, the most first."""
    before = evaluation["video"]["scores_frame_by_frame"]["by_category"]
    pairs = zip(before, evaluation["scores"]["by_category"], strict=True)
    changes = [
        (two["iou"] - one["iou"], str(one["name"]).strip())
        for one, two in pairs
        if one["iou"] is not None and two["iou"] is not None
    ]
    lost = sorted(change for change in changes if change[0] <= -_LOSS)
    return ", ".join(f"{name} {points:+.1f}" for points, name in lost) or "none by 0.5 or more"


def _figure(strip: Picture) -> str:
    (path,) = strip.files.values()
    words = f"{strip.title}: frames, labels frame by frame, labels of the stream"
    return (
        f"<figure><img alt='{escape(words, quote=True)}' src='{inline(path, widest=None)}'>"
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )
