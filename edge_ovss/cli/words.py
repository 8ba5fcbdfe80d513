"""Run `edge-ovss words`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.words.section import require_open
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.cli.shared.vocabulary import warn_of_words
from edge_ovss.cli.words_ranges import RangesReport, compare_ranges, require_float
from edge_ovss.errors import UsageError
from edge_ovss.frames.source_kinds import refuse_live
from edge_ovss.frames.sources import open_source
from edge_ovss.runtime.rewording import Reworded, change_words, undo_words
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.vocabulary import Vocabulary
from edge_ovss.vocabulary.embeddings import TOWER_WEIGHTS
from edge_ovss.vocabulary.words import short
from edge_ovss.words.editing import add_words, read_words, remove_words
from edge_ovss.words.encoding import WordSource, find_tower, words_of_pack
from edge_ovss.words.tower_folder import read_facts

_CHANGES = ("set_to", "add", "remove", "undo")


def run(args: argparse.Namespace, console: Console) -> int:
    """List the words, or change them and say what that means for the rest of the bundle."""
    changes = [name for name in _CHANGES if getattr(args, name) not in (None, False)]
    if len(changes) > 1 or (changes and args.action):
        message = "More than one of list, --set, --add, --remove and --undo is given."
        raise UsageError(message, hint="Give one of them.")
    if args.embeddings and changes in (["remove"], ["undo"]):
        message = f"--embeddings is given with --{changes[0]}, which needs none."
        raise UsageError(message, hint="Leave it out.")
    if args.calibration:
        refuse_live(args.calibration, "Calibration images")
        open_source(args.calibration)  # a mistake is said before anything changes
    _check_float(args)
    if not changes and args.embeddings is None:
        return _list(args, console)
    found = undo_words(args.bundle) if args.undo else _change(args, console)
    _print(args, console, found)
    return 0


def _check_float(args: argparse.Namespace) -> None:
    if args.float32 is None:
        return
    if not args.calibration:
        message = "--float is given without images to compare on."
        raise UsageError(message, hint="Give --calibration SOURCE too.")
    require_float(Bundle.open(args.bundle, verify=False), Bundle.open(args.float32, verify=False))


def _list(args: argparse.Namespace, console: Console) -> int:
    bundle = Bundle.open(args.bundle)
    info = require_open(bundle.path.name, bundle.manifest.open)
    words = bundle.vocabulary
    lines = [f"{len(words)} words of {info.places} places, '{words.name}'"]
    rows, rounded = [], bundle.manifest.rounded_words or {}
    for index, each in enumerate(words.categories):
        output, weights = words.outputs[each.output], rounded.get(each.text, TOWER_WEIGHTS[0])
        facts = {"output": output, "tower_weights": weights}
        rows.append({"text": each.text, "synonyms": list(each.synonyms), **facts})
        line = f"{index:>5}  {each.text}" + ("" if output == each.text else f"  -> {output}")
        lines.append(line + (f"  ({weights} weights)" if each.text in rounded else ""))
    made = "the export" if info.is_export else f"a change of words, {info.changed}"
    lines.append(f"the reference answer was made by {made}")
    said, tower = _tower(args, bundle)
    lines.append(said)
    measured = _measure(args, console, bundle)
    lines += _overflow(bundle, measured) if measured.overflow else []
    lines += [] if measured.ranges is None else [measured.ranges.text]
    document = {"bundle": str(args.bundle), "places": info.places, "words": rows}
    document |= {"made_by": info.made_by, "text_tower": tower, **measured.to_json()}
    console.result("\n".join(lines), document)
    return 0


def _tower(args: argparse.Namespace, bundle: Bundle) -> tuple[str, dict[str, object] | None]:
    """Describe the text tower that would encode new words; None where there is none."""
    try:
        folder = find_tower(bundle, args.tower)
    except UsageError:
        return "there is no text tower for new words", None
    info = read_facts(folder)
    return f"text tower {folder}: {info.summary}", {"folder": str(folder), **info.to_json()}


def _change(args: argparse.Namespace, console: Console) -> Reworded:
    source = WordSource(args.embeddings, args.tower, args.threads)

    def change(old: Vocabulary) -> Vocabulary:
        new = _wanted(args)(old)
        warn_of_words(new, console, known=old.prompts)
        return new

    return change_words(
        args.bundle, change, source, note=console.note, progress=console.counter("prompts")
    )


def _wanted(args: argparse.Namespace) -> Callable[[Vocabulary], Vocabulary]:
    """Return the change that was asked for."""
    if args.set_to is not None:
        words = read_words(args.set_to)
        return lambda _: words
    if args.add is not None:
        added = [read_words(given) for given in args.add]
        return lambda old: reduce(add_words, added, old)
    if args.remove is not None:
        names = [name.strip() for name in ",".join(args.remove).split(",")]
        return lambda old: remove_words(old, names)
    bundle = Bundle.open(args.bundle, verify=False)
    of_pack = words_of_pack(bundle, args.embeddings)
    return lambda _: of_pack


def _print(args: argparse.Namespace, console: Console, found: Reworded) -> None:
    bundle = found.bundle
    words, info = bundle.vocabulary, require_open("", bundle.manifest.open)
    measured = _measure(args, console, bundle)
    meanings = _meanings(found, measured)
    for text in meanings:
        console.note(text)
    document: dict[str, Any] = {
        "bundle": str(args.bundle),
        "words": list(words.prompts),
        "places": info.places,
        "added": list(found.added),
        "removed": list(found.removed),
        "untuned": list(found.untuned),
        "notes": meanings,
        **measured.to_json(),
    }
    text = (
        f"{args.bundle}: {len(words)} words of {info.places} places; {len(found.added)} added, "
        f"{len(found.removed)} removed"
    )
    console.result(text, document)
    console.note(next_step("run", args.bundle, "IMAGE"))


@dataclass(frozen=True)
class _Measured:
    """What was measured on the images given, with the words of a bundle.

    Attributes:
        overflow: How many images overflow the slots, and how many there are.
        ranges: What the INT8 ranges cost.
    """

    overflow: tuple[int, int] | None = None
    ranges: RangesReport | None = None

    def to_json(self) -> dict[str, object]:
        """Return what there is, by name."""
        found: dict[str, object] = {}
        if self.overflow is not None:
            found["overflow"] = {"frames": self.overflow[1], "overflowed": self.overflow[0]}
        if self.ranges is not None:
            found["int8"] = self.ranges.to_json()
        return found


def _measure(args: argparse.Namespace, console: Console, bundle: Bundle) -> _Measured:
    """Count overflows and compare INT8 ranges, where images are given."""
    if not args.calibration:
        return _Measured()
    with Segmenter.open(bundle, threads=args.threads) as segmenter:
        found = [segmenter.segment(frame.image).overflow for frame in open_source(args.calibration)]
    ranges: RangesReport | None = None
    source: str = args.calibration
    if args.float32 is not None:
        float32 = Bundle.open(args.float32)
        ranges = compare_ranges(bundle, float32, source, threads=args.threads, note=console.note)
    return _Measured((sum(found), len(found)), ranges)


def _graph(found: Reworded) -> list[str]:
    """Say that another graph of the bundle runs with these words, if it does."""
    manifest = found.bundle.manifest
    most = manifest.graph.small_room
    before = manifest.vocabulary.categories - len(found.added) + len(found.removed)
    if manifest.fits_small == (before <= most):
        return []
    if manifest.fits_small:
        return [f"up to {most} words run in the bundle's small graph: frames take less time now"]
    return [f"more than {most} words do not fit the bundle's small graph: frames take longer now"]


def _meanings(found: Reworded, measured: _Measured) -> list[str]:
    """Say what other words mean for what was chosen or measured for those before."""
    manifest = found.bundle.manifest
    texts = []
    if not require_open("", manifest.open).is_export:
        texts.append("the reference answer was made again by this runtime, not by torch")
    texts += [*_rounding(found), *_overflow(found.bundle, measured), *_graph(found)]
    if measured.ranges is not None:
        texts.append(measured.ranges.text)
    elif manifest.precision == "int8":
        said = "--calibration SOURCE --float BUNDLE compares them with ranges measured anew"
        texts.append(f"the INT8 ranges were measured with other words: {said}")
    if found.untuned:
        names = ", ".join(short(name) for name in found.untuned[:5])
        texts.append(f"the threshold of 'unknown' was never tuned for {names}: it has the default")
    return texts


def _overflow(bundle: Bundle, measured: _Measured) -> list[str]:
    """Say what is known of frames that overflow the slots, where that can happen."""
    slots = bundle.manifest.rejection.limit
    if slots is None:
        return ["there are no slots, so no image can overflow them"] if measured.overflow else []
    if measured.overflow is not None:
        said = "{} of {} images overflow them with these words".format(*measured.overflow)
    elif len(bundle.vocabulary) > min(slots):
        said = "frames that need more are counted as overflow; --calibration SOURCE counts them now"
    else:
        return []
    return [f"the slots {','.join(map(str, slots))} were chosen at export: {said}"]


def _rounding(found: Reworded) -> list[str]:
    """Say which words a text tower with rounded weights encoded."""
    rounded = found.bundle.manifest.rounded_words or {}
    if not rounded:
        return []
    weights = " and ".join(sorted(set(rounded.values())))
    names = ", ".join(short(name) for name in list(rounded)[:5])
    more = f" and {len(rounded) - 5} more" if len(rounded) > 5 else ""
    return [f"a text tower with {weights} weights encoded {names}{more}: not exactly as torch does"]
