"""Compare the sha256 of files with what a manifest says: at once, or while a graph is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from edge_ovss._files import sha256_of_file
from edge_ovss.bundle.manifest import Manifest
from edge_ovss.errors import BundleError

COPY_AGAIN = "Copy or export the bundle again."


def check_hashes(manifest: Manifest, paths: Mapping[str, Path], late: LateHashes | None) -> None:
    """Refuse files that are others than the manifest lists.

    Args:
        manifest: Of the bundle.
        paths: Of its files, by the names of the manifest.
        late: Compares the weights, which nobody interprets, beside what comes next.

    Raises:
        BundleError: One has another sha256, or cannot be read.
    """
    weights = [] if late is None else manifest.graph.external_data
    for name in sorted(paths, key=lambda name: name not in weights):
        expected = manifest.files[name].sha256
        if late is not None and name in weights:
            late.add(paths[name], name, expected)
        else:
            _check(paths[name], name, expected)


def _check(path: Path, name: str, expected: str) -> None:
    try:
        digest = sha256_of_file(path)
    except OSError as err:
        raise unreadable(name, err) from err
    if digest != expected:
        message = (
            f"'{name}' of the bundle has been changed: its sha256 is {digest[:12]}…, "
            f"the manifest says {expected[:12]}…."
        )
        raise BundleError(message, hint=COPY_AGAIN)


def unreadable(name: str, err: OSError) -> BundleError:
    """Return the error for a file that the system does not let us read."""
    message = f"'{name}' of the bundle cannot be read: {err.strerror or err}."
    return BundleError(message, hint="Check the permissions of the bundle and the disk.")


class LateHashes:
    """Files that are hashed in a thread while the block goes on; its end waits for all of them.

    Reading hundreds of MB of weights and loading them takes about as long: together they take half.
    Only for bytes that nothing interprets, such as weights, and only where nothing that the block
    makes is used before its end.

        with LateHashes() as late:
            bundle = Bundle.open(path, late=late)
            ...  # load it
        # all files are those that the manifest lists
    """

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._found: list[Future[None]] = []

    def add(self, path: Path, name: str, expected: str) -> None:
        """Begin to compare the file `path`, which the manifest calls `name`, with its sha256."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="edge-ovss-hashes")
        self._found.append(self._thread.submit(_check, path, name, expected))

    def wait(self) -> None:
        """Wait until all are compared.

        Raises:
            BundleError: One has been changed, or cannot be read.
        """
        try:
            for each in self._found:
                each.result()
        finally:
            self._stop()

    def _stop(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
        self._thread, self._found = None, []

    def __enter__(self) -> LateHashes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del kind, trace
        if err is None:
            self.wait()
        elif isinstance(err, Exception):
            self._explain(err)
        else:  # someone wants to stop
            self._stop()

    def _explain(self, err: Exception) -> None:
        """Say that a file was changed, where something failed that may be due to it."""
        try:
            self.wait()
        except BundleError as changed:
            raise changed from err
        return None
