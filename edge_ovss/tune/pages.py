"""Write what a run found: JSON, a page, and the front as an image of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_ovss._files import write_bytes, write_json
from edge_ovss.report.data import RESULT
from edge_ovss.report.markup import STYLE
from edge_ovss.report.tuning import front_plot, tuning_page
from edge_ovss.tune.outcome import Outcome

PAGE, FRONT = "tune.html", "front.svg"


def write_results(folder: Path, outcome: Outcome) -> None:
    """Write the three files.

    Raises:
        OutputError: One cannot be written.
    """
    document: dict[str, Any] = outcome.to_json()
    write_json(folder / RESULT, document)
    write_bytes(folder / PAGE, tuning_page(document).encode("utf-8", "backslashreplace"))
    plot = front_plot(document).replace(
        "<svg ", '<svg xmlns="http://www.w3.org/2000/svg" width="860" ', 1
    )
    style = f"<style>{STYLE}svg{{background:var(--card);font-family:sans-serif}}</style>"
    head, tag, rest = plot.partition("</title>")
    write_bytes(folder / FRONT, f"{head}{tag}{style}{rest}\n".encode())
