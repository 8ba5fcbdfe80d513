"""When a label is "unknown": thresholds by output, in the manifest, in files and as given by users.

A graph with the input `thresholds` compares what it measures of the best output of a pixel with
that output's threshold. Below it the label is `contract.UNKNOWN`. At the lowest value of the
measure nothing is below, so that thresholds of 0 switch it off.

The C++ library reads the same section (runtime/src/manifest.cpp).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edge_ovss._strict_parsing import DocumentError, read_json
from edge_ovss.bundle.json_fields import Fields, is_finite
from edge_ovss.errors import InputError, UsageError

MEASURES: dict[str, tuple[float, float]] = {"score": (0.0, 1.0)}
"""What thresholds are compared with, and its lowest and highest value."""

OFF, AUTO, NUMBER, FILE, EACH = "off", "auto", "number", "file", "each"
BACKGROUND = "background"
SOURCES = (OFF, AUTO, NUMBER, FILE, EACH, BACKGROUND)

FILE_SCHEMA = 1
ALL_OTHERS = "*"

Thresholds = NDArray[np.float32]
Facts = Mapping[str, object]
Given = str | os.PathLike[str] | float | Mapping[str, float] | Sequence[float] | NDArray[Any]
"""What a user may say: "off", "auto", a number, a file, or numbers by name or by output."""

_TRY_AGAIN = "Give 'off', 'auto', a number, or a file that eval --tune-unknown wrote."


@dataclass(frozen=True)
class UnknownInfo:
    """The manifest's section `unknown`.

    Attributes:
        measure: What the graph compares with the thresholds; "score" is the best output's score.
        range: Its lowest and highest value.
        thresholds: One for all outputs, or one for each of them.
        source: Where they came from; one of `SOURCES`.
        auto: The family's measured threshold; None where none is.
        tuned: How they were found, where a file said so.
    """

    measure: str = "score"
    range: tuple[float, float] = (0.0, 1.0)
    thresholds: tuple[float, ...] = (0.0,)
    source: str = OFF
    auto: float | None = None
    tuned: Facts | None = None

    @property
    def is_off(self) -> bool:
        """Whether no label can be unknown."""
        return max(self.thresholds) <= self.range[0]

    @property
    def summary(self) -> str:
        """The thresholds in words, such as "unknown where the score is below 0.2 (auto)"."""
        if self.is_off:
            return "never unknown"
        low, high = min(self.thresholds), max(self.thresholds)
        if self.source == BACKGROUND:
            return "unknown where the background is the best"
        span = f"{low:g}" if low == high else f"{low:g} to {high:g}, by output"
        return f"unknown where the {self.measure} is below {span} ({self.source})"

    def of(self, outputs: int) -> Thresholds:
        """Return the threshold of each output, float32 [K]."""
        thresholds: Thresholds = np.empty(outputs, np.float32)
        thresholds[:] = self.thresholds
        return thresholds


def read_unknown(fields: Fields | None, outputs: int) -> UnknownInfo | None:
    """Read the manifest's section; None where the graph has no thresholds.

    Raises:
        BundleError: A field is missing or of the wrong type, or a threshold is outside the range.
    """
    if fields is None:
        return None
    low, high = _read_range(fields)
    thresholds = fields.values.get("thresholds")
    if (
        not isinstance(thresholds, list)
        or len(thresholds) not in (1, outputs)
        or not all(_is_within(each, low, high) for each in thresholds)
    ):
        many = "one number" if outputs == 1 else f"one number, or {outputs},"
        fields.refuse("thresholds", f"a list of {many} from {low:g} to {high:g}")
    auto = fields.optional_number("auto")
    if auto is not None and not low <= auto <= high:
        fields.refuse("auto", f"a number from {low:g} to {high:g}")
    tuned = fields.values.get("tuned")
    return UnknownInfo(
        measure=fields.text("measure"),
        range=(low, high),
        thresholds=tuple(map(float, thresholds)),
        source=fields.text("source"),
        auto=auto,
        tuned=tuned if isinstance(tuned, dict) else None,
    )


def _read_range(fields: Fields) -> tuple[float, float]:
    ends = fields.values.get("range")
    if (
        not isinstance(ends, list)
        or len(ends) != 2
        or not all(map(is_finite, ends))
        or not 0.0 <= ends[0] < ends[1]
    ):
        fields.refuse("range", "a list of the lowest and the highest value, from 0 on")
    return float(ends[0]), float(ends[1])


@dataclass(frozen=True)
class Target:
    """What thresholds are for.

    Attributes:
        info: What its graph compares; thresholds that are there are the default.
        names: The K outputs.
        vocabulary_sha256: Hash of its vocabulary.
        model: Name of its model.
        background: The output that means "none of the words", if there is one. What it wins is
            unknown whatever its score is, unless "off" or its own threshold is given.
    """

    info: UnknownInfo
    names: Sequence[str]
    vocabulary_sha256: str
    model: str
    background: int | None = None

    def choose(self, given: Given) -> UnknownInfo:
        """Return the section with the thresholds that a user gave.

        Raises:
            UsageError: There are too many or too few, one is outside the range, or "auto" is asked
                for and not measured.
            InputError: The file cannot be read, or is for something else.
        """
        if isinstance(given, str) and given.strip().lower() == OFF:
            return self._section([self.info.range[0]], OFF)
        if isinstance(given, str) and given.strip().lower() == AUTO:
            return self._section(self._for_words(self._auto()), AUTO)
        number = _as_number(given)
        if number is not None:  # the lowest one switches everything off
            off = number == self.info.range[0]
            return self._section([number] if off else self._for_words(number), NUMBER)
        if isinstance(given, str | os.PathLike):
            return self._from_file(Path(given))
        if isinstance(given, Mapping):
            return self._section(self._by_name(given, UsageError), EACH)
        return self._section(self._by_output(given), EACH)

    def hide_background(self) -> UnknownInfo:
        """Return the section by which nothing but the background is unknown."""
        return self._section(self._for_words(self.info.range[0]), BACKGROUND)

    def _for_words(self, threshold: float) -> list[float]:
        """Return one threshold for all, and the highest one for the background."""
        if self.background is None:
            return [threshold]
        thresholds = [threshold] * len(self.names)
        thresholds[self.background] = self.info.range[1]
        return thresholds

    def _auto(self) -> float:
        if self.info.auto is None:
            message = f"--unknown is 'auto', but no threshold was measured for '{self.model}'."
            raise UsageError(message, hint="Give a number, or a file of eval --tune-unknown.")
        return self.info.auto

    def _section(
        self, thresholds: Iterable[float], source: str, tuned: Facts | None = None
    ) -> UnknownInfo:
        """Check the range, and write equal thresholds once."""
        numbers = [float(each) for each in thresholds]
        low, high = self.info.range
        for place, number in enumerate(numbers):
            if not low <= number <= high:
                whose = f" for '{self.names[place]}'" if len(numbers) > 1 else ""
                message = (
                    f"--unknown is {number:g}{whose}; expected a number from {low:g} to {high:g}, "
                    f"as '{self.info.measure}' has."
                )
                raise UsageError(message, hint=f"{low:g} switches it off.")
        short = numbers[:1] if len(set(numbers)) == 1 else numbers
        return replace(self.info, thresholds=tuple(short), source=source, tuned=tuned)

    def _by_output(self, given: object) -> list[float]:
        try:
            array = np.asarray(given, np.float64)
        except (TypeError, ValueError, OverflowError):
            array = np.empty(0)
        if array.shape != (len(self.names),):
            message = f"--unknown has the shape {array.shape}; expected one number for each output."
            raise UsageError(message, hint=f"There are {len(self.names)} outputs.")
        return [float(number) for number in array]

    def _by_name(
        self, given: Mapping[str, Any], error: type[UsageError | InputError]
    ) -> list[float]:
        """Return one threshold for each output; "*" stands for those that are not named."""
        strange = [name for name in given if name not in (*self.names, ALL_OTHERS)]
        needed = [name for place, name in enumerate(self.names) if place != self.background]
        missing = [name for name in needed if name not in given and ALL_OTHERS not in given]
        wrong = [name for name, number in given.items() if not is_finite(number)]
        for names, what in (
            (strange, "is no output of the vocabulary"),
            (missing, "has no threshold"),
            (wrong, "has a threshold that is no number"),
        ):
            if names:
                more = f", and {len(names) - 1} more" if len(names) > 1 else ""
                message = f"'{names[0]}' {what}{more}."
                hint = "Name every output as the vocabulary does, or '*' for all others."
                raise error(message, hint=hint)
        background = None if self.background is None else self.names[self.background]
        others = {background: self.info.range[1]} if background is not None else {}
        rest = given.get(ALL_OTHERS)
        return [float(given.get(name, others.get(name, rest))) for name in self.names]

    def _from_file(self, path: Path) -> UnknownInfo:
        document = _read_document(path)
        expected = {
            "measure": self.info.measure,
            "vocabulary_sha256": self.vocabulary_sha256,
            "model": self.model,
        }
        for key, wanted in expected.items():
            if document.get(key) != wanted:
                shown = str(document.get(key))[:60]
                _refuse(path, f"its '{key}' is '{shown}'; expected '{wanted}'")
        thresholds = document.get("thresholds")
        if not isinstance(thresholds, dict) or not thresholds:
            _refuse(path, "it has no 'thresholds', an object of numbers by name")
        try:
            tuned = document.get("tuned")
            facts = tuned if isinstance(tuned, dict) else None
            return self._section(self._by_name(thresholds, InputError), FILE, facts)
        except (InputError, UsageError) as err:
            _refuse(path, err.message.rstrip("."))


def for_other_words(old: Target, new: Target) -> UnknownInfo:
    """Return the thresholds of a bundle whose words change.

    One threshold for all stays, and so does "off". Of thresholds by output, those of names that
    stay are kept; all others take the default, the model's measured one or the lowest.

    Args:
        old: What the thresholds were for.
        new: What they are for now; with the same section.
    """
    info, source = old.info, old.info.source
    if source == OFF:
        return new.choose(OFF)
    if source == BACKGROUND:
        return new.hide_background() if new.background is not None else new.choose(OFF)
    limits = _written(old)
    if source in (AUTO, NUMBER):
        own = [limit for place, limit in enumerate(limits) if place != old.background]
        number = own[0] if own else limits[0]
        return replace(new.choose(number), source=source)
    tuned = dict(zip(old.names, limits, strict=True))
    default = info.range[0] if info.auto is None else info.auto
    kept = {name: tuned[name] for name in new.names if name in tuned}
    return replace(new.choose({**kept, ALL_OTHERS: default}), source=source, tuned=info.tuned)


def for_words_before(now: Target, before: Target) -> UnknownInfo:
    """Return the thresholds of words that come back: as they were, but for what was set since.

    Args:
        now: What holds, with the thresholds of it.
        before: What comes back, with the thresholds that it had.
    """
    if now.info == for_other_words(before, replace(now, info=before.info)):
        return before.info
    target = replace(before, info=now.info)
    if not {now.info.source, before.info.source} <= {FILE, EACH}:
        return for_other_words(now, target)
    limits = dict(zip(before.names, _written(before), strict=True))
    held = zip(now.names, _written(now), strict=True)
    limits |= {name: limit for name, limit in held if name in limits}
    return replace(target.choose(limits), source=now.info.source, tuned=now.info.tuned)


def _written(target: Target) -> list[float]:
    """Return the threshold of each output as it is written, not rounded to float32."""
    limits = list(target.info.thresholds)
    return limits if len(limits) > 1 else limits * len(target.names)


def untuned(old: Target, new: Target) -> tuple[str, ...]:
    """Return the outputs whose thresholds were never tuned, where others were."""
    if old.info.source not in (FILE, EACH):
        return ()
    return tuple(name for name in new.names if name not in old.names)


def file_document(
    target: Target, thresholds: Mapping[str, float], tuned: Facts
) -> dict[str, object]:
    """Return the document of a file of thresholds, which `Target.choose` reads."""
    return {
        "schema": FILE_SCHEMA,
        "measure": target.info.measure,
        "vocabulary_sha256": target.vocabulary_sha256,
        "model": target.model,
        "thresholds": dict(thresholds),
        "tuned": dict(tuned),
    }


def _read_document(path: Path) -> dict[str, Any]:
    try:
        document = read_json(path.expanduser())
    except OSError as err:
        message = f"--unknown is '{path}', which cannot be read: {err.strerror or err}."
        raise InputError(message, hint=_TRY_AGAIN) from err
    except (DocumentError, ValueError) as err:
        message = f"--unknown is '{path}', which is not JSON: {err}."
        raise InputError(message, hint=_TRY_AGAIN) from err
    if not isinstance(document, dict):
        _refuse(path, "it is not a JSON object")
    if document.get("schema") != FILE_SCHEMA:
        _refuse(path, f"its 'schema' is {document.get('schema')!r}; expected {FILE_SCHEMA}")
    return document


def _refuse(path: Path, why: str) -> NoReturn:
    message = f"The thresholds in '{path}' cannot be used: {why}."
    hint = "Tune them for this bundle: edge-ovss eval --tune-unknown."
    raise InputError(message, hint=hint)


def _as_number(given: object) -> float | None:
    """Return the number that was given, which may be no finite one; None where it is none."""
    kinds = str | int | float | np.integer | np.floating
    if isinstance(given, bool) or not isinstance(given, kinds):
        return None
    try:
        return float(given)
    except ValueError:
        return None
    except OverflowError:  # an integer that no float holds is outside of every range
        return math.inf


def _is_within(value: object, low: float, high: float) -> bool:
    return is_finite(value) and low <= value <= high
