"""Export a model with a vocabulary as a bundle."""

from __future__ import annotations

from pathlib import Path

from edge_ovss._progress import CountProgress, Note, silent
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.writer import BundleWriter
from edge_ovss.export.bundle_draft import BundleDraft
from edge_ovss.export.family import LoadedModel
from edge_ovss.export.frozen_model import freeze_model
from edge_ovss.export.loading import load_for_export
from edge_ovss.export.options import ExportOptions
from edge_ovss.export.other_graphs import check_small, check_spare, fit_small, fit_spare
from edge_ovss.export.text_tower.tower_export import EXACT, export_text_tower, require_text_clip
from edge_ovss.export.unknown import fit_unknown
from edge_ovss.models.equal_tokens import refuse_equal_tokens
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary
from edge_ovss.words.encoding import TOWER_FOLDER
from edge_ovss.words.tower_folder import read_facts

_MEASURE = "add --slots auto --calibration DIR to measure them on your images"


def export_bundle(
    vocabulary: Vocabulary | str | Path,
    out: str | Path,
    options: ExportOptions | None = None,
    *,
    overwrite: bool = False,
    note: Note | None = None,
    progress: CountProgress | None = None,
) -> Bundle:
    """Export a model with a vocabulary, compare it with torch, and write a bundle.

    Args:
        vocabulary: A vocabulary, or what `Vocabulary.load` takes.
        out: Folder to write, usually named "NAME.ovss". It appears whole or not at all.
        options: What to export; the defaults export the embedded model.
        overwrite: Replace a bundle at `out`.
        note: Called with one line of text at every step.
        progress: Called with (prompts encoded, prompts in all).

    Returns:
        The bundle, opened.

    Raises:
        VocabularyError, CheckpointError, UsageError, InputError: The options are wrong; nothing is
            written.
        OutputError: `out` cannot be written.
        ParityError: The exported graph differs from torch, or the bundle fails its own selftest;
            nothing is written.
    """
    options = options or ExportOptions()
    note = note or silent
    if not isinstance(vocabulary, Vocabulary):
        vocabulary = Vocabulary.load(vocabulary)
    options.check()
    room = options.room(len(vocabulary))
    rejection = options.fit_rejection(room)
    check_spare(options, rejection, categories=room)
    check_small(options, rejection, words=len(vocabulary))
    unknown = fit_unknown(vocabulary, options, note)
    if options.guesses_slots(room):
        slots = ",".join(map(str, rejection.slots or ()))
        note(f"slots {slots} are not measured for this model; {_MEASURE}")
    with BundleWriter(out, overwrite=overwrite) as writer:
        loaded = load_for_export(vocabulary, options, note=note, progress=progress)
        if options.with_text_tower:
            require_text_clip(loaded.model)
        refuse_equal_tokens(vocabulary, loaded.model.spec, note)
        frozen = freeze_model(loaded, options, rejection, note)
        draft = BundleDraft(writer, frozen, outputs=options.all_outputs, unknown=unknown, note=note)
        draft.write_graph()
        if options.spare_slots is not None:
            roomy = fit_spare(options.spare_slots, frozen.graph.rejection, categories=room)
            draft.write_spare(roomy)
        few = fit_small(options, frozen.graph.rejection, words=len(vocabulary))
        if few is not None:
            draft.write_small(few)
        if options.with_text_tower:
            tower = export_text_tower(
                loaded.model,
                writer.folder / TOWER_FOLDER,
                note=note,
                weights=options.tower_weights or EXACT,
                reference=_reference(loaded, options),
            )
            note(f"text tower: {read_facts(tower).summary}")
        finished = draft.finish()
    return Bundle.open(finished, verify=False)  # every hash was compared just now


def _reference(loaded: LoadedModel, options: ExportOptions) -> TextEmbeddings | None:
    """Return the words by torch, on which rounded weights of a text tower are measured."""
    if options.tower_weights in (None, EXACT):
        return None
    if options.embeddings is None:
        return loaded.embeddings
    found: TextEmbeddings = loaded.model.encode_text(loaded.vocabulary)
    return found
