"""What to race: written down, so that a folder never mixes the graphs of two wishes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wish:
    """What the graphs of a race are made with.

    Attributes:
        model: Such as "sed-base".
        vocabulary: Name or file.
        weights: "random" or "embedded".
        survivors: How many categories survive with random weights.
        slots: Places after the three rejections, such as "32,32,32"; None for the default.
        size: (height, width) inside the network; None for the model's own.
        calibration: Source of the images that INT8 ranges are measured on.
        count: How many of them.
        checked: How many of them accuracy control checks its answers on.
    """

    model: str
    vocabulary: str
    weights: str
    survivors: int
    slots: str | None
    size: tuple[int, int] | None
    calibration: str
    count: int
    checked: int

    def keep(self, folder: Path) -> None:
        """Write it into `folder`.

        Raises:
            SystemExit: The folder holds another one.
        """
        path, text = folder / "wish.json", json.dumps(asdict(self), indent=2)
        if path.is_file() and path.read_text() != text:
            message = f"'{folder.name}' holds graphs made with other options; give another --out."
            raise SystemExit(message)
        path.write_text(text)

    @classmethod
    def of(cls, folder: Path) -> Wish:
        """Read what `keep` wrote."""
        facts = json.loads((folder / "wish.json").read_text())
        facts["size"] = None if facts["size"] is None else tuple(facts["size"])
        return cls(**facts)
