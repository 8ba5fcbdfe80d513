"""What a live run has done, in a size that does not grow with its length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_ovss.live.percentiles import Percentiles


@dataclass(frozen=True)
class SourceFacts:
    """What came of one source.

    `read` is `segmented + dropped + skipped`.

    Attributes:
        label: Its name, without secrets.
        read: Frames read.
        segmented: Frames segmented.
        dropped: Frames that a newer one replaced before their turn.
        skipped: Frames left out on purpose: by --every, --max-fps, in a pause, at the end.
        reconnects: How often it was lost and came back.
        error: Why it ended before the run did; None if it did not.
    """

    label: str
    read: int
    segmented: int
    dropped: int
    skipped: int
    reconnects: int
    error: str | None

    def to_json(self) -> dict[str, object]:
        """Return the facts as a JSON object."""
        return {
            "source": self.label,
            "read": self.read,
            "segmented": self.segmented,
            "dropped": self.dropped,
            "skipped": self.skipped,
            "reconnects": self.reconnects,
            "error": self.error,
        }


@dataclass
class LiveSummary:
    """Totals of a live run.

    Attributes:
        seconds: How long it took.
        latency: From the frame in memory to its label map.
        age: From reading a frame to the end of its showing.
        stalls: How often a camera sent nothing for long.
        sources: Facts by source; filled at the end.
    """

    seconds: float = 0.0
    latency: Percentiles = field(default_factory=Percentiles)
    age: Percentiles = field(default_factory=Percentiles)
    stalls: int = 0
    sources: Sequence[SourceFacts] = ()

    def to_json(self) -> dict[str, object]:
        """Return the summary as a JSON object."""
        total = {
            name: sum(getattr(source, name) for source in self.sources)
            for name in ("read", "segmented", "dropped", "skipped", "reconnects")
        }
        rate = total["segmented"] / self.seconds if self.seconds else 0.0
        return {
            "seconds": round(self.seconds, 3),
            **total,
            "stalls": self.stalls,
            "frames_per_second": round(rate, 3),
            "latency_ms": self.latency.to_json(),
            "age_ms": self.age.to_json(),
            "sources": [source.to_json() for source in self.sources],
        }
