"""Start the processes that measure, give them orders, and survive whatever happens to them."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from types import TracebackType
from typing import Any

from edge_ovss._strict_parsing import DocumentError, parse_json
from edge_ovss.evaluation.cold_start import child_environment

MODULE = "edge_ovss.tune.measuring.worker"

LONGEST_S = 3600.0
"""After so many seconds for one order, a process counts as hanging."""


class CandidateError(Exception):
    """A candidate failed.

    Args:
        message: Why.
        hint: What to do about it, where that is known.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Worker:
    """One process of `measuring.worker`; use it as a context manager."""

    def __init__(self) -> None:
        self._said = tempfile.TemporaryFile(  # noqa: SIM115 (closed by `close`)
            "w+", encoding="utf-8", errors="replace"
        )
        self._child = subprocess.Popen(
            [sys.executable, "-m", MODULE, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            encoding="utf-8",
            env=child_environment(),
        )
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def ask(self, what: str, **order: object) -> dict[str, Any]:
        """Give an order and return the answer.

        Raises:
            CandidateError: It failed, or the process ended or hangs.
        """
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps({"do": what, **order}) + "\n")
            self._child.stdin.flush()
            line = self._answers.get(timeout=LONGEST_S)
        except OSError:
            line = ""
        except queue.Empty:
            self.close()
            message = f"It took more than {LONGEST_S:.0f} s and was ended."
            raise CandidateError(message) from None
        return self._read(line)

    def _read(self, line: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = parse_json(line)
        except DocumentError:
            raise CandidateError(self._death()) from None
        if "error" in answer:
            raise CandidateError(str(answer["error"]), answer.get("hint"))
        return answer

    def _listen(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._answers.put(line)
        self._answers.put("")  # it ended

    def _death(self) -> str:
        status = self._child.wait()
        if status == -signal.SIGKILL:
            return "Its process was killed (signal 9), as happens when memory runs out."
        if status < 0:
            return f"Its process crashed with {signal.Signals(-status).name}."
        self._said.seek(0)
        lines = [line.strip() for line in self._said.read().splitlines() if line.strip()]
        return f"Its process ended: {lines[-1][:300]}" if lines else "Its process ended."

    def close(self) -> None:
        """End the process; calling it twice does no harm."""
        self._child.kill()
        self._child.wait()
        for stream in (self._child.stdin, self._said):
            if stream is not None:
                try:
                    stream.close()
                except OSError:  # an order that nobody read
                    continue

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
