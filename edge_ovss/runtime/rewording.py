"""Change the words of an open bundle on the disk, without torch."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._progress import CountProgress, Note, silent
from edge_ovss._safe_text import json_ready
from edge_ovss.bundle.decisive import pack_lead, rank_outputs
from edge_ovss.bundle.manifest import Manifest
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.sections import FileEntry
from edge_ovss.bundle.unknown import OFF, untuned
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
from edge_ovss.runtime.result import Result
from edge_ovss.runtime.segmenter import Segmenter, target_of
from edge_ovss.vocabulary import Vocabulary
from edge_ovss.words.encoding import WordSource, encode_words

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
    with only_writer(folder if folder.is_dir() else folder.parent):
        old = Bundle.open(folder)
        require_open(folder.name, old.manifest.open)
        vocabulary = change(old.vocabulary)
        check_room(require_open(folder.name, old.manifest.open), vocabulary)
        text = encode_words(old, vocabulary, source, progress=progress)
        new = old.with_words(vocabulary, text)
        note("making the reference answer again")
        manifest, files = _state(new)
        write_state(folder, manifest, files)
        bundle = Bundle.open(folder, verify=False)  # what is new was hashed just now
    return _reworded(old, bundle)


def undo_words(path: str | os.PathLike[str]) -> Reworded:
    """Put the words before back; doing it twice changes nothing.

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
        bundle = Bundle.of_manifest(folder, state_before(folder), verify=True)
        undo_state(folder)
    return _reworded(old, bundle)


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


def _state(bundle: Bundle) -> tuple[Manifest, dict[str, bytes]]:
    """Return the manifest of a bundle with new words, and the files that are new in it."""
    manifest, text = bundle.manifest, bundle.text
    assert manifest.open is not None
    assert text is not None
    words = words_bytes(text)
    document = json.dumps(json_ready(bundle.vocabulary.to_json()), indent=2, ensure_ascii=False)
    names = {
        "vocabulary": f"{document}\n".encode(),
        "text": words,
        **_reference_files(bundle),
    }
    digest = hashlib.sha256(b"".join(names.values())).hexdigest()[:16]
    kinds = {"vocabulary": "json", "text": "f32"}
    place = {name: f"{WORDS_FOLDER}/{digest}/{name}.{kinds.get(name, 'npy')}" for name in names}
    files = {place[name]: data for name, data in names.items()}
    reference = replace(
        manifest.reference,
        labels=place["labels"],
        alive=place["alive"],
        counts=place["counts"],
        measure=place.get("measure"),
        lead=place.get("lead"),
    )
    kept = dict(manifest.files)
    old = bundle.manifest
    for name in (old.vocabulary.file, manifest.open.file, *old.reference.files):
        if name != old.reference.frame:
            kept.pop(name, None)
    kept |= {name: _entry(data) for name, data in files.items()}
    changed = replace(
        manifest,
        vocabulary=replace(manifest.vocabulary, file=place["vocabulary"]),
        open=replace(manifest.open, file=place["text"]),
        reference=reference,
        files=dict(sorted(kept.items())),
    )
    return changed, files


def _reference_files(bundle: Bundle) -> dict[str, bytes]:
    """Return what this runtime answers for the reference frame, as files."""
    frame = bundle.reference_frame()
    with Segmenter.open(bundle, backend="onnxruntime", unknown=_off(bundle)) as segmenter:
        found = segmenter.segment(frame)
    slots = bundle.manifest.rejection.limit
    alive = found.alive
    if slots is not None:
        alive = np.full(slots[-1], -1, np.int32)
        alive[: len(found.alive)] = found.alive
    arrays: dict[str, NDArray[Any]] = {
        "labels": found.labels,
        "alive": alive,
        "counts": found.counts,
    }
    if bundle.manifest.unknown is not None:
        assert found.confidence is not None  # an open graph always gives it
        arrays["measure"] = found.confidence
    lead = _lead(bundle, found)
    if lead is not None:
        arrays["lead"] = lead
    return {name: _npy(array) for name, array in arrays.items()}


def _off(bundle: Bundle) -> str | None:
    return None if bundle.manifest.unknown is None else OFF


def _lead(bundle: Bundle, found: Result) -> NDArray[Any] | None:
    """Return how sure the labels are, uint16 [H, W]; None where the graph gives no scores."""
    if found.scores is None:
        return None
    size = (found.labels.shape[0], found.labels.shape[1])
    try:
        ranking = rank_outputs(found.scores, bundle.vocabulary.output_map, size, found.labels)
    except MissingDependencyError:  # without OpenCV every label counts
        return None
    return pack_lead(ranking.lead)


def _npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
    return stream.getvalue()


def _entry(data: bytes) -> FileEntry:
    return FileEntry(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
