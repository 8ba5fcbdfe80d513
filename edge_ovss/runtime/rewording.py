"""Change the words of an open bundle on the disk, without torch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._files import json_bytes
from edge_ovss._progress import CountProgress, Note, silent
from edge_ovss.bundle.decisive import rank_outputs
from edge_ovss.bundle.hashes.comparing import LateHashes
from edge_ovss.bundle.manifest import Manifest
from edge_ovss.bundle.reader import Bundle, read_manifest
from edge_ovss.bundle.reference import Reference, reference_files
from edge_ovss.bundle.sections import FileEntry
from edge_ovss.bundle.unknown import OFF, for_words_before, untuned
from edge_ovss.bundle.words.inputs import words_bytes
from edge_ovss.bundle.words.section import check_room, require_open
from edge_ovss.bundle.words.state import (
    WORDS_FOLDER,
    only_writer,
    state_before,
    undo_state,
    write_state,
)
from edge_ovss.errors import MissingDependencyError
from edge_ovss.runtime.graph_choice import GraphChoice
from edge_ovss.runtime.result import Result
from edge_ovss.runtime.segmenter import Segmenter, choose_unknown, target_of
from edge_ovss.vocabulary import Vocabulary
from edge_ovss.words.encoding import WordSource, with_encoded

Change = Callable[[Vocabulary], Vocabulary]


@dataclass(frozen=True)
class Reworded:
    """A bundle with other words.

    Attributes:
        bundle: The bundle, opened.
        added: Words that it did not have.
        removed: Words that it has no longer.
        untuned: Outputs whose thresholds of "unknown" are a default, where others were tuned.
    """

    bundle: Bundle
    added: tuple[str, ...]
    removed: tuple[str, ...]
    untuned: tuple[str, ...]


def change_words(
    path: str | os.PathLike[str],
    change: Change,
    source: WordSource | None = None,
    *,
    note: Note = silent,
    progress: CountProgress | None = None,
) -> Reworded:
    """Write other words into an open bundle, whole or not at all; the state before is kept.

    The reference answer is made again, by this runtime and with the new words.

    Args:
        path: The bundle.
        change: From the words that are there to those that shall be.
        source: Where embeddings of new words come from (`words.encoding`).
        note: Called with one line of text at every step.
        progress: Called with (prompts encoded, prompts in all).

    Raises:
        UsageError: The bundle is not open, there are too many words, or no text tower is found.
        VocabularyError: The words, or the pack, cannot be used.
        BundleError, ArtifactError: The bundle or the text tower is damaged.
        OutputError: Nothing could be written, or another process is changing the bundle.
    """
    folder = Path(path).expanduser().absolute()
    with only_writer(folder if folder.is_dir() else folder.parent), LateHashes() as late:
        old = Bundle.open(folder, late=late)
        info = require_open(folder.name, old.manifest.open)
        vocabulary = change(old.vocabulary)
        check_room(info, vocabulary)
        threads = None if source is None else source.threads
        # The graph is loaded while words are encoded: on two cores that is a second less.
        with ThreadPoolExecutor(max_workers=1) as pool:
            loading = pool.submit(_open, old, threads, len(vocabulary))
            new = with_encoded(old, vocabulary, source, progress=progress)
            note("making the reference answer again")
            with loading.result() as segmenter:
                segmenter.use_words(new)
                answer = _answer(segmenter)
        manifest, files = _state(new, answer)
        late.wait()  # nothing is written beside weights that were changed
        write_state(folder, manifest, files)
        new = replace(new, manifest=read_manifest(folder))
    return _reworded(old, new)


def undo_words(path: str | os.PathLike[str]) -> Reworded:
    """Put the words before back; doing it twice changes nothing.

    Thresholds of "unknown" that were set since are kept.

    Raises:
        BundleError: There is nothing to undo, or the bundle or the state before is damaged; the
            bundle is then unchanged.
        OutputError: Nothing could be written, or another process is changing the bundle.
    """
    folder = Path(path).expanduser().absolute()
    with only_writer(folder if folder.is_dir() else folder.parent):
        old = Bundle.open(folder)
        require_open(folder.name, old.manifest.open)
        # Its files were left alone since, and may be damaged: a bundle that works stays as it is.
        before = Bundle.of_manifest(folder, state_before(folder), verify=True)
        bundle = _with_thresholds(before, old)
        undo_state(folder, None if bundle is before else bundle.manifest)
    return _reworded(old, bundle)


def _with_thresholds(before: Bundle, now: Bundle) -> Bundle:
    """Return the bundle before, with thresholds of "unknown" that were set since."""
    left, held = before.manifest.unknown, now.manifest.unknown
    if left is None or held is None:
        return before
    unknown = for_words_before(target_of(now, held), target_of(before, left))
    if unknown == left:
        return before
    return replace(before, manifest=replace(before.manifest, unknown=unknown))


def _reworded(old: Bundle, new: Bundle) -> Reworded:
    before, after = old.vocabulary.prompts, new.vocabulary.prompts
    lacking: tuple[str, ...] = ()
    info = old.manifest.unknown
    if info is not None:
        lacking = untuned(target_of(old, info), target_of(new, info))
    return Reworded(
        new,
        tuple(each for each in after if each not in before),
        tuple(each for each in before if each not in after),
        lacking,
    )


def _open(bundle: Bundle, threads: int | None, words: int) -> Segmenter:
    """Load the graph that so many words need."""
    graphs = GraphChoice.create("onnxruntime", bundle, threads=threads)
    graphs.open(words)
    return Segmenter(bundle, graphs, unknown=choose_unknown(bundle, OFF))


def _state(bundle: Bundle, reference: Reference) -> tuple[Manifest, dict[str, bytes]]:
    """Return the manifest of a bundle with new words, and the files that are new in it."""
    manifest, text = bundle.manifest, bundle.text
    assert manifest.open is not None
    assert text is not None
    answer = reference_files(reference)
    del answer["frame"]  # it stays
    names = {
        "vocabulary": json_bytes(bundle.vocabulary.to_json()),
        "text": words_bytes(text),
        **answer,
    }
    digest = hashlib.sha256(b"".join(names.values())).hexdigest()[:16]
    kinds = {"vocabulary": "json", "text": "f32"}
    place = {name: f"{WORDS_FOLDER}/{digest}/{name}.{kinds.get(name, 'npy')}" for name in names}
    files = {place[name]: data for name, data in names.items()}
    named = {manifest.vocabulary.file, manifest.open.file, *manifest.reference.files}
    gone = named - {manifest.reference.frame}
    kept = {name: entry for name, entry in manifest.files.items() if name not in gone}
    kept |= {name: _entry(data) for name, data in files.items()}
    changed = replace(
        manifest,
        vocabulary=replace(manifest.vocabulary, file=place["vocabulary"]),
        open=replace(manifest.open, file=place["text"]),
        reference=replace(
            manifest.reference,
            labels=place["labels"],
            alive=place["alive"],
            counts=place["counts"],
            measure=place.get("measure"),
            lead=place.get("lead"),
        ),
        files=dict(sorted(kept.items())),
    )
    return changed, files


def _answer(segmenter: Segmenter) -> Reference:
    """Return what this runtime answers for the reference frame."""
    bundle = segmenter.bundle
    frame = bundle.reference_frame()
    found = segmenter.segment(frame)
    slots = bundle.manifest.rejection.limit
    alive = found.alive
    if slots is not None:
        alive = np.full(slots[-1], -1, np.int32)
        alive[: len(found.alive)] = found.alive
    measure = None if bundle.manifest.unknown is None else found.confidence
    lead = _lead(bundle, found)
    return Reference(frame, found.labels, alive, found.counts, lead, measure)


def _lead(bundle: Bundle, found: Result) -> NDArray[Any] | None:
    """Return by how much the labels lead, [H, W]; None where the graph gives no scores."""
    if found.scores is None:
        return None
    size = (found.labels.shape[0], found.labels.shape[1])
    try:
        return rank_outputs(found.scores, bundle.vocabulary.output_map, size, found.labels).lead
    except MissingDependencyError:  # without OpenCV every label counts
        return None


def _entry(data: bytes) -> FileEntry:
    return FileEntry(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
