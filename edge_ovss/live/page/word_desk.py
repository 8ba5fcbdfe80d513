"""The words of an open bundle, as viewers change them while frames go on."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from edge_ovss._machine import available_cores
from edge_ovss._optional import require
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.unknown import UnknownInfo
from edge_ovss.bundle.words.section import OpenInfo
from edge_ovss.errors import EdgeOvssError, MissingDependencyError, UsageError
from edge_ovss.live.page.typed_words import (
    command_to_keep,
    is_plain,
    text_of,
    typed_words,
    warnings_of,
)
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.vocabulary import Vocabulary
from edge_ovss.words.encoding import WordSource, find_tower, with_encoded

_EXPECTED = 'Expected a JSON object like {"words": "road, car; automobile"}, or {"words": null}.'
# Seconds between two notices of progress.
_PAUSE_S = 0.25


class BusyError(UsageError):
    """Words are being encoded, so that others cannot be taken yet."""


class _StoppedError(Exception):
    """The page is closed while words are encoded."""


@dataclass(frozen=True)
class _State:
    """What viewers see besides the words.

    Attributes:
        busy: Prompts that are encoded, and how many there are; None where nothing is done.
        failed: Why the last change was not made; None if it was.
        warnings: What looks wrong with the words.
    """

    busy: tuple[int, int] | None = None
    failed: str | None = None
    warnings: tuple[str, ...] = ()


class WordDesk:
    """Takes lists of words from viewers, and gives them to the segmenter between two frames.

    New words are encoded in a thread of its own, with half of the cores. The bundle on the disk
    stays as it is.

    Args:
        segmenter: With an open bundle; its words now are "the bundle's words".
        info: The places of the bundle.

    Attributes:
        missing: What new words need and is not there; None if they can be encoded.
    """

    def __init__(self, segmenter: Segmenter, info: OpenInfo) -> None:
        self._segmenter, self._info = segmenter, info
        self._own = segmenter.bundle
        self._own_unknown = segmenter.unknown
        self.missing = _missing(self._own)
        self._state = _State()
        self._tell: Callable[[], None] = lambda: None
        self._told_s = 0.0
        self._lock, self._telling = threading.Lock(), threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def of(cls, segmenter: Segmenter) -> WordDesk | None:
        """Return it for a segmenter; None if the words are frozen into the graph."""
        info = segmenter.bundle.manifest.open
        return None if info is None else cls(segmenter, info)

    def listen(self, tell: Callable[[], None]) -> None:
        """Have `tell` called from any thread whenever `to_json` changes."""
        self._tell = tell

    @property
    def bundle(self) -> Bundle:
        """The bundle with the words that are used now."""
        return self._segmenter.bundle

    @property
    def unknown(self) -> UnknownInfo | None:
        """The thresholds that are used now."""
        return self._segmenter.unknown

    def to_json(self) -> dict[str, object]:
        """Return everything about words that the page shows."""
        state, words, own = self._state, self.bundle.vocabulary, self.bundle is self._own
        return {
            "places": self._info.places,
            "used": len(words),
            "text": text_of(words),
            "plain": is_plain(words),
            "own": own,
            "busy": None if state.busy is None else list(state.busy),
            "failed": state.failed,
            "warnings": list(state.warnings),
            "command": None if own else command_to_keep(str(self._own.path), words),
            "missing": self.missing,
        }

    def ask(self, asked: object) -> None:
        """Take a change as it comes from outside, and make it in a thread of its own.

        Args:
            asked: {"words": "road, car; automobile"}, or {"words": None} for the bundle's words.

        Raises:
            BusyError: Another change is being made.
            UsageError: It has another form, there are too many words, or no text tower.
            VocabularyError: The words cannot be used.
        """
        if not isinstance(asked, dict) or set(asked) != {"words"}:
            raise UsageError(_EXPECTED)
        given = asked["words"]
        if not isinstance(given, str | None):
            raise UsageError(_EXPECTED)
        if self.missing is not None:
            raise UsageError(self.missing)
        words = None
        if given is not None:
            known = (self._own.vocabulary, self.bundle.vocabulary)
            words = typed_words(given, self._info, known)
        self._begin(words)

    def _begin(self, words: Vocabulary | None) -> None:
        with self._lock:
            if self._state.busy is not None or self._closed.is_set():
                message = "Other words are being encoded; try again when that is done."
                raise BusyError(message)
            self._state = replace(self._state, busy=(0, 0), failed=None)
            self._thread = threading.Thread(
                target=self._change, args=(words,), name="page-words", daemon=True
            )
            self._say()
            self._thread.start()

    def _say(self) -> None:
        """Tell that something changed; what was told last is what was true last."""
        with self._telling:
            self._tell()

    def _change(self, words: Vocabulary | None) -> None:
        """Encode words and use them; whatever goes wrong is told, and the words stay."""
        state = replace(self._state, busy=None)
        try:
            bundle = self._own if words is None else self._encoded(words)
            self._use(bundle)
            warnings = () if words is None else warnings_of(words, self._own.vocabulary)
            state = _State(warnings=tuple(warnings))
        except _StoppedError:
            pass
        except EdgeOvssError as err:
            state = replace(state, failed=str(err.message))
        except Exception as err:  # of ONNX Runtime, or no memory
            state = replace(state, failed=f"The words could not be used: {str(err)[:300]}")
        finally:
            self._state = state
            self._say()

    def _encoded(self, words: Vocabulary) -> Bundle:
        threads = max(1, available_cores() // 2)
        threads = min(threads, self._segmenter.threads or threads)
        source = WordSource(threads=threads, known=self._best_known(words))
        # From the bundle's own, so that a word that comes back has the threshold it had there.
        return with_encoded(self._own, words, source, progress=self._progress)

    def _best_known(self, words: Vocabulary) -> Bundle:
        """Return which has more of the words: what is used now, or the bundle as it was opened."""
        wanted = set(words.prompts)
        return max(
            (self.bundle, self._own), key=lambda one: len(wanted & set(one.vocabulary.prompts))
        )

    def _progress(self, done: int, total: int) -> None:
        if self._closed.is_set():
            raise _StoppedError
        self._state = replace(self._state, busy=(done, total))
        if time.monotonic() >= self._told_s + _PAUSE_S:
            self._told_s = time.monotonic()
            self._say()

    def _use(self, bundle: Bundle) -> None:
        if self._closed.is_set():
            raise _StoppedError
        before = self.bundle
        if before is self._own:
            self._own_unknown = self._segmenter.unknown
        self._segmenter.use_words(bundle)
        if bundle is self._own and before is not bundle:
            self._segmenter.unknown = self._own_unknown  # those of words that were away, too

    def close(self) -> None:
        """Stop encoding and wait for the thread; the segmenter may be closed then."""
        with self._lock:
            self._closed.set()
        if self._thread is not None:
            self._thread.join()


def _missing(bundle: Bundle) -> str | None:
    """Return what new words need and is not there, and what to do."""
    try:
        for package in ("tokenizers", "ftfy"):
            require(package, extra="words")
        find_tower(bundle)
    except MissingDependencyError as err:
        return " ".join(filter(None, (err.message, err.hint)))
    except EdgeOvssError as err:
        name, path = bundle.manifest.model.name, shlex.quote(str(bundle.path))
        return (
            f"{err.message} Where torch is, edge-ovss vocab tower --model {name} "
            f"--out {name}.tower makes it, with the checkpoint of the export; put it beside the "
            "bundle and start again. "
            f"Without one, edge-ovss words {path} --embeddings PACK changes the bundle on the disk."
        )
    return None
