"""The words of a bundle on the disk: changed whole or not at all, with the state before kept.

The manifest names every file that counts, so that replacing it is the one step by which a bundle
changes. What it will name is written first, beside what it names now, into a folder of its own
under `words/`. A process that is killed, or a power cut, leaves the old bundle and perhaps files
that nothing names; the next change removes them. The manifest before is kept as
`words/previous.json`, with its files.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from edge_ovss._files import discard, json_bytes, make_folder, output_error, write_bytes
from edge_ovss._strict_parsing import DocumentError, read_json
from edge_ovss.bundle.manifest import VOCABULARY_FILE, Manifest
from edge_ovss.bundle.reader import MANIFEST, MANIFEST_LIMIT, read_manifest, resolve_inside
from edge_ovss.bundle.reference import reference_info
from edge_ovss.bundle.tolerances import EXACT
from edge_ovss.bundle.words.section import WORDS_FILE
from edge_ovss.errors import BundleError, OutputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

WORDS_FOLDER = "words"
PREVIOUS = f"{WORDS_FOLDER}/previous.json"

# What an export writes and a change of words writes anew.
_OF_EXPORT = (
    VOCABULARY_FILE,
    WORDS_FILE,
    *(name for name in reference_info(EXACT).files if name != reference_info(EXACT).frame),
)
_WAIT_S = 30.0
_POLL_S = 0.05


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Keep other processes from changing a bundle at the same time.

    The lock is on the folder itself and ends with the process, however that ends. On systems
    without such locks (Windows, some network file systems) nothing is locked.

    Raises:
        OutputError: Another process has been changing it for half a minute.
    """
    if fcntl is None:
        yield
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as err:
        raise output_error(folder, err) from err
    try:
        _wait_for_lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, folder: Path) -> None:
    end = time.monotonic() + _WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            if time.monotonic() > end:
                message = f"Another process is changing the bundle '{folder}'."
                raise OutputError(message, hint="Wait for it, then try again.") from err
            time.sleep(_POLL_S)
        except OSError:  # a file system without locks
            return
        else:
            return


def write_state(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Write new files, then the manifest that names them; keep the one that is there.

    Call it inside of `only_writer`.

    Args:
        folder: The bundle.
        manifest: The new one.
        files: New files by name (relative, POSIX).

    Raises:
        OutputError: They cannot be written; the bundle is then unchanged.
    """
    _forget_unnamed(folder)
    for name, data in files.items():
        path = resolve_inside(folder, name)
        make_folder(path.parent)
        write_bytes(path, data, durable=True)
    before = (folder / MANIFEST).read_bytes()
    make_folder(folder / WORDS_FOLDER)
    write_bytes(folder / PREVIOUS, before, durable=True)
    write_bytes(folder / MANIFEST, json_bytes(manifest.to_json()), durable=True)
    _forget_unnamed(folder)


def state_before(folder: Path) -> Manifest:
    """Return the manifest that `undo_state` would put back.

    Raises:
        BundleError: There is none, or it is damaged.
    """
    found = previous(folder)
    if found is None or (folder / PREVIOUS).read_bytes() == (folder / MANIFEST).read_bytes():
        message = f"The words of '{folder.name}' were not changed; there is nothing to undo."
        raise BundleError(message, hint="See the words: edge-ovss words BUNDLE list")
    return found


def undo_state(folder: Path, changed: Manifest | None = None) -> None:
    """Put the manifest before back; what was there is then the one before.

    Call it inside of `only_writer`; nothing is checked here (see `state_before`).

    Args:
        folder: The bundle.
        changed: The manifest before with something else in it; None for it as it is.

    Raises:
        OutputError: It cannot be written; the bundle is then unchanged.
    """
    current = (folder / MANIFEST).read_bytes()
    before = (folder / PREVIOUS).read_bytes()
    data = before if changed is None else json_bytes(changed.to_json())
    write_bytes(folder / MANIFEST, data, durable=True)
    write_bytes(folder / PREVIOUS, current, durable=True)


def previous(folder: Path) -> Manifest | None:
    """Return the manifest before; None where there is none.

    Raises:
        BundleError: It is damaged.
    """
    path = folder / PREVIOUS
    if not path.is_file():
        return None
    try:
        return Manifest.from_json(read_json(path, limit=MANIFEST_LIMIT))
    except (OSError, DocumentError) as err:
        message = f"'{PREVIOUS}' of the bundle cannot be read: {err}."
        hint = "The words before are lost; the bundle itself is not."
        raise BundleError(message, hint=hint) from err


def _forget_unnamed(folder: Path) -> None:
    """Remove what is of words that neither the manifest nor the one before names."""
    named: set[str] = set()
    with suppress(BundleError):
        for manifest in (read_manifest(folder), previous(folder)):
            named |= set() if manifest is None else set(manifest.files)
        kept = {PurePosixPath(name).parts[1] for name in named if name.startswith("words/")}
        root = folder / WORDS_FOLDER
        for path in root.iterdir() if root.is_dir() else ():
            if path.is_dir() and not path.is_symlink() and path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)
        for name in _OF_EXPORT:
            if name not in named:
                discard(folder / name)
