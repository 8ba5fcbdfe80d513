"""One step of `making`: `python -m benchmarks.peers.make STEP FOLDER [PACKAGE=PYTHON...]`."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from benchmarks.peers import engines, modelopt_graphs, nncf_graphs
from benchmarks.peers.programs import die_first
from benchmarks.peers.wish import Wish
from benchmarks.shared.reasons import reason_of
from edge_ovss.errors import EdgeOvssError


def main() -> None:
    """Make a step; the last line of what is printed says why it failed."""
    step, place, *environments = sys.argv[1:]
    python = dict(each.split("=", 1) for each in environments)
    die_first()
    try:
        _find(step, python)(Path(place))
    except EdgeOvssError as err:
        sys.exit(f"error: {' '.join(err.message.split())}")
    except Exception as err:  # whatever it is, it is a row of the table
        traceback.print_exc()
        sys.exit(f"error: {reason_of(err)}")


def _find(step: str, python: Mapping[str, str]) -> Callable[[Path], None]:
    if step.startswith("engine-"):
        return partial(engines.build, graph=step.removeprefix("engine-"))
    program = python.get("modelopt", sys.executable)
    steps: dict[str, Callable[[Path], None]] = {
        "setting": setting,
        "slots": partial(bundle, mode="slots"),
        "dynamic": partial(bundle, mode="dynamic"),
        "int8": partial(calibrated, name="int8", precision="int8", target="cpu"),
        "fp16": partial(calibrated, name="fp16", precision="fp16", target="tensorrt"),
        "int8-gpu": partial(calibrated, name="int8-gpu", precision="int8", target="tensorrt"),
        "plain": plain,
        "nncf": nncf_graphs.quantized,
        "nncf-control": nncf_graphs.controlled,
        "modelopt-autocast": partial(modelopt_graphs.autocast, python=program),
        "modelopt-int8": partial(modelopt_graphs.int8, python=program),
        "modelopt-int8-fp16": partial(modelopt_graphs.int8, python=program, rest="fp16"),
        "closed": closed_set,
    }
    return steps[step]


def setting(folder: Path) -> None:
    """Write embeddings, the frame, and the images that INT8 is calibrated on."""
    from benchmarks.peers.calibration import write_images
    from benchmarks.shared.fixture import survivor_pack, write_setting
    from edge_ovss.models import load_model
    from edge_ovss.vocabulary import Vocabulary

    wish = Wish.of(folder)
    vocabulary = Vocabulary.load(wish.vocabulary)
    model = load_model(wish.model, weights=wish.weights, seed=0)
    if wish.weights == "random":
        pack = survivor_pack(model, vocabulary, survivors=min(wish.survivors, len(vocabulary)))
    else:
        pack = model.encode_text(vocabulary)
    pack.save(folder / "pack.npz")
    write_setting(folder, model, size=wish.size)
    write_images(folder, wish)


def bundle(folder: Path, *, mode: str) -> None:
    """Export our bundle."""
    from benchmarks.sed.contestants import TOPK
    from benchmarks.shared.fixture import export_once
    from edge_ovss.export import ExportOptions, Rejection
    from edge_ovss.vocabulary import Vocabulary

    wish = Wish.of(folder)
    rejection: Rejection | None = Rejection(mode, topk=TOPK)
    if mode == "slots":
        rejection = None
        if wish.slots is not None:
            first, second, third = (int(slot) for slot in wish.slots.split(","))
            rejection = Rejection(mode, topk=TOPK, slots=(first, second, third))
    options = ExportOptions(
        model=wish.model,
        weights=wish.weights,
        embeddings=folder / "pack.npz",
        size=wish.size,
        rejection=rejection,
    )
    export_once(folder / f"{mode}.ovss", Vocabulary.load(wish.vocabulary), options)


def calibrated(folder: Path, *, name: str, precision: str, target: str) -> None:
    """Calibrate our bundle."""
    from edge_ovss.calibration import CalibrateOptions, calibrate_bundle

    wish = Wish.of(folder)
    options = CalibrateOptions(
        precision=precision, calibration=wish.calibration, count=wish.count, target=target
    )
    out = folder / f"{name}.ovss"
    calibrate_bundle(folder / "slots.ovss", out, options, note=print, overwrite=out.exists())


def plain(folder: Path) -> None:
    """Write the plain export."""
    from benchmarks.sed.contestants import export_plain

    export_plain(folder)


def closed_set(folder: Path) -> None:
    """Write the small network with a closed vocabulary."""
    from benchmarks.peers.closed_set import export

    export(folder)


if __name__ == "__main__":
    main()
