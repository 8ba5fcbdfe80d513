"""Which graph of a bundle runs: the small one while every word has a slot in it, else the first.

A graph computes all of its slots, so few words in many slots cost as much as many words. Where no
word can lack a slot, a graph with fewer slots gives the same answer in less time.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from edge_ovss.bundle.reader import Bundle
from edge_ovss.runtime.backends import create_backend
from edge_ovss.runtime.backends.base import Backend


class GraphChoice:
    """The backends of a bundle's first and small graph, each opened when words first need it.

    Args:
        first: Backend of the first graph.
        small: Backend of the small graph; None where there is none.

    Attributes:
        running: That of the two which runs frames.
    """

    def __init__(self, first: Backend, small: Backend | None = None) -> None:
        self.first, self.small = first, small
        self.running = first
        self._loading = threading.Lock()

    @classmethod
    def create(cls, backend: str, bundle: Bundle, *, threads: int | None = None) -> GraphChoice:
        """Return the choice for a bundle on a backend, with nothing opened yet.

        Raises:
            UsageError, MissingDependencyError: As `create_backend`.
            BundleError: The small graph is not what the manifest says.
        """
        first = create_backend(backend, bundle, threads=threads)
        small = bundle.small() if first.chooses_graph else None
        if small is None:
            return cls(first)
        choice = cls(first, create_backend(backend, small, threads=threads))
        choice.running, _ = choice._of(bundle)  # both have these words already
        return choice

    def open(self, words: int | None = None) -> None:
        """Load the graph that the words of the bundle need.

        Args:
            words: How many there will be before the first frame, if they are others
                (`prepare`); None for those that there are.

        Raises:
            MissingDependencyError, ArtifactError: As `Backend.open`.
        """
        backend = self.running
        if words is not None and self.small is not None:
            room = self.first.bundle.manifest.graph.small_room
            backend = self.small if words <= room else self.first
        backend.open()

    def prepare(self, bundle: Bundle) -> tuple[Backend, Bundle]:
        """Load the graph that the words of `bundle` need, while frames go on in the other.

        Args:
            bundle: The same bundle with other words.

        Returns:
            The backend, and the bundle as it takes it, for `use`.

        Raises:
            BundleError, MissingDependencyError, ArtifactError: It cannot be loaded.
        """
        backend, own = self._of(bundle)
        if backend is not self.running:
            with self._loading:
                backend.open()
        return backend, own

    def use(self, prepared: tuple[Backend, Bundle]) -> None:
        """Go on with words for which `prepare` was called, from the next frame on."""
        backend, own = prepared
        backend.use_words(own)
        self.running = backend

    def close(self) -> None:
        """Free both; calling it twice does no harm."""
        for each in (self.first, self.small):
            if each is not None:
                each.close()

    def _of(self, bundle: Bundle) -> tuple[Backend, Bundle]:
        manifest = bundle.manifest.with_other_graph("small") if bundle.manifest.fits_small else None
        if self.small is None or manifest is None:
            return self.first, bundle
        graph = self.small.bundle.graph  # which words do not change
        return self.small, replace(bundle, manifest=manifest, graph=graph)
