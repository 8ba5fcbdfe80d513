"""The process that makes or measures one candidate: orders on stdin, answers on stdout.

Each is a line of JSON. What a library prints goes to stderr. The process ends with its parent.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_ovss.engines.lifeline import tie_to_parent
from edge_ovss.errors import EdgeOvssError
from edge_ovss.tune.candidate import BACKEND, KEYFRAME, STABILIZE, THREADS, Candidate
from edge_ovss.tune.subject import Subject


class Runner:
    """The candidate of this process."""

    def __init__(self) -> None:
        self.segmenter: Any = None
        self.stream: Any = None
        self.frames: list[Any] = []
        self.turn = 0

    def make(self, order: Mapping[str, Any]) -> dict[str, object]:
        """Make the bundle."""
        from edge_ovss.tune.measuring.making import build_for, make_bundle

        subject, candidate = Subject.from_json(order["subject"]), Candidate(order["settings"])
        place = make_bundle(candidate, subject, Path(order["folder"]))
        if not subject.bundles:  # others are not changed
            build_for(candidate.backend(subject.backend), place, order["sizes"])
        return {"bundle": str(place)}

    def open(self, order: Mapping[str, Any]) -> dict[str, object]:
        """Open the bundle, and read the frames."""
        import numpy as np

        from edge_ovss.bundle.identity import answer_hash
        from edge_ovss.runtime.segmenter import Segmenter
        from edge_ovss.runtime.trt.engine_store import plan_hashes

        chosen: Mapping[str, str] = order["settings"]
        threads = chosen.get(THREADS)
        self.segmenter = Segmenter.open(
            order["bundle"],
            backend=chosen.get(BACKEND, order["backend"]),
            threads=order["threads"] if threads is None else int(threads),
        )
        with np.load(order["frames"], allow_pickle=False) as packed:
            self.frames = [packed[name] for name in packed.files]
        self._open_stream(chosen, order["fps"])
        manifest = self.segmenter.bundle.manifest
        files = manifest.files.values()
        return {
            "backend": self.segmenter.backend,
            "graph_sha256": answer_hash(self.segmenter.bundle),
            "engines": plan_hashes(self.segmenter.bundle, self.segmenter.backend),
            "bundle_mib": sum(entry.bytes for entry in files) / 2**20,
            "slots": self.segmenter.bundle.manifest.rejection.limit,
            "template_rank": (manifest.templates.compression or {}).get("rank"),
        }

    def _open_stream(self, chosen: Mapping[str, str], fps: float | None) -> None:
        if not {KEYFRAME, STABILIZE} & set(chosen):
            return
        from edge_ovss.runtime.stream_segmenter import StreamOptions, StreamSegmenter

        hold = chosen.get(STABILIZE)
        options = StreamOptions(
            hold_ms=None if hold is None else float(hold), keyframe=int(chosen.get(KEYFRAME, "1"))
        )
        self.stream = StreamSegmenter(self.segmenter.segment, options)
        self.fps = fps or 15.0

    def run(self, order: Mapping[str, Any]) -> dict[str, object]:
        """Segment the next frames; return how long each took."""
        times = []
        for _ in range(order["count"]):
            frame = self.frames[there_and_back(self.turn, len(self.frames))]
            start = time.perf_counter()
            if self.stream is None:
                self.segmenter.segment(frame)
            else:
                self.stream.segment(frame, time_s=self.turn / self.fps)
            times.append(1e3 * (time.perf_counter() - start))
            self.turn += 1
        return {"ms": times}

    def peak(self, order: Mapping[str, Any]) -> dict[str, object]:
        """Return the peak memory so far."""
        from edge_ovss.evaluation.cold_start import peak_memory_mib

        del order
        return {"peak_mib": peak_memory_mib()}

    def score(self, order: Mapping[str, Any]) -> dict[str, object]:
        """Score the candidate on some of the labeled images."""
        from edge_ovss.tune.measuring.scoring import score

        return score(self.segmenter, Subject.from_json(order["subject"]), order)


def there_and_back(turn: int, count: int) -> int:
    """Return the place of a frame: a video that is played again from its end has no cut."""
    if count == 1:
        return 0
    place = turn % (2 * count - 2)
    return place if place < count else 2 * count - 2 - place


def main() -> None:
    """Do what stdin orders until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    tie_to_parent(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(orders,), daemon=True).start()
    runner = Runner()
    while True:
        order = json.loads(orders.get())
        print(json.dumps(_answer(runner, order)), file=answers, flush=True)


def _read(orders: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        orders.put(line)
    os._exit(0)


def _answer(runner: Runner, order: Mapping[str, Any]) -> dict[str, object]:
    try:
        answer: dict[str, object] = getattr(runner, order["do"])(order)
    except EdgeOvssError as err:
        return {"error": err.message, "hint": err.hint}
    except MemoryError:
        return {"error": "Memory ran out."}
    except Exception as err:  # a candidate that fails is a row, not the end
        return {"error": f"{type(err).__name__}: {err}"}
    return answer


if __name__ == "__main__":
    main()
