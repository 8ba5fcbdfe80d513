"""What a race against peers found: as JSON, and as Markdown tables with ratios first."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.peers.accuracy import Accuracy
from benchmarks.peers.making import Made
from benchmarks.peers.roster import CLOSED, FIRST, OURS, Entry
from benchmarks.sed.against_torch import processor
from benchmarks.shared.race import Contestant

_PACKAGES = ("onnxruntime", "openvino", "torch", "nncf", "numpy")
_FLOATS = "our best in FP32 against the plain export in OpenVINO FP32"
_FASTEST = "our fastest against the fastest of the others in BF16, FP16 or INT8"


@dataclass(frozen=True)
class Heat:
    """Contestants that took turns; the first one is always among them."""

    rows: dict[str, Contestant]

    def ratio(self, name: str) -> float | None:
        """Return the median time by that of the first one, or None if one did not run."""
        times = [self.rows[each].seconds for each in (name, FIRST)]
        return statistics.median(times[0]) / statistics.median(times[1]) if all(times) else None


def report(
    entries: Sequence[Entry],
    heats: Sequence[Heat],
    accuracy: Mapping[str, Accuracy],
    command: Mapping[str, Any],
    notes: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return all that was measured, as `results.json` holds it.

    Args:
        entries: Who was asked for, in the order of the table.
        heats: Who ran, and how fast.
        accuracy: Of those who ran, by name.
        command: The options.
        notes: What the table must say of a step's graph, by step.
    """
    rows = [_row(entry, heats, accuracy.get(entry.name)) for entry in entries]
    for entry, row in zip(entries, rows, strict=True):
        said = [(notes or {})[step] for step in entry.needs if step in (notes or {})]
        row["title"] = ", ".join([row["title"], *said])
    return {
        "command": dict(command),
        "machine": {"processor": processor(), "threads": command["threads"]},
        "load_average": os.getloadavg(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "contestants": rows,
        "speedups": speedups(rows),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _row(entry: Entry, heats: Sequence[Heat], accuracy: Accuracy | None) -> dict[str, Any]:
    mine = [heat for heat in heats if entry.name in heat.rows]
    rows = [heat.rows[entry.name] for heat in mine]
    row: dict[str, Any] = {
        "name": entry.name,
        "title": entry.title,
        "group": entry.heat,
        "precision": entry.precision,
    }
    failures = [each.failure for each in rows if each.failure is not None]
    seconds = [second for each in rows for second in each.seconds]
    if failures or not seconds:
        return {**row, "not_run": failures[0] if failures else "no repetition was counted"}
    ratios = [ratio for heat in mine if (ratio := heat.ratio(entry.name)) is not None]
    return {
        **row,
        "ratio": statistics.median(ratios) if ratios else None,
        "median_s": statistics.median(seconds),
        "min_s": min(seconds),
        "max_s": max(seconds),
        "repeats": len(seconds),
        "peak_mib": max(each.peak_mib for each in rows),
        "survivors": rows[0].survivors,
        "accuracy": None if accuracy is None else asdict(accuracy),
    }


def speedups(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the two ratios that matter: in FP32, and of the fastest of each side."""
    ran = [row for row in rows if row.get("ratio") is not None and row["group"] != CLOSED]
    ours = [row for row in ran if row["group"] == OURS]
    floats = _least(row for row in ours if row["precision"] == "FP32")
    plain = _least(row for row in ran if row["name"] == "plain-openvino")
    low = (row for row in ran if row["group"] != OURS and row["precision"] != "FP32")
    return {_FLOATS: _over(plain, floats), _FASTEST: _over(_least(low), _least(ours))}


def _least(rows: Iterable[Mapping[str, Any]]) -> float | None:
    return min((row["ratio"] for row in rows), default=None)


def _over(theirs: float | None, ours: float | None) -> float | None:
    return None if theirs is None or ours is None else theirs / ours


def engine_rows(
    folder: Path, steps: Sequence[str], made: Mapping[str, Made]
) -> list[dict[str, Any]]:
    """Return what each engine became, or why it was not built."""
    rows = []
    for step in steps:
        row: dict[str, Any] = {"graph": step.removeprefix("engine-")}
        if made[step].failure is not None:
            row["not_built"] = made[step].failure
        else:
            row |= json.loads((folder / f"{step}.facts.json").read_text())
        rows.append(row)
    return rows


def table(found: Mapping[str, Any]) -> str:
    """Return the report as Markdown, ratios first."""
    rows = found["contestants"]
    sets = list(
        dict.fromkeys(name for row in rows for name in (row.get("accuracy") or {}).get("miou", ()))
    )
    head = ["", "precision", f"times `{FIRST}`", "median s", "min..max s", "peak MiB"]
    head += ["labels as torch FP32", "labels as plain FP32", *(f"mIoU {name}" for name in sets)]
    lines = [f"{_heading(found)}\n", _cells(head), "|" + "---|" * len(head)]
    lines += [_line(row, sets) for row in rows]
    lines += ["", *(f"- {what}: {_number(x, '.2f')}" for what, x in found["speedups"].items())]
    if found.get("engines"):
        lines += ["", *_engine_table(found["engines"])]
    return "\n".join(lines)


def _heading(found: Mapping[str, Any]) -> str:
    machine, command = found["machine"], found["command"]
    packages = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    load = found["load_average"][2]
    return (
        f"{machine['processor']}, {machine['threads']} threads, {command['repeats']} repetitions "
        f"in each heat; load average at the end {load:.1f} (15 minutes); {packages}"
    )


def _cells(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _line(row: Mapping[str, Any], sets: Sequence[str]) -> str:
    start = [row["title"], row["precision"]]
    if "not_run" in row:
        return _cells([*start, f"did not run: {_safe(row['not_run'])}", *[""] * (5 + len(sets))])
    accuracy = row["accuracy"] or {}
    cells = [_number(row["ratio"], ".2f"), f"{row['median_s']:.3f}"]
    cells += [f"{row['min_s']:.3f}..{row['max_s']:.3f}", f"{row['peak_mib']:.0f}"]
    if accuracy.get("failure"):
        failed = f"not measured: {_safe(accuracy['failure'])}"
        return _cells([*start, *cells, failed, *[""] * (1 + len(sets))])
    cells += [_percent(accuracy.get(key)) for key in ("equal", "equal_unrejected")]
    scores = accuracy.get("miou", {})
    return _cells([*start, *cells, *(_percent(scores.get(name), 1) for name in sets)])


def _engine_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [_cells(["engine of", "MiB", "build s", "layers by precision", "heavy layers"])]
    lines.append("|" + "---|" * 5)
    for row in rows:
        if "not_built" in row:
            cells = [row["graph"], f"not built: {_safe(row['not_built'])}", "", "", ""]
        else:
            cells = [row["graph"], f"{row['bytes'] / 2**20:.1f}", f"{row['seconds']:.1f}"]
            cells += [_counts(row["layers"]), _counts(row["heavy"])]
        lines.append(_cells(cells))
    return lines


def _counts(numbers: Mapping[str, int] | None) -> str:
    return ", ".join(f"{count} {name}" for name, count in (numbers or {}).items())


def _safe(text: str) -> str:
    """Return text that stays in its cell."""
    return " ".join(text.replace("|", "/").split())


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _percent(share: float | str | None, digits: int = 2) -> str:
    if isinstance(share, str):
        return _safe(share)
    return "" if share is None else f"{100 * share:.{digits}f} %"
