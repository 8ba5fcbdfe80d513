"""Frames in, label maps out: the one class that most programs need."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.contract import Arrays
from edge_ovss.bundle.hashes.comparing import LateHashes
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.unknown import (
    OFF,
    Given,
    Target,
    Thresholds,
    UnknownInfo,
    for_other_words,
)
from edge_ovss.errors import UsageError
from edge_ovss.runtime.backends import compute_precision, create_backend
from edge_ovss.runtime.backends.base import Backend
from edge_ovss.runtime.graph_choice import GraphChoice
from edge_ovss.runtime.overflow import KEEP, RERUN, WARN
from edge_ovss.runtime.result import Result, check_frame
from edge_ovss.vocabulary import Vocabulary


class Segmenter:
    """Segments frames with a bundle; use it as a context manager or call `close`.

    Use one per thread; but words may be changed from another thread, between two frames.
    `unknown` says with which thresholds it segments; None where the graph takes none.

        with Segmenter.open("city.ovss") as segmenter:
            result = segmenter.segment(frame)
            print(result.shares())
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: Backend | GraphChoice,
        spare: Backend | None = None,
        *,
        unknown: UnknownInfo | None = None,
    ) -> None:
        self.bundle = bundle
        self.unknown = unknown or bundle.manifest.unknown
        self._graphs = backend if isinstance(backend, GraphChoice) else GraphChoice(backend)
        self._spare = spare
        self._turn = threading.Lock()

    @classmethod
    def open(
        cls,
        bundle: Bundle | str | os.PathLike[str],
        *,
        backend: str = "auto",
        threads: int | None = None,
        verify: bool = True,
        on_overflow: str = KEEP,
        unknown: Given | None = None,
        auto_build: bool = False,
    ) -> Segmenter:
        """Open a bundle on a backend.

        Args:
            bundle: A folder, or a bundle that is already open.
            backend: A registered name, or "auto" for the first that is usable.
            threads: CPU threads; None means the cores that this process may use.
            verify: Verify the sha256 of every file; with False only the sizes.
            on_overflow: What to do when more categories pass the threshold than there are slots:
                "keep" the result, which says so, or "rerun" the frame with the bundle's spare
                graph, which is loaded on the first such frame and takes additional memory.
            unknown: When a label is "unknown": "off", "auto", a threshold for all outputs, one for
                each by name or in order, or a file of `eval --tune-unknown`; None for what the
                bundle says.
            auto_build: Build an engine when a frame comes for which there is none, which takes
                seconds to minutes; a warning is logged. Only for backends that use engines.

        Raises:
            BundleError: The bundle is damaged, or too new.
            UsageError: There is no such backend, no spare graph to rerun frames with, or a
                threshold is wrong.
            InputError: The file of thresholds cannot be used.
            MissingDependencyError: Something that the backend needs is missing.
            ArtifactError: The backend cannot load the graph.
        """
        with LateHashes() as late:
            opened = _opened(bundle, verify=verify, late=late)
            spare = _spare(opened, backend, threads) if _wants_rerun(on_overflow) else None
            chosen = choose_unknown(opened, unknown)  # refused before a graph is loaded
            graphs = GraphChoice.create(backend, opened, threads=threads)
            if auto_build:
                graphs.first.allow_builds()
            _load(graphs, late)
        return cls(opened, graphs, spare, unknown=chosen)

    @property
    def _backend(self) -> Backend:
        """The backend of the graph that runs."""
        return self._graphs.running

    @property
    def names(self) -> tuple[str, ...]:
        """The K output names that labels index."""
        return tuple(self.bundle.vocabulary.outputs)

    @property
    def palette(self) -> NDArray[np.uint8]:
        """The color by output, uint8 [K, 3], RGB."""
        return np.asarray(self.bundle.vocabulary.palette, dtype=np.uint8)

    @property
    def backend(self) -> str:
        """The registered name of the backend."""
        return self._backend.name

    @property
    def precision(self) -> str:
        """The precision in which labels are computed: the graph's, or less if the backend does."""
        return compute_precision(self.backend, self.bundle.manifest.precision)

    @property
    def builds(self) -> bool:
        """Whether missing engines are built when a frame needs them."""
        return self._backend.builds

    @property
    def threads(self) -> int | None:
        """The requested number of CPU threads; None means the cores that this process may use."""
        return self._backend.threads

    def thresholds(self, unknown: Given | None = None) -> Thresholds | None:
        """Return below what a label is unknown, float32 [K]; None where the graph takes none.

        Args:
            unknown: As for `segment`.

        Raises:
            UsageError, InputError: A threshold is wrong.
        """
        chosen = self.unknown if unknown is None else choose_unknown(self.bundle, unknown)
        return None if chosen is None else chosen.of(len(self.names))

    def segment(self, frame: NDArray[np.uint8], *, unknown: Given | None = None) -> Result:
        """Segment one frame.

        Args:
            frame: uint8 [H, W, 3], RGB, any H and W of at least 1; copied if not C-contiguous.
            unknown: When a label of this frame is "unknown", as for `open`; None for what `open`
                was told.

        Raises:
            PictureError: The frame has the wrong form.
            ArtifactError: The graph fails, or memory runs out.
            UsageError, InputError: A threshold is wrong.
        """
        start = time.perf_counter()
        batch = check_frame(frame)[np.newaxis]
        with self._turn:
            return self._segment(batch, unknown, start)

    def set_words(
        self,
        words: Vocabulary | str | os.PathLike[str] | None,
        *,
        embeddings: str | os.PathLike[str] | None = None,
        tower: str | os.PathLike[str] | None = None,
    ) -> None:
        """Segment with other words, from the next frame on; the bundle on the disk stays.

        It may be called from another thread. New words are encoded before, while frames go on.

        Args:
            words: A vocabulary, or what `Vocabulary.load` takes, or a single word; None for the
                words of the embedding pack.
            embeddings: An embedding pack of these words, instead of a text tower.
            tower: Folder of the text tower; None looks in the bundle, beside it and in the cache.

        Raises:
            UsageError: The bundle is not open, there are too many words or none, or no text tower.
            VocabularyError: The words, or the pack, cannot be used.
            ArtifactError: The text tower is damaged, or the graph that they need cannot be loaded.
            MissingDependencyError: `tokenizers` is not installed, and words must be encoded.
        """
        # The text tower's packages are needed by those alone who change words.
        from edge_ovss.words.editing import read_words
        from edge_ovss.words.encoding import WordSource, with_encoded, words_of_pack

        bundle, source = self.bundle, WordSource(embeddings, tower, self.threads)
        if isinstance(words, Vocabulary):
            chosen = words
        elif words is not None:
            chosen = read_words(words)
        elif embeddings is not None:
            chosen = words_of_pack(bundle, embeddings)
        else:
            message = "set_words has neither words nor embeddings; expected one of them."
            raise UsageError(message)
        self.use_words(with_encoded(bundle, chosen, source))

    def use_words(self, bundle: Bundle) -> None:
        """Go on with the words of `bundle`, from the next frame on.

        Args:
            bundle: The same bundle with other words (`Bundle.with_words`).

        Raises:
            BundleError, ArtifactError: These words need another graph of the bundle, and it cannot
                be loaded; the words before are used then.
        """
        # Graphs are loaded before: a frame need not wait for that, and an error changes nothing.
        spare = None if self._spare is None else bundle.spare()
        prepared = self._graphs.prepare(bundle)
        with self._turn:
            self._graphs.use(prepared)
            if self.unknown == self.bundle.manifest.unknown or self.unknown is None:
                self.unknown = bundle.manifest.unknown
            else:
                old, new = target_of(self.bundle, self.unknown), target_of(bundle, self.unknown)
                self.unknown = for_other_words(old, new)
            self.bundle = bundle
            if self._spare is not None and spare is not None:
                self._spare.use_words(spare)

    def _segment(self, batch: NDArray[np.uint8], unknown: Given | None, start: float) -> Result:
        """Segment uint8 [1, H, W, 3]; `start` is when the call began."""
        start += self._prepare(batch.shape[1], batch.shape[2])
        limits = self.thresholds(unknown)
        ready = time.perf_counter()
        result = self._run(self._backend, batch, limits)
        if result.overflow and self._spare is not None:
            again = self._run(self._spare.open(), batch, limits)
            timings = {k: v + again.timings[k] for k, v in result.timings.items()}
            result = replace(again, timings=timings, reran=True)
        end = time.perf_counter()
        pre, total = 1e3 * (ready - start), 1e3 * (end - start)
        return replace(result, timings={"pre": pre, **result.timings, "total": total})

    def _prepare(self, height: int, width: int) -> float:
        """Let the backend build what it lacks; return how many seconds are no part of a frame's."""
        start = time.perf_counter()
        self._backend.prepare((height, width))
        return time.perf_counter() - start

    def _run(self, backend: Backend, batch: NDArray[np.uint8], limits: Thresholds | None) -> Result:
        """Run one graph on uint8 [1, H, W, 3]; "pre" and "total" are not in the timings yet."""
        ready = time.perf_counter()
        answer = backend.infer(batch, limits)
        done = time.perf_counter()
        arrays = _unpack(answer, len(self.bundle.vocabulary))
        timings = {"infer": 1e3 * (done - ready), "post": 1e3 * (time.perf_counter() - done)}
        if backend.device_ms is not None:
            timings["device"] = backend.device_ms
        # Nothing overflows the small graph: the limit is that of the first, whichever runs.
        limits_of = backend.bundle if backend is self._spare else self.bundle
        slots = limits_of.manifest.rejection.limit
        return Result(
            names=self.names, slots=slots, timings=timings, palette=self.palette, **arrays
        )

    def close(self) -> None:
        """Free the backend; calling it twice does no harm."""
        self._graphs.close()
        if self._spare is not None:
            self._spare.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def choose_unknown(bundle: Bundle, given: Given | None) -> UnknownInfo | None:
    """Return the thresholds to segment with; None where the graph takes none.

    Args:
        bundle: The bundle.
        given: What a user said; None for what the bundle says.

    Raises:
        UsageError: A threshold is wrong, or the graph takes none and there shall be some.
        InputError: The file of thresholds cannot be used.
    """
    info = bundle.manifest.unknown
    if info is None and given not in (None, OFF):
        message = f"Bundle '{bundle.path.name}' was exported before labels could be unknown."
        raise UsageError(message, hint="Export it again, or drop --unknown.")
    return info if info is None or given is None else target_of(bundle, info).choose(given)


