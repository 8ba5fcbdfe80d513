"""A bundle: a folder with a frozen graph, its words, and proof of what is in it (docs/bundle.md).

A bundle may come from anywhere, so nothing in it is believed: names must stay inside the folder,
only listed files are read, every listed file has the size and sha256 that the manifest says, and
manifest, vocabulary, graph and reference answer must fit together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from edge_ovss._strict_parsing import DocumentError, read_json
from edge_ovss.bundle.contract import Arrays
from edge_ovss.bundle.graph_check import check_graph
from edge_ovss.bundle.hashes.comparing import COPY_AGAIN as _COPY_AGAIN
from edge_ovss.bundle.hashes.comparing import LateHashes, check_hashes
from edge_ovss.bundle.hashes.comparing import unreadable as _unreadable
from edge_ovss.bundle.manifest import Manifest, now
from edge_ovss.bundle.npy import MOST_BYTES as REFERENCE_LIMIT
from edge_ovss.bundle.npy import read_array
from edge_ovss.bundle.onnx_reader.file import GraphFile, read_graph
from edge_ovss.bundle.onnx_reader.metadata import check_metadata
from edge_ovss.bundle.reference import Reference, check_reference, load_reference
from edge_ovss.bundle.replacement import moved_aside
from edge_ovss.bundle.unknown import Target, for_other_words
from edge_ovss.bundle.words.inputs import Floats, check_text, read_words, word_inputs
from edge_ovss.bundle.words.section import MADE_HERE, check_room, require_open
from edge_ovss.errors import BundleError, VocabularyError
from edge_ovss.vocabulary import Vocabulary

MANIFEST = "manifest.json"
MANIFEST_LIMIT = 16 << 20
VOCABULARY_LIMIT = 16 << 20
GRAPH_LIMIT = 16 << 20
"""Of an ONNX file, whose large tensors stand in a file of their own."""

BUNDLE_LIMIT = 6 << 30
_LONGEST_NAME = 255  # bytes, of a file or folder: what common file systems hold
_LONGEST_PATH = 1024
ENGINES = "engines"
UNLISTED_FOLDERS = (ENGINES, "reports", "text_tower")

_NOT_TRUSTED = "Do not use this bundle unless you know who wrote it; export it again."


@dataclass(frozen=True)
class Bundle:
    """An opened bundle.

    Attributes:
        path: The folder, absolute.
        manifest: What the bundle says about itself.
        vocabulary: Its words; `outputs` are the K names that labels index.
        graph: What the ONNX file says about itself.
        text: Embeddings of the words, float32 [T, P, D]; None where they are frozen.
        others: What the "spare" and the "small" graph say about themselves.
    """

    path: Path
    manifest: Manifest
    vocabulary: Vocabulary
    graph: GraphFile
    text: Floats | None = field(default=None, repr=False, compare=False)
    others: Mapping[str, GraphFile] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        verify: bool = True,
        late: LateHashes | None = None,
    ) -> Bundle:
        """Read and check a bundle.

        Args:
            path: The folder.
            verify: Compare the sha256 of every listed file; False leaves only the sizes.
            late: Hashes the weights while this goes on, and tells when they are compared.

        Raises:
            BundleError: It is no bundle, is damaged, points outside, is too new, or its parts
                contradict each other.
            ArtifactError: Its graph is none that edge-ovss writes.
        """
        folder = Path(path).expanduser().absolute()
        return cls.of_manifest(folder, read_manifest(folder), verify=verify, late=late)

    @classmethod
    def of_manifest(
        cls, folder: Path, manifest: Manifest, *, verify: bool, late: LateHashes | None = None
    ) -> Bundle:
        """Read and check a bundle as `open` does, by a manifest that need not be the one in it."""
        _check_names(manifest)
        _check_limits(manifest)
        _check_sizes(folder, manifest)
        if verify:
            paths = {name: resolve_inside(folder, name) for name in manifest.files}
            check_hashes(manifest, paths, late)
        vocabulary = _read_vocabulary(folder, manifest)
        text = _read_text(folder, manifest)
        check_reference(manifest, folder)
        graph = _read_graph(folder, manifest, vocabulary)
        others = {what: manifest.with_other_graph(what) for what in ("spare", "small")}
        read = {
            what: _read_graph(folder, other, vocabulary)
            for what, other in others.items()
            if other is not None
        }
        return cls(folder, manifest, vocabulary, graph, text, read)

    def file(self, name: str) -> Path:
        """Return the path of a file or folder `name` (relative, POSIX) of this bundle.

        Raises:
            BundleError: The name, or the link it is, leaves the bundle.
        """
        return resolve_inside(self.path, name)

    @property
    def graph_path(self) -> Path:
        """Where the ONNX file is."""
        return self.file(self.manifest.graph.file)

    @property
    def has_words_of_disk(self) -> bool:
        """Whether the words are those in the folder, which the reference answer is of."""
        read = self.manifest.document.get("vocabulary")
        return not isinstance(read, dict) or read.get("sha256") == self.manifest.vocabulary.sha256

    def word_inputs(self, *, rows: int | None = None) -> Arrays | None:
        """Return `text` and `places` for the graph; None where the words are frozen.

        Args:
            rows: As many as the graph shall see; None for as few as it takes.
        """
        info = self.manifest.open
        if info is None or self.text is None:
            return None
        count = info.rows(len(self.text)) if rows is None else rows
        return word_inputs(info, self.text, self.vocabulary.output_map, rows=count)

    def with_words(
        self, vocabulary: Vocabulary, text: Floats, rounded: Mapping[str, str] | None = None
    ) -> Bundle:
        """Return an open bundle with other words; what is on the disk stays as it is.

        Thresholds go with the names of the outputs (`bundle.unknown.for_other_words`).

        Args:
            vocabulary: T words, as many as there are places or fewer.
            text: Their embeddings as the graph takes them (`words.inputs.graph_text`), float32
                [T, P, D].
            rounded: Words that a text tower with rounded weights encoded (`Manifest`).

        Raises:
            UsageError: The words are frozen into the graph, or there are too many.
            VocabularyError: The embeddings do not fit.
        """
        info = require_open(self.path.name, self.manifest.open)
        check_room(info, vocabulary)
        check_text(info, text, len(vocabulary))
        manifest = self.manifest
        words = replace(
            manifest.vocabulary,
            name=vocabulary.name,
            sha256=vocabulary.sha256,
            categories=len(vocabulary),
            outputs=len(vocabulary.outputs),
        )
        unknown = manifest.unknown
        if unknown is not None:
            old = Target(unknown, self.vocabulary.outputs, "", "", self.vocabulary.background)
            new = Target(unknown, vocabulary.outputs, "", "", vocabulary.background)
            unknown = for_other_words(old, new)
        changed = replace(info, made_by=MADE_HERE, changed=now())
        manifest = replace(
            manifest,
            vocabulary=words,
            rounded_words=rounded or None,
            unknown=unknown,
            open=changed,
        )
        return replace(self, manifest=manifest, vocabulary=vocabulary, text=text)

    def reference(self) -> Reference:
        """Read the reference frame and answer.

        Raises:
            BundleError: A file is no array of the right form.
        """
        return load_reference(self.manifest, self.path)

    def reference_frame(self) -> NDArray[np.uint8]:
        """Read the frame of the reference answer, uint8 [H, W, 3].

        Raises:
            BundleError: It is no array of the right form.
        """
        name = self.manifest.reference.frame
        return read_array(self.file(name), name, "uint8", rank=3)

    def spare(self) -> Bundle | None:
        """Return the same bundle with its spare graph, which has more slots, as its graph.

        Raises:
            BundleError: The spare graph is not what the manifest says.
        """
        return self._with_graph("spare")

    def small(self) -> Bundle | None:
        """Return the same bundle with its small graph, which has fewer slots, as its graph.

        Raises:
            BundleError: The small graph is not what the manifest says.
        """
        return self._with_graph("small")

    def _with_graph(self, what: str) -> Bundle | None:
        manifest = self.manifest.with_other_graph(what)
        if manifest is None:
            return None
        graph = self.others.get(what) or _read_graph(self.path, manifest, self.vocabulary)
        return replace(self, manifest=manifest, graph=graph, others={})


def read_manifest(folder: Path) -> Manifest:
    """Read `manifest.json` of the bundle `folder`, and nothing else of it.

    Raises:
        BundleError: The folder or its manifest is not there, is no JSON, or is too large or new.
    """
    try:
        _check_folder(folder)
    except (OSError, ValueError) as err:  # a name that no file can have
        message = f"There can be no bundle at '{folder}': {err}."
        raise BundleError(message, hint="Check the path.") from err
    return Manifest.from_json(_parse(resolve_inside(folder, MANIFEST)))


def _check_folder(folder: Path) -> None:
    if not folder.exists():
        hint = "Check the path; edge-ovss export writes a bundle."
        old = moved_aside(folder)
        if old is not None:
            hint = f"A run that was killed while it replaced it left the old one in '{old}'."
        message = f"There is no bundle at '{folder}'."
        raise BundleError(message, hint=hint)
    if not folder.is_dir():
        message = f"'{folder}' is a file; expected a bundle, which is a folder."
        raise BundleError(message, hint="Give the folder that edge-ovss export wrote.")
    if not (folder / MANIFEST).is_file():
        message = f"'{folder}' is not a bundle: it has no {MANIFEST}."
        raise BundleError(message, hint="Give the folder that edge-ovss export wrote.")


def _parse(path: Path) -> object:
    try:
        size = path.stat().st_size
        if size > MANIFEST_LIMIT:
            message = f"{MANIFEST} has {size} bytes; expected at most {MANIFEST_LIMIT}."
            raise BundleError(message, hint=_NOT_TRUSTED)
        return read_json(path, limit=MANIFEST_LIMIT)
    except OSError as err:
        raise _unreadable(MANIFEST, err) from err
    except DocumentError as err:
        message = f"{MANIFEST} is not JSON: {err}."
        raise BundleError(message, hint=_COPY_AGAIN) from err


def resolve_inside(folder: Path, name: str) -> Path:
    """Return `folder / name` after checking that it stays inside `folder`, links followed.

    Raises:
        BundleError: `name` is empty, absolute, has "..", a backslash, a drive letter or a zero
            byte, is longer than file systems allow, or is a link that leaves the folder.
    """
    parts = name.split("/")
    if {"", ".", ".."} & set(parts) or "\\" in name or ":" in name or "\0" in name:
        shown = name if len(name) <= 100 else f"{name[:100]}…"
        message = (
            f"The bundle names the path {shown!r}; expected a relative path inside the bundle."
        )
        raise BundleError(message, hint=_NOT_TRUSTED)
    if len(name) > _LONGEST_PATH or any(len(os.fsencode(part)) > _LONGEST_NAME for part in parts):
        message = f"The bundle names a file '{name[:60]}…', whose name is too long."
        raise BundleError(message, hint=_NOT_TRUSTED)
    path = folder / PurePosixPath(name)
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as err:
        message = f"'{name}' of the bundle cannot be followed: {err}."
        raise BundleError(message, hint=_NOT_TRUSTED) from err
    if not inside:
        message = f"'{name}' is a link that leaves the bundle."
        raise BundleError(message, hint=_NOT_TRUSTED)
    return path


def _check_names(manifest: Manifest) -> None:
    """Every file that the manifest refers to must be in its list of files."""
    graph = manifest.graph
    used = [graph.file, *graph.external_data, manifest.vocabulary.file, *manifest.reference.files]
    used += [each.file for each in (graph.spare, graph.small) if each is not None]
    used += [] if manifest.open is None else [manifest.open.file]
    for name in used:
        if name not in manifest.files:
            message = f"'{name}' is used by {MANIFEST} but is not in its 'files'."
            raise BundleError(message, hint="The bundle is incomplete; export it again.")


def _check_limits(manifest: Manifest) -> None:
    """Refuse files that are larger than any of their kind before one is read."""
    limits = {manifest.vocabulary.file: VOCABULARY_LIMIT, manifest.graph.file: GRAPH_LIMIT}
    limits |= dict.fromkeys(manifest.reference.files, REFERENCE_LIMIT)
    for other in (manifest.graph.spare, manifest.graph.small):
        if other is not None:
            limits[other.file] = GRAPH_LIMIT
    sizes = {name: manifest.files[name].bytes for name in limits}
    sizes["the bundle"] = sum(entry.bytes for entry in manifest.files.values())
    limits["the bundle"] = BUNDLE_LIMIT
    for name, size in sizes.items():
        if size > limits[name]:
            message = f"'{name}' has {size} bytes; expected at most {limits[name]}."
            raise BundleError(message, hint=_NOT_TRUSTED)


def _check_sizes(folder: Path, manifest: Manifest) -> None:
    for name, entry in manifest.files.items():
        path = resolve_inside(folder, name)
        if not path.is_file():
            message = f"'{name}' is missing from the bundle '{folder}'."
            raise BundleError(message, hint=_COPY_AGAIN)
        try:
            given = path.stat().st_size
        except OSError as err:
            raise _unreadable(name, err) from err
        if given != entry.bytes:
            message = f"'{name}' of the bundle has {given} bytes; the manifest says {entry.bytes}."
            raise BundleError(message, hint=_COPY_AGAIN)


def _read_vocabulary(folder: Path, manifest: Manifest) -> Vocabulary:
    info = manifest.vocabulary
    try:
        document = read_json(resolve_inside(folder, info.file), limit=VOCABULARY_LIMIT)
        vocabulary = Vocabulary.from_json(document)
    except OSError as err:
        raise _unreadable(info.file, err) from err
    except (VocabularyError, ValueError, KeyError, TypeError) as err:
        message = f"'{info.file}' of the bundle is not a vocabulary: {err}"
        raise BundleError(message, hint=_COPY_AGAIN) from err
    if vocabulary.sha256 != info.sha256:
        message = (
            f"The vocabulary of the bundle has the hash {vocabulary.sha256[:12]}…; "
            f"the manifest says {info.sha256[:12]}…."
        )
        raise BundleError(message, hint="These words are not the exported ones; export it again.")
    if vocabulary.name != info.name:
        message = f"The vocabulary is called '{vocabulary.name}'; the manifest says '{info.name}'."
        raise BundleError(message, hint=_COPY_AGAIN)
    _check_count("output names", len(vocabulary.outputs), info.outputs)
    _check_count("categories", len(vocabulary.prompts), info.categories)
    return vocabulary


def _read_text(folder: Path, manifest: Manifest) -> Floats | None:
    info = manifest.open
    if info is None:
        return None
    return read_words(resolve_inside(folder, info.file), info, manifest.vocabulary.categories)


def _check_count(what: str, given: int, expected: int) -> None:
    if given != expected:
        message = f"The vocabulary has {given} {what}; the manifest says {expected}."
        raise BundleError(message, hint=_COPY_AGAIN)


def _read_graph(folder: Path, manifest: Manifest, vocabulary: Vocabulary) -> GraphFile:
    """Read and check an ONNX file; the tensors that it keeps elsewhere must be listed."""
    info = manifest.graph
    graph, nodes = read_graph(resolve_inside(folder, info.file))
    parent = PurePosixPath(info.file).parent
    for location in graph.external_data:
        resolve_inside(folder, location)
        name = str(parent / location)
        if name not in info.external_data:
            message = f"'{info.file}' keeps tensors in '{name}', which the manifest does not list."
            raise BundleError(message, hint=_NOT_TRUSTED)
    check_graph(manifest, graph, nodes)
    check_metadata(graph.metadata, manifest, vocabulary)
    return graph
