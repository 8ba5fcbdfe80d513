"""A whole run of `tune` on a device that is made up: what it keeps, and what it makes again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pretended_runner import PLAYOFF, PretendedRunner

from edge_ovss.tune.candidate import Candidate
from edge_ovss.tune.measuring.making import place_of
from edge_ovss.tune.rows import Rung
from edge_ovss.tune.run import TuneOptions, tune
from edge_ovss.tune.subject import Subject

MakeBundle = Callable[..., Path]


class MakingRunner(PretendedRunner):
    """Makes small bundles, and measures nothing."""

    def __init__(self, subject: Subject, folder: Path, make_bundle: MakeBundle) -> None:
        super().__init__({"reject dynamic": (0.9, 0.0)} | dict.fromkeys(THREADS, (1.1, 0.0)))
        self.subject, self.folder, self.make_bundle = subject, folder, make_bundle
        self.made: list[str] = []

    def make(self, candidate: Candidate) -> Path:
        """Make a bundle, if it is not there."""
        place = place_of(candidate, self.subject, self.folder / "bundles")
        if not place.is_dir():
            self.made.append(candidate.title)
            place.parent.mkdir(exist_ok=True)
            self.make_bundle(f"{candidate.key}.ovss").rename(place)
        return place

    def measure(self, candidate: Candidate, rung: Rung) -> dict[str, Any]:
        """Make it, and return numbers."""
        self.make(candidate)
        return super().measure(candidate, rung)


THREADS = [f"threads {count}" for count in range(1, 257)]


def test_a_finished_run_whose_bundles_are_gone_answers_another_budget(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    runners: list[MakingRunner] = []

    def make_runner(subject: Subject, folder: Path, *_: object, **__: object) -> MakingRunner:
        runners.append(MakingRunner(subject, folder, make_bundle))
        return runners[-1]

    def recommended(budget: str | None) -> str:
        subject = Subject(model="sed-tiny", vocab="camvid")
        options = TuneOptions(subject, out, ("onnxruntime",), budget)
        found = tune(options, make_runner=make_runner).recommended
        assert found is not None
        return found.candidate.title

    assert recommended(None) == "reject dynamic"
    kept = sorted(path.name for path in (out / "bundles").iterdir())
    assert len(kept) == 2  # the default export, and what is recommended
    shutil.rmtree(out / "bundles")
    assert recommended("peak_mib>=190") == "default export"
    assert runners[1].made == ["default export"]
    alone = [{row for row in each.measured if row[1] < PLAYOFF} for each in runners]
    assert not alone[0] & alone[1]  # those are in the journal
