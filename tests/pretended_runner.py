"""A device that is made up: times, memory and accuracy follow from the settings, with noise."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_ovss.tune.candidate import KEYFRAME, Candidate
from edge_ovss.tune.rows import Rung

BASE_MS = 100.0
PLAYOFF = 9


class PretendedRunner:
    """Multiplies the speed and adds the drop of each setting.

    Args:
        effects: (time as a multiple, points lost) by "axis value"; a text is a failure.
        noise: How far a time may be off, as a share.
        seed: Of the noise.
        ends_after: Raise KeyboardInterrupt instead of so many measurements and one.
    """

    def __init__(
        self,
        effects: Mapping[str, tuple[float, float] | str],
        *,
        noise: float = 0.0,
        seed: int = 0,
        ends_after: int | None = None,
    ) -> None:
        self.effects, self.noise = effects, noise
        self.random, self.ends_after = random.Random(seed), ends_after
        self.measured: list[tuple[str, int]] = []

    def make(self, candidate: Candidate) -> Path:
        """Nothing is made of what is made up."""
        raise AssertionError(candidate.title)

    def measure(self, candidate: Candidate, rung: Rung) -> dict[str, Any]:
        """Return numbers in the form of `ProcessRunner`."""
        if self.ends_after is not None and len(self.measured) >= self.ends_after:
            raise KeyboardInterrupt
        self.measured.append((candidate.title, rung.number))
        ratio, drop = 1.0, 0.0
        for axis, value in candidate.settings.items():
            effect = self.effects[f"{axis} {value}"]
            if isinstance(effect, str):
                return {"error": effect}
            ratio, drop = ratio * effect[0], drop + effect[1]
        cycle = int(candidate.settings.get(KEYFRAME, "1"))
        slow = 1 + self.random.random()  # the whole machine is slow for a while
        base = [BASE_MS * slow * self._about() for _ in range(rung.cycles)]
        own = [BASE_MS * slow * ratio * self._about() for _ in range(rung.cycles * cycle)]
        found = {
            "backend": "pretended",
            "graph_sha256": "0" * 64,
            "cycle": cycle,
            "ms": own,
            "base_ms": base,
        }
        found |= {"peak_mib": 200 * ratio, "bundle_mib": 10.0}
        return found | self._score(drop, rung)

    def race(self, candidates: Sequence[Candidate], cycles: int) -> list[dict[str, Any]]:
        """Return times under the same conditions, with a quarter of the noise."""
        noise, self.noise = self.noise, self.noise / 4
        found = [self.measure(each, Rung(PLAYOFF, 0, cycles)) for each in candidates]
        self.noise = noise
        return [{name: each[name] for name in ("cycle", "ms", "base_ms")} for each in found]

    def free_mib(self) -> float | None:
        """Nobody knows."""
        return None

    def _about(self) -> float:
        return 1 + self.noise * (2 * self.random.random() - 1)

    def _score(self, drop: float, rung: Rung) -> dict[str, Any]:
        if not rung.images:
            return {}
        doubt = 10 / rung.images
        change = {"points": -drop, "low": -drop - doubt, "high": -drop + doubt}
        return {
            "images": rung.images,
            "miou": 60 - drop,
            "overflow_share": 0.0,
            "counts": [8, 8, 8],
            "miou_change": change,
        }

    def close(self) -> None:
        """Nothing is open."""
