"""How frames that follow each other are answered in an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from edge_ovss.errors import UsageError
from edge_ovss.motion.dis import DEFAULT_FLOW, NO_FLOW, PRESETS
from edge_ovss.motion.stored import SUFFIX, is_stored
from edge_ovss.runtime.stream.timing import check_hold, check_keyframe

EXACT_FLOW = "exact"
"""The flow of a drawn street, which is known."""
FLOWS = (*PRESETS, EXACT_FLOW, NO_FLOW)


@dataclass(frozen=True)
class VideoOptions:
    """What `run` does with a stream.

    Attributes:
        hold_ms: How long a label is held against the network; None: not at all.
        keyframe: The network sees every `keyframe`-th frame.
        flow: How labels move, one of `FLOWS`, or a file that `StoredFlow` takes.
        whole_clip: Instead, whether torch looks at all frames of a video at once.
    """

    hold_ms: float | None = None
    keyframe: int = 1
    flow: str = DEFAULT_FLOW
    whole_clip: bool = False

    def __post_init__(self) -> None:
        check_keyframe(self.keyframe)
        if self.hold_ms is not None:
            check_hold(self.hold_ms)
        if self.flow not in FLOWS and not is_stored(self.flow):
            known = ", ".join(FLOWS)
            message = f"--flow is '{self.flow}'; expected one of: {known}, or FILE{SUFFIX}."
            raise UsageError(message)

    @property
    def changes(self) -> bool:
        """Whether anything is done to the labels."""
        return self.hold_ms is not None or self.keyframe > 1 or self.whole_clip

    def title(self) -> str:
        """Return a few words, such as "held 150 ms, every 2nd frame, flow dis"."""
        if not self.changes:
            return "frame by frame"
        if self.whole_clip:
            return "queries of the whole clip, torch"
        parts = [] if self.hold_ms is None else [f"held {self.hold_ms:g} ms"]
        if self.keyframe > 1:
            parts.append(f"1 of {self.keyframe} frames")
        return ", ".join([*parts, f"flow {self.flow}"])