def target_of(bundle: Bundle, info: UnknownInfo) -> Target:
    """Return what thresholds of a bundle are for."""
    words = bundle.vocabulary
    model = bundle.manifest.model.name
    return Target(info, words.outputs, words.sha256, model, words.background)


def _opened(bundle: Bundle | str | os.PathLike[str], *, verify: bool, late: LateHashes) -> Bundle:
    if isinstance(bundle, Bundle):
        return bundle
    return Bundle.open(bundle, verify=verify, late=late)


def _load(graphs: GraphChoice, late: LateHashes) -> None:
    """Load the graph; nothing is open at the end unless its weights are the listed ones."""
    if not graphs.running.only_loads:
        late.wait()
    graphs.open()
    try:
        late.wait()
    except BaseException:
        graphs.close()
        raise


def _wants_rerun(on_overflow: str) -> bool:
    if on_overflow not in (KEEP, WARN, RERUN):
        message = f"on_overflow is '{on_overflow}'; expected '{KEEP}' or '{RERUN}'."
        raise UsageError(message)
    return on_overflow == RERUN


def _spare(bundle: Bundle, backend: str, threads: int | None) -> Backend | None:
    """Return a backend for the spare graph, not yet opened; None if nothing can overflow."""
    if bundle.manifest.rejection.mode != "slots":
        return None
    roomy = bundle.spare()
    if roomy is None:
        message = f"Bundle '{bundle.path.name}' has no spare graph to rerun frames with."
        hint = "Export it again with --spare-slots all, or with more --slots."
        raise UsageError(message, hint=hint)
    found = create_backend(backend, roomy, threads=threads)
    if not found.any_graph:
        message = f"Backend '{found.name}' reads only the first graph of a bundle."
        raise UsageError(message, hint="Rerun with another backend, such as onnxruntime.")
    return found


def _unpack(answer: Arrays, words: int) -> dict[str, Any]:
    """Remove the batch axis, the empty slots, and the scores of empty places."""
    alive = answer["alive"]
    arrays: dict[str, Any] = {
        "labels": answer["labels"][0],
        "alive": alive[alive >= 0],
        "counts": answer["counts"],
    }
    if "confidence" in answer:
        arrays["confidence"] = answer["confidence"][0]
    if "scores" in answer:
        scores = answer["scores"]
        arrays["scores"] = (scores[0] if scores.ndim == 4 else scores)[:words]
    return arrays
