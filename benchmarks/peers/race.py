"""Race SED's bundles against the best that others offer, with accuracy beside the time.

    python -m benchmarks.peers.race --model sed-tiny --weights embedded --set camvid=CAMVID
    python -m benchmarks.peers.race --model sed-base --survivors 27 --slots 32,32,32

All get the same weights, embeddings, frames and number of threads. Contestants run in heats, each
with our first bundle, so that memory is enough and every ratio is of one heat. Whoever cannot run
is a row with its message. Writes `results.json` and `results.md` into --out.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.peers.accuracy import Accuracy, DataSet, answer_all, judge
from benchmarks.peers.making import ENGINES, Made, make_all, steps_for
from benchmarks.peers.memory import limit_memory
from benchmarks.peers.programs import note_path, ready
from benchmarks.peers.report import Heat, engine_rows, report, table
from benchmarks.peers.roster import CLOSED, FIRST, ROSTER, Entry, chosen, heats
from benchmarks.peers.wish import Wish
from benchmarks.shared.race import Contestant, race

STREET = "synthetic://street?count=20&seed=1000000"
CALIBRATION = "synthetic://street?count={}&seed=2000000"


def main(words: Sequence[str] | None = None) -> None:
    """Make what is raced, race it, measure the accuracy, and report."""
    args = _arguments(words)
    if args.list:
        print("\n".join(f"{entry.name:22} {entry.title}" for entry in ROSTER))
        return
    entries = chosen(args.only)
    data = [DataSet.parse(text) for text in args.set or [STREET]]
    folder = Path(args.out).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    _wish(args).keep(folder)
    engines = ENGINES if args.engines else ()
    steps = steps_for(entries, engines)
    args.memory = limit_memory(args.memory)
    made = _make(folder, steps, args)
    if args.prepare_only == "labels":
        answer_all(_labelers(entries, made), folder, data, threads=args.threads, limit=args.limit)
    if args.prepare_only:
        return
    raced = [_heat(group, made, folder, args) for group in heats(entries, together=args.together)]
    accuracy = _accuracy(raced, data, folder, args)
    found = report(entries, raced, accuracy, vars(args), _notes(folder, steps))
    found["engines"] = engine_rows(folder, engines, made)
    found["made"] = {step: made[step].seconds for step in steps}
    (folder / "results.json").write_text(json.dumps(found, indent=2))
    (folder / "results.md").write_text(table(found) + "\n")
    print(table(found))


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", action="store_true", help="name all contestants")
    parser.add_argument("--only", metavar="NAMES", help=f"of them; '{FIRST}' always runs")
    parser.add_argument("--model", default="sed-base")
    parser.add_argument("--weights", choices=("random", "embedded"), default="random")
    parser.add_argument("--vocab", default="ade150")
    parser.add_argument("--survivors", type=int, default=27, help="with random weights")
    parser.add_argument("--slots", metavar="A,B,C", help="default: the model's own")
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="inside the network")
    parser.add_argument("--calibration", metavar="SOURCE", help="images for INT8 ranges")
    parser.add_argument("--calibration-count", type=int, default=16)
    parser.add_argument("--checked", type=int, default=2, help="images for accuracy control")
    parser.add_argument(
        "--set",
        action="append",
        metavar="[LAYOUT=]DATA",
        help=f"accuracy is measured on it; may be repeated (default {STREET})",
    )
    parser.add_argument("--limit", type=int, help="images of each set")
    parser.add_argument("--engines", action="store_true", help="build engines for TensorRT for RTX")
    parser.add_argument("--step-minutes", type=float, default=30, help="what making one may take")
    parser.add_argument("--together", type=int, default=3, help="contestants in a heat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="modelopt=PROGRAM",
        help="Python of the environment that has ModelOpt",
    )
    parser.add_argument("--memory", type=float, metavar="GIB", help="of a process (85 %% of free)")
    parser.add_argument("--ready-minutes", type=float, default=10, help="until one is warmed up")
    parser.add_argument(
        "--prepare-only",
        nargs="?",
        choices=("graphs", "labels"),
        const="graphs",
        help="make the graphs, and the labels that accuracy is measured on; race later",
    )
    parser.add_argument(
        "--race-only",
        action="store_true",
        help="make nothing: what was not made is a row with the reason of the last time",
    )
    parser.add_argument("--out", default="out/peers")
    return parser.parse_args(words)


def _make(folder: Path, steps: Sequence[str], args: argparse.Namespace) -> dict[str, Made]:
    python = dict(each.split("=", 1) for each in args.python)
    minutes, again = args.step_minutes, not args.race_only
    made = make_all(folder, steps, minutes=minutes, python=python, again=again)
    if made["setting"].failure is not None:
        raise SystemExit(made["setting"].failure)
    return made


def _notes(folder: Path, steps: Sequence[str]) -> dict[str, str]:
    paths = {step: note_path(folder, step) for step in steps}
    return {step: path.read_text() for step, path in paths.items() if path.is_file()}


def _labelers(entries: Sequence[Entry], made: dict[str, Made]) -> list[str]:
    """Return whose labels are worth something, of those that were made."""
    able = [entry for entry in entries if all(made[need].failure is None for need in entry.needs)]
    return [entry.name for entry in able if entry.heat != CLOSED]


def _wish(args: argparse.Namespace) -> Wish:
    return Wish(
        model=args.model,
        vocabulary=args.vocab,
        weights=args.weights,
        survivors=args.survivors,
        slots=args.slots,
        size=None if args.size is None else (args.size[0], args.size[1]),
        calibration=args.calibration or CALIBRATION.format(args.calibration_count),
        count=args.calibration_count,
        checked=args.checked,
    )


def _heat(
    group: list[Entry], made: dict[str, Made], folder: Path, args: argparse.Namespace
) -> Heat:
    """Race the first one and a group; what was not made does not start."""
    names = [FIRST, *(entry.name for entry in group)]
    rows = {name: Contestant(name, partial(ready, name)) for name in names}
    for entry in chosen(",".join(names)):
        failures = [made[need].failure for need in entry.needs if made[need].failure is not None]
        rows[entry.name].failure = f"not made: {failures[0]}" if failures else None
    print(f"heat: {', '.join(names)}", flush=True)
    starting = [row for row in rows.values() if row.failure is None]
    patience = 60 * args.ready_minutes
    race(starting, folder, repeats=args.repeats, threads=args.threads, patience=patience)
    return Heat(rows)


def _accuracy(
    raced: list[Heat], data: list[DataSet], folder: Path, args: argparse.Namespace
) -> dict[str, Accuracy]:
    """Measure whoever has run, one after another; random labels of a closed set say nothing."""
    ran = {name for heat in raced for name, row in heat.rows.items() if row.failure is None}
    names = [entry.name for entry in ROSTER if entry.name in ran and entry.heat != CLOSED]
    failures = answer_all(names, folder, data, threads=args.threads, limit=args.limit)
    return judge(names, failures, folder, data, limit=args.limit, vocabulary=args.vocab)


if __name__ == "__main__":
    main()
