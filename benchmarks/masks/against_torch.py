"""Race bundles of a family without rejection against torch in eager mode, all in one run.

    python -m benchmarks.masks.against_torch --model san-base --size 640 640
    python -m benchmarks.masks.against_torch --model deop --size 480 640

All contestants get the same random weights, the same embeddings and the same frame, take turns,
and are told to use the same number of threads. The torch contestant is the model of this package
in the published order of operations, with fused attention where torch has it, and its argmax.
Prints ratios first; writes `results.json` into --out.
"""

from __future__ import annotations

import argparse
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.sed.against_torch import measured_peak, report, table
from benchmarks.sed.runtime import bundle
from benchmarks.shared.fixture import export_once
from benchmarks.shared.race import Contestant, Run, race
from edge_ovss.export import ExportOptions
from edge_ovss.export.families import family_export
from edge_ovss.export.family import LoadedModel
from edge_ovss.models import load_model
from edge_ovss.models.catalogue import entry_of
from edge_ovss.synthetic import render_street
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary


def main() -> None:
    """Prepare, race, report."""
    args = _arguments()
    folder = Path(args.out).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    names = args.only.split(",") if args.only else [*entry_of(args.model).answers, "torch"]
    _prepare(folder, args, names)
    contestants = [Contestant(name, partial(_prepared, name)) for name in names]
    peak = measured_peak(args.threads)
    race(contestants, folder, repeats=args.repeats, threads=args.threads)
    found = report(contestants, args, peak)
    (folder / "results.json").write_text(json.dumps(found, indent=2))
    print(table(found))
    print(f"load average {', '.join(f'{load:.1f}' for load in os.getloadavg())}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="san-base")
    parser.add_argument("--vocab", default="ade150")
    parser.add_argument("--size", type=int, nargs=2, default=(640, 640), help="height width")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", default="", help="contestants, in order")
    parser.add_argument("--out", default="out/benchmark-masks")
    return parser.parse_args()


def _prepare(folder: Path, args: argparse.Namespace, names: list[str]) -> None:
    vocabulary = Vocabulary.load(args.vocab)
    height, width = args.size
    if not (folder / "pack.npz").is_file():
        model = load_model(args.model, weights="random", seed=0)
        model.encode_text(vocabulary).save(folder / "pack.npz")
        del model
    np.save(folder / "frame.npy", render_street(seed=7, height=height, width=width).image)
    (folder / "setting.json").write_text(json.dumps({"model": args.model}))
    for answer in entry_of(args.model).answers:
        if answer in names:
            options = ExportOptions(
                model=args.model,
                weights="random",
                embeddings=folder / "pack.npz",
                size=(height, width),
                answer=answer,
            )
            export_once(folder / f"{answer}.ovss", vocabulary, options)


def _prepared(name: str, folder: Path, threads: int) -> Run:
    if name == "torch":
        return _torch_eager(folder, threads, np.load(folder / "frame.npy"))
    return bundle(folder, threads, name)


def _torch_eager(folder: Path, threads: int, frame: NDArray[np.uint8]) -> Run:
    torch.set_num_threads(threads)
    name = json.loads((folder / "setting.json").read_text())["model"]
    model = load_model(name, weights="random", seed=0)
    embeddings = TextEmbeddings.load(folder / "pack.npz")
    # Nothing here reads the words.
    vocabulary = Vocabulary.from_names(["anything"])
    family, size = family_export(entry_of(name).name), (frame.shape[0], frame.shape[1])
    loaded = LoadedModel(family, model, vocabulary, embeddings, size)

    def run() -> tuple[NDArray[Any], list[int]]:
        with torch.inference_mode():
            scores = family.published_scores(loaded, torch.from_numpy(frame), None)
            return scores.argmax(0).numpy(), []

    return run


if __name__ == "__main__":
    main()
