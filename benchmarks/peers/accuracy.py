"""Accuracy of the programs that race: mIoU on labeled images, and agreement with torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.making import made_path
from benchmarks.peers.programs import open_program
from benchmarks.peers.roster import REFERENCE, UNREJECTED, find
from benchmarks.shared.reasons import reason_of
from edge_ovss.datasets.alignment import align
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.datasets.opening import open_dataset
from edge_ovss.errors import EdgeOvssError
from edge_ovss.metrics.confusion import count_confusion
from edge_ovss.metrics.miou import score_confusion
from edge_ovss.vocabulary import Vocabulary

Answers = list[NDArray[Any]]


@dataclass(frozen=True)
class DataSet:
    """A labeled data set.

    Attributes:
        layout: As in `edge-ovss eval`; None for drawn streets.
        data: Folder or address.
    """

    layout: str | None
    data: str

    @classmethod
    def parse(cls, text: str) -> DataSet:
        """Read `LAYOUT=FOLDER` or `synthetic://street?...`."""
        if text.startswith("synthetic://"):
            return cls(None, text)
        layout, _, data = text.partition("=")
        return cls(layout, data)

    @property
    def title(self) -> str:
        """What the table calls it."""
        return self.layout or "street"

    def open(self, limit: int | None) -> Dataset:
        """Open it, or a random subset of it."""
        return open_dataset(self.data, layout=self.layout).take(limit)


@dataclass
class Accuracy:
    """How well one program labels.

    Attributes:
        equal: Share in [0, 1] of labels equal to those of torch in FP32, over all sets.
        equal_unrejected: The same against the plain export in FP32, which rejects no category.
        miou: mIoU in [0, 1] by set, or why there is none.
        failure: Why nothing was measured, or None.
    """

    equal: float | None = None
    equal_unrejected: float | None = None
    miou: dict[str, float | str] = field(default_factory=dict)
    failure: str | None = None


def answer_all(
    names: Sequence[str],
    folder: Path,
    data: Sequence[DataSet],
    *,
    threads: int,
    limit: int | None,
) -> dict[str, str | None]:
    """Let every program label all images, each in a process of its own; returns failures.

    Labels of an earlier run are kept, as long as the graph and the images are the same.
    """
    failures: dict[str, str | None] = {}
    for name in names:
        kept, facts = _kept_path(folder, name), _facts(folder, name, data, limit)
        if kept.is_file() and kept.read_text() == facts:
            failures[name] = None
            continue
        print(f"labels of {name} ...", flush=True)
        kept.unlink(missing_ok=True)
        context = get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        arguments = (name, folder, list(data), threads, limit, theirs)
        child = context.Process(target=_answer, args=arguments, daemon=True)
        child.start()
        theirs.close()
        try:
            failures[name] = ours.recv()
        except EOFError:
            failures[name] = "its process died (out of memory?)"
        child.join()
        if failures[name] is None:
            kept.write_text(facts)
    return failures


def _kept_path(folder: Path, name: str) -> Path:
    return folder / "answers" / f"{name}.json"


def _facts(folder: Path, name: str, data: Sequence[DataSet], limit: int | None) -> str:
    """Return what labels depend on: the images, and when the graph was made."""
    made = [made_path(folder, step) for step in find(name).needs]
    times = [path.stat().st_mtime_ns for path in made if path.is_file()]
    return json.dumps({"sets": [asdict(each) for each in data], "limit": limit, "made": times})


def _answer(
    name: str,
    folder: Path,
    data: list[DataSet],
    threads: int,
    limit: int | None,
    line: Connection,
) -> None:
    try:
        segment = open_program(name, folder, threads)
        for each in data:
            samples = each.open(limit).samples
            answers = [segment(sample.frame())[0].astype(np.uint16) for sample in samples]
            path = _answers_path(folder, name, each)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, *answers)
    except Exception as err:  # whatever it is, the others go on and the table says so
        line.send(reason_of(err)[:300])
        return
    line.send(None)


def _answers_path(folder: Path, name: str, data: DataSet) -> Path:
    return folder / "answers" / f"{name}-{data.title}.npz"


def _read(folder: Path, name: str, data: DataSet) -> Answers:
    with np.load(_answers_path(folder, name, data)) as found:
        return [found[f"arr_{index}"] for index in range(len(found.files))]


def judge(
    names: Sequence[str],
    failures: Mapping[str, str | None],
    folder: Path,
    data: Sequence[DataSet],
    *,
    limit: int | None,
    vocabulary: str,
) -> dict[str, Accuracy]:
    """Compare the labels of all with the truth and with those of torch and the plain export."""
    good = [name for name in names if failures[name] is None]
    answers = {name: [_read(folder, name, each) for each in data] for name in good}
    found = {name: Accuracy(failure=failures[name]) for name in names}
    for name in good:
        found[name].equal = agreement(answers[name], answers.get(REFERENCE))
        if not find(name).rejects:
            found[name].equal_unrejected = agreement(answers[name], answers.get(UNREJECTED))
    for index, each in enumerate(data):
        given = {name: answers[name][index] for name in good}
        for name, value in score(each, given, limit=limit, vocabulary=vocabulary).items():
            found[name].miou[each.title] = value
    return found


def agreement(given: list[Answers], expected: list[Answers] | None) -> float | None:
    """Return the share of equal labels over all images of all sets; None without a reference."""
    if expected is None:
        return None
    pairs = [pair for sets in zip(given, expected, strict=True) for pair in zip(*sets, strict=True)]
    return float(np.mean([np.mean(ours == theirs) for ours, theirs in pairs]))


def score(
    data: DataSet, answers: Mapping[str, Answers], *, limit: int | None, vocabulary: str
) -> dict[str, float | str]:
    """Return the mIoU by program, or why there is none.

    Classes of the data set that the vocabulary lacks are left out.
    """
    dataset, words = data.open(limit), Vocabulary.load(vocabulary)
    try:
        alignment = align(dataset, words, allow_missing=True)
    except EdgeOvssError as err:
        return dict.fromkeys(answers, err.message)
    shape = (alignment.classes, alignment.classes)
    totals = {name: np.zeros(shape, np.int64) for name in answers}
    for index, sample in enumerate(dataset.samples):
        truth = alignment.map_truth(dataset.rule.read(sample.raw_labels()))
        for name, labels in answers.items():
            predicted = alignment.map_prediction(labels[index])
            totals[name] += count_confusion(truth, predicted, classes=alignment.classes)
    return {name: _miou(total, alignment.names) for name, total in totals.items()}


def _miou(total: NDArray[np.int64], names: Sequence[str]) -> float | str:
    try:
        return score_confusion(total, names).miou()
    except EdgeOvssError as err:
        return err.message
