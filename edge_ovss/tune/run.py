"""Tune: search the settings of a model, or of given bundles, for what is best on this device."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._files import make_folder
from edge_ovss._machine import available_cores
from edge_ovss._progress import Note, Progress, silent
from edge_ovss.bundle.reader import Bundle
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.errors import ArtifactError, UsageError
from edge_ovss.evaluation.gates import Gate
from edge_ovss.models.catalogue import entry_of
from edge_ovss.report.data import SCORES
from edge_ovss.tune.budget import parse_budget, without_accuracy
from edge_ovss.tune.candidate import KEYFRAME, PRECISION, STABILIZE, Candidate
from edge_ovss.tune.checks import identity, open_bundles, read_calibration, timed_frames
from edge_ovss.tune.choices import Asked, Machine, bundle_space, model_space
from edge_ovss.tune.journal import JOURNAL, RunJournal
from edge_ovss.tune.measuring.making import place_of
from edge_ovss.tune.measuring.process import CandidateError
from edge_ovss.tune.measuring.runner import ProcessRunner, Runner
from edge_ovss.tune.outcome import Outcome
from edge_ovss.tune.pages import write_results
from edge_ovss.tune.rows import Row
from edge_ovss.tune.search import Clock, Search, rungs_for
from edge_ovss.tune.space import Space
from edge_ovss.tune.subject import Subject

DEFAULT_BUDGET = "miou_drop<=1.0"
_BUNDLES = "bundles"
# The names that `Candidate.key` and `made_key` give; whatever else is there is the user's.
_OWN = re.compile(r"[0-9a-f]{12}(?:\.ovss)?")


@dataclass(frozen=True)
class TuneOptions:
    """Options of a run.

    Attributes:
        subject: What is tuned, and on what.
        out: Folder of the journal, the bundles and the results.
        backends: Backends to try; the first runs the default export.
        budget: The limits, as text; None for `DEFAULT_BUDGET` where there are labels.
        levels: Values by axis, instead of those that are tried by themselves.
        threads: Numbers of CPU threads; the first runs the default export. () for all cores, and
            half of them.
        time_limit_s: The most seconds of measuring, over all runs of the journal.
        fresh: Start over.
    """

    subject: Subject
    out: Path
    backends: tuple[str, ...]
    budget: str | None = None
    levels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    threads: tuple[int, ...] = ()
    time_limit_s: float | None = 1200.0
    fresh: bool = False


MakeRunner = Callable[..., Runner]


def tune(
    options: TuneOptions,
    *,
    note: Note | None = None,
    progress: Progress | None = None,
    make_runner: MakeRunner = ProcessRunner,
) -> Outcome:
    """Measure candidates, and write `tune.json`, `tune.html` and `front.svg`.

    A run that was interrupted goes on where it stopped when it is started again.

    Args:
        options: The options.
        note: Called with one line per measurement.
        progress: Wraps the images while they are read.
        make_runner: Makes what measures.

    Raises:
        UsageError: The options contradict each other, or the budget does.
        InputError: Images or labels cannot be used, or overlap; the journal is of another run.
        OutputError: `out` cannot be written.
        ArtifactError: The default export cannot be measured.
    """
    note = note or silent
    subject = options.subject
    default_budget = None if subject.data is None else DEFAULT_BUDGET
    gates = parse_budget(options.budget or default_budget)
    _check_levels(options)
    dataset = None if subject.data is None else subject.data.open()
    _check_streams(options, dataset)
    bundles = open_bundles(subject, dataset)
    pictures = read_calibration(subject, dataset, progress)
    run = {"backend": options.backends[0], "threads": subject.threads}
    known = identity(subject, dataset, pictures, bundles, run)
    frames = timed_frames(subject, dataset)
    folder = make_folder(options.out.expanduser())  # last: nothing is left of what is refused
    work = _Work(options, folder, dataset, gates, note, frames)
    with RunJournal(folder / JOURNAL, known, fresh=options.fresh) as journal:
        return work.measure(journal, make_runner)


@dataclass(frozen=True)
class _Work:
    options: TuneOptions
    folder: Path
    dataset: Dataset | None
    gates: tuple[Gate, ...]
    note: Note
    frames: Sequence[NDArray[np.uint8]]

    def measure(self, journal: RunJournal, make_runner: MakeRunner) -> Outcome:
        """Search, and write what was found."""
        if not journal.rows:
            _remove(self.folder, [SCORES] if self.options.subject.bundles else [SCORES, _BUNDLES])
        runner = make_runner(
            self.options.subject,
            self.folder,
            self.frames,
            fps=None if self.dataset is None else self.dataset.fps,
        )
        gates: tuple[Gate, ...] = self.gates
        unchecked: tuple[Gate, ...] = ()
        if self.dataset is None:
            gates, unchecked = without_accuracy(self.gates)
        images = 0 if self.dataset is None else len(self.dataset.samples)
        spent = sum(float(row["seconds"]) for row in journal.rows)
        clock = Clock(self.options.time_limit_s, spent)
        search = Search(runner, journal, rungs_for(images), gates, clock, self.note)
        try:
            default = search.default()
            search.run(self._space(default, runner))
        finally:
            runner.close()
        rest: dict[str, Any] = {"gates": gates, "unchecked": unchecked}
        rest["subject"] = self.options.subject
        rest["sizes"] = tuple((frame.shape[0], frame.shape[1]) for frame in self.frames)
        notes = tuple(self._notes(default, complete=search.complete))
        outcome = Outcome.of(
            search.rows, search.last, complete=search.complete, notes=notes, **rest
        )
        write_results(self.folder, outcome)
        self._tidy(outcome)
        return outcome

    def _space(self, default: Row, runner: Runner) -> Space:
        subject, options = self.options.subject, self.options
        machine = Machine(options.backends, options.threads, available_cores())
        asked = Asked(
            options.levels,
            has_labels=self.dataset is not None,
            has_images=subject.calibration is not None,
            is_video=self.dataset is not None and self.dataset.fps is not None,
        )
        if default.error is not None:
            message = f"The default export cannot be measured: {default.error}"
            raise ArtifactError(message, hint="Run edge-ovss doctor.")
        if subject.bundles:
            return bundle_space(subject.bundles, asked, machine)
        manifest = Bundle.open(self._default_bundle(runner), verify=False).manifest
        return model_space(
            entry_of(subject.model), manifest, default.found.get("counts"), asked, machine
        )

    def _default_bundle(self, runner: Runner) -> Path:
        """Return the default export; it is made again if it is gone since an earlier run."""
        place = place_of(Candidate(), self.options.subject, self.folder / _BUNDLES)
        try:
            return place if place.is_dir() else runner.make(Candidate())
        except CandidateError as err:
            message = f"The default export cannot be made: {err}"
            raise ArtifactError(message, hint=err.hint or "Run edge-ovss doctor.") from err

    def _notes(self, default: Row, *, complete: bool) -> list[str]:
        found = list(default.found.get("warnings", []))
        if self.dataset is None:
            found.append(
                "speed only: there are no labeled images (--data), so nothing is known of mIoU"
            )
            if not self.options.subject.bundles:
                found.append("settings that change labels are tried only where they are asked for")
        if self.options.subject.calibration is None and not self.options.subject.bundles:
            found.append("FP16 and INT8 are not tried: there are no images (--calibration)")
        if not complete:
            found.append(
                "the time limit was reached; the same command with a larger --time-limit goes on"
            )
        return found

    def _tidy(self, outcome: Outcome) -> None:
        """Keep the bundles of the default export and of the recommendation."""
        if self.options.subject.bundles or not outcome.complete:
            return
        best = outcome.recommended
        folder = self.folder / _BUNDLES
        wanted = [Candidate(), *([] if best is None else [best.candidate])]
        kept = {place_of(one, self.options.subject, folder) for one in wanted}
        for path in _own(folder):
            if path not in kept:
                shutil.rmtree(path, ignore_errors=True)


def _remove(folder: Path, names: Sequence[str]) -> None:
    """Remove what an earlier run made: a new one makes its own."""
    for name in names:
        for path in _own(folder / name):
            shutil.rmtree(path, ignore_errors=True)


def _own(folder: Path) -> list[Path]:
    """Return what is in a folder and was made by a run of this program."""
    return [path for path in folder.glob("*") if _OWN.fullmatch(path.name)]


def _check_levels(options: TuneOptions) -> None:
    wanted = [value for value in options.levels.get(PRECISION, ()) if value != "fp32"]
    if wanted and options.subject.calibration is None:
        message = f"Precision {wanted[0]} needs images, and --calibration names none."
        raise UsageError(message, hint="Give --calibration DIR.")


def _check_streams(options: TuneOptions, dataset: Dataset | None) -> None:
    asked = [axis for axis in (KEYFRAME, STABILIZE) if axis in options.levels]
    if not asked or (dataset is not None and dataset.fps is not None):
        return
    message = f"--{asked[0]} is for videos, and the images of --data stand for themselves."
    if dataset is None:
        message = f"--{asked[0]} needs labeled videos, and --data names none."
    raise UsageError(message, hint="If they follow each other, give their rate, such as --fps 15.")
