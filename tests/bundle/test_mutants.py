"""Spoiled bundles are refused with the reason by every verb: no traceback, no gigabytes."""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("onnx")

from bundle_mutants import Mutant, add_metadata, all_mutants

from edge_ovss.cli import main

MakeBundle = Callable[..., Path]

SECONDS = 10.0
BYTES = 1 << 30
QUICK = 60


@pytest.fixture
def whole(make_bundle: MakeBundle) -> Path:
    """Return a bundle with all that there is to contradict."""
    bundle = make_bundle(spare=[5, 5, 5], small=[3, 3, 3], unknown=[0.5])
    add_metadata(bundle)
    assert main(["selftest", str(bundle), "--quiet"]) == 0
    return bundle


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def statuses(whole: Path, mutant: Mutant) -> list[int]:
    """Return the exit status of verbs on a mutant, each within its time."""
    folder = whole.parent / "mutant"
    copy = folder / "mutant.ovss"
    shutil.copytree(whole, copy)
    mutant.change(copy)
    found = []
    verbs: list[list[str]] = [["inspect", str(copy)]]
    verbs += [["selftest", str(copy)], ["inspect", str(copy), "--no-verify", "--json"]]
    for words in verbs:
        start = time.monotonic()
        found.append(main([*words, "--quiet"]))
        assert time.monotonic() - start < SECONDS, (mutant.name, words)
    shutil.rmtree(folder)
    return found


def judge(whole: Path, mutants: list[Mutant]) -> list[str]:
    """Return what is wrong with how mutants were met."""
    before, wrong = peak(), []
    for mutant in mutants:
        found = statuses(whole, mutant)
        if not set(found) <= {0, 5, 6} or (mutant.refused and found != [5, 5, 5]):
            wrong.append(f"{mutant.name}: {found}")
        if peak() - before > BYTES:
            wrong.append(f"{mutant.name}: peak {peak() >> 20} MiB")
            before = peak()
    return wrong


def test_spoiled_bundles_are_refused(whole: Path) -> None:
    mutants = all_mutants(whole)
    assert judge(whole, mutants[:: len(mutants) // QUICK]) == []


@pytest.mark.slow
def test_thousands_of_spoiled_bundles_are_refused(whole: Path) -> None:
    mutants = all_mutants(whole)
    assert len(mutants) >= 2000
    assert judge(whole, mutants) == []
