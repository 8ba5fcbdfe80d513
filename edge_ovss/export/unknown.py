"""With which thresholds of "unknown" a bundle is exported."""

from __future__ import annotations

from edge_ovss._progress import Note
from edge_ovss.bundle.unknown import AUTO, MEASURES, Target, UnknownInfo
from edge_ovss.export.options import ExportOptions
from edge_ovss.models.catalogue import entry_of
from edge_ovss.vocabulary import Vocabulary
from edge_ovss.vocabulary.builtin import is_published


def fit_unknown(vocabulary: Vocabulary, options: ExportOptions, note: Note) -> UnknownInfo:
    """Return the thresholds that are asked for or, where none are, the default.

    The default is what was measured for the model, if the words are a user's own and leave no room
    for anything else. A background is such room: what it wins is unknown. Published lists are
    scored as published.

    Args:
        vocabulary: K outputs.
        options: What to export.
        note: Called with one line if the default makes labels unknown.

    Raises:
        UsageError: A threshold is outside the range, or "auto" is not measured for the model.
        InputError: A file of thresholds cannot be read, or is for something else.
    """
    unknown = entry_of(options.model).unknown
    auto = unknown.auto.get(options.model) if options.embedded else None
    info = UnknownInfo(unknown.measure, MEASURES[unknown.measure], auto=auto)
    words = vocabulary.outputs
    target = Target(info, words, vocabulary.sha256, options.model, vocabulary.background)
    if options.unknown is not None:
        return target.choose(options.unknown)
    if is_published(vocabulary):
        return info
    if vocabulary.background is not None:
        name = words[vocabulary.background]
        note(f"pixels of '{name}' are labeled unknown; --unknown off keeps their own label")
        return target.hide_background()
    if auto is None:
        return info
    note(
        f"pixels whose best {info.measure} is below {auto:g}, as measured for {options.model}, are "
        "labeled unknown; --unknown off switches it off"
    )
    return target.choose(AUTO)
