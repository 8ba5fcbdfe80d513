"""What the contestants on a GPU share: embeddings, the frame, and bundles in FP32 and FP16."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from benchmarks.sed.contestants import TOPK
from benchmarks.shared.fixture import export_once, survivor_pack, write_setting
from edge_ovss.calibration import CalibrateOptions, calibrate_bundle
from edge_ovss.export import ExportOptions, Rejection
from edge_ovss.models import load_model
from edge_ovss.models.spec import Model
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary


@dataclass(frozen=True)
class Wish:
    """What to prepare.

    Attributes:
        model: Such as "sed-base".
        vocabulary: Name or file.
        weights: "random" or "embedded".
        survivors: How many categories survive in SED with random weights.
        slots: Places after SED's three rejections, such as "32,32,32".
        size: (height, width) inside the network; None for the model's own.
        frame: (height, width) of the frame.
        calibration: Pictures for FP16.
        made_for: What the graphs are cut for, "cpu" or "gpu".
    """

    model: str
    vocabulary: str
    weights: str
    survivors: int
    slots: str
    size: tuple[int, int] | None
    frame: tuple[int, int]
    calibration: str
    made_for: str = "gpu"


def prepare(folder: Path, wish: Wish, *, half: bool) -> None:
    """Write what is missing of it into `folder`; the FP16 bundle only if `half` is wanted."""
    _refuse_another(folder / "wish.json", wish)
    if all((folder / name).is_dir() for name in ("fp32.ovss", "fp16.ovss")[: 1 + half]):
        return  # loading a model takes a GPU's time for nothing
    vocabulary = Vocabulary.load(wish.vocabulary)
    model = load_model(wish.model, weights=wish.weights, seed=0)
    if not (folder / "pack.npz").is_file():
        _embeddings(model, vocabulary, wish).save(folder / "pack.npz")
    write_setting(folder, model, size=wish.size, frame=wish.frame)
    options = ExportOptions(
        model=wish.model,
        weights=wish.weights,
        embeddings=folder / "pack.npz",
        size=wish.size,
        rejection=_rejection(model, wish),
        made_for=wish.made_for,
    )
    export_once(folder / "fp32.ovss", vocabulary, options)
    if half and not (folder / "fp16.ovss").is_dir():
        # Looking into all tensors takes memory: not in a process that holds the model as well.
        child = get_context("spawn").Process(target=_calibrate, args=(folder, wish.calibration))
        child.start()
        child.join()
        if child.exitcode != 0:
            message = f"The FP16 bundle was not made: its process ended with {child.exitcode}."
            raise SystemExit(message)


def _calibrate(folder: Path, pictures: str) -> None:
    options = CalibrateOptions(precision="fp16", calibration=pictures)
    calibrate_bundle(folder / "fp32.ovss", folder / "fp16.ovss", options, note=print)


def _refuse_another(path: Path, wish: Wish) -> None:
    """Keep what is asked for, so that no run times the bundles of another one."""
    asked = json.dumps(asdict(wish), indent=2)
    if path.is_file() and path.read_text() != asked:
        message = f"'{path.parent.name}' holds bundles made with other options; give another --out."
        raise SystemExit(message)
    path.write_text(asked)


def _embeddings(model: Model, vocabulary: Vocabulary, wish: Wish) -> TextEmbeddings:
    """Make text embeddings; SED with random weights rejects nothing by real ones."""
    if model.spec.family == "sed" and wish.weights == "random":
        return survivor_pack(model, vocabulary, survivors=min(wish.survivors, len(vocabulary)))
    embeddings: TextEmbeddings = model.encode_text(vocabulary)
    return embeddings


def _rejection(model: Model, wish: Wish) -> Rejection | None:
    if model.spec.family != "sed":
        return None
    first, second, third = (int(slot) for slot in wish.slots.split(","))
    return Rejection("slots", topk=TOPK, slots=(first, second, third))
