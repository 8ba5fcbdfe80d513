"""The summary of a live run, for people and as JSON."""

from __future__ import annotations

from edge_ovss.cli.shared.run_output import Tally, how_it_ended
from edge_ovss.live.percentiles import Percentiles
from edge_ovss.live.summary import LiveSummary

_COLUMNS = ("read", "segmented", "dropped", "skipped", "reconnects")


def summary_text(summary: LiveSummary) -> str:
    """Return the summary as a table and two lines of times."""
    width = max([len(source.label) for source in summary.sources] + [len("source")])
    lines = [f"{'source':{width}}  " + "  ".join(f"{name:>10}" for name in _COLUMNS)]
    for source in summary.sources:
        cells = "  ".join(f"{getattr(source, name):>10}" for name in _COLUMNS)
        lines.append(f"{source.label:{width}}  {cells}")
    done = sum(source.segmented for source in summary.sources)
    rate = done / summary.seconds if summary.seconds else 0.0
    lines.append(f"{done} frames in {summary.seconds:.1f} s, {rate:.2f} per second")
    lines.append(_times("latency ms", summary.latency))
    lines.append(_times("age ms", summary.age))
    return "\n".join(lines)


def summary_document(
    summary: LiveSummary, tally: Tally, ended_by: BaseException | None
) -> dict[str, object]:
    """Return the summary as a JSON object, with how the run ended."""
    return {
        **summary.to_json(),
        "overflowed": tally.over,
        "reran": tally.reran,
        **how_it_ended(ended_by),
    }


def _times(name: str, times: Percentiles) -> str:
    parts = times.to_json().items()
    cells = (f"{key} {'-' if value is None else f'{value:.1f}'}" for key, value in parts)
    return f"{name:<11} " + "   ".join(cells)
