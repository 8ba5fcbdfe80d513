"""Write the model repository of a bundle, and what a client needs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss._safe_text import shown
from edge_ovss.bundle.contract import UNKNOWN
from edge_ovss.bundle.reader import Bundle
from edge_ovss.emit.folder import EmittedFolder
from edge_ovss.emit.origin import Origin
from edge_ovss.emit.triton.config import GRAPH_PARAMETER, WarmUp, config_text
from edge_ovss.emit.triton.page import page_text
from edge_ovss.emit.triton.served import (
    TENSORRT,
    VERSION,
    Served,
    choose_engine,
    model_name,
    served_engine,
    served_graph,
)
from edge_ovss.errors import ArtifactError, UsageError

REPOSITORY = "models"
CLIENT = "client.py"
SETTINGS = "client.json"


@dataclass(frozen=True)
class TritonOptions:
    """How a bundle is served.

    Attributes:
        backend: One of `served.BACKENDS`.
        name: Of the model on the server; None for that of the bundle.
        engine: Folder of the engine for "tensorrt"; None where there is only one.
        overwrite: Replace what an earlier run wrote.
    """

    backend: str = "onnxruntime"
    name: str | None = None
    engine: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Emitted:
    """What was written.

    Attributes:
        out: The folder.
        served: What it serves.
        record: The content of `emitted.json`.
        proved: Whether the output of the engine was checked when it was built; True for graphs.
    """

    out: Path
    served: Served
    record: dict[str, object]
    proved: bool


def emit_triton(bundle: Bundle, out: str | os.PathLike[str], options: TritonOptions) -> Emitted:
    """Write the model repository, a client and a page about them, whole or not at all.

    Args:
        bundle: The bundle, opened with its files verified.
        out: The folder to write.
        options: How it is served.

    Raises:
        UsageError: The options do not fit each other, or there are several engines.
        ArtifactError: The bundle has no engine that was asked for, or its words are inputs.
        OutputError: `out` cannot be written, or something is there.
    """
    if options.engine is not None and options.backend != TENSORRT:
        message = f"--engine is for --backend tensorrt; the backend is '{options.backend}'."
        raise UsageError(message, hint="Leave out --engine, or give --backend tensorrt.")
    _refuse_open(bundle)
    name = model_name(bundle, options.name)
    folder = EmittedFolder(out, bundle, "triton", overwrite=options.overwrite)
    if options.backend == TENSORRT:
        engine = choose_engine(bundle, options.engine)
        served, proved = served_engine(bundle, engine, name), engine.record.proof.state == "passed"
    else:
        served, proved = served_graph(bundle, options.backend, name), True
    with folder:
        _write_model(folder, bundle, served)
        _write_client(folder, bundle, served)
        folder.write("README.md", page_text(served, folder.origin))
        record = folder.finish()
    return Emitted(folder.out, served, record, proved)


def _refuse_open(bundle: Bundle) -> None:
    """Refuse a bundle whose words are inputs: every request would have to carry them.

    Raises:
        ArtifactError: It is one.
    """
    if bundle.manifest.open is not None:
        message = f"The words of '{bundle.path.name}' are inputs of its graph; a server takes none."
        raise ArtifactError(message, hint="Export the words without --open, and emit that bundle.")


def _write_model(folder: EmittedFolder, bundle: Bundle, served: Served) -> None:
    place, origin = f"{REPOSITORY}/{served.name}", folder.origin
    for name, source in served.files.items():
        target = f"{place}/{VERSION}/{name}"
        if isinstance(source, bytes):
            folder.write(target, source)
        else:
            folder.copy(target, source)
    warm_up = []
    for port, array in zip(served.inputs, _warm_up_arrays(bundle, served), strict=True):
        # Raw bytes and lines of names can say their bundle in their own names only.
        each = WarmUp(replace(port, dims=array.shape), f"{port.name}-{origin.short}.raw")
        folder.write(f"{place}/warmup/{each.file}", array.tobytes())
        warm_up.append(each)
    labels_file = f"labels-{origin.short}.txt"
    folder.write(f"{place}/{labels_file}", labels_text(bundle.vocabulary.outputs))
    folder.write(f"{place}/config.pbtxt", config_text(served, origin, warm_up, labels_file))


def labels_text(names: Sequence[str]) -> str:
    """Return one name a line: line N, from 0, is what label N means."""
    return "".join(f"{shown(' '.join(name.split()))}\n" for name in names)


def _warm_up_arrays(bundle: Bundle, served: Served) -> list[NDArray[np.generic]]:
    """Return the inputs of the warm-up request, in the order of the inputs, little-endian."""
    frame = bundle.reference().frame
    if served.frames is not None and frame.shape[:2] not in served.frames:
        frame = _tiled(frame, served.frames.best)
    feed = bundle.manifest.contract.feed(frame[None])
    return [
        np.ascontiguousarray(feed[port.name], np.dtype(port.dtype).newbyteorder("<"))
        for port in served.inputs
    ]


def _tiled(frame: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a frame of a size that an engine takes, made of repetitions of the reference frame."""
    rows, columns = (np.arange(side) % have for side, have in zip(size, frame.shape, strict=False))
    tiled: NDArray[np.uint8] = frame[rows][:, columns]
    return tiled


def _write_client(folder: EmittedFolder, bundle: Bundle, served: Served) -> None:
    program = Path(__file__).with_name(CLIENT).read_text(encoding="utf-8")
    folder.write(CLIENT, folder.origin.comment("triton") + program)
    folder.write_json(SETTINGS, _settings(bundle, served, folder.origin))


def _settings(bundle: Bundle, served: Served, origin: Origin) -> dict[str, object]:
    """Return what the client knows of the bundle."""
    manifest, frames = bundle.manifest, served.frames
    labels = manifest.output.labels_dtype
    thresholds, slots = manifest.thresholds, manifest.rejection.slots
    vocabulary = bundle.vocabulary
    return {
        **origin.document(),
        "served_as": served.name,
        "graph_parameter": GRAPH_PARAMETER,
        "labels": {"dtype": labels, "unknown": UNKNOWN[labels] if thresholds is not None else None},
        "thresholds": None if thresholds is None else thresholds.tolist(),
        "slots": list(slots) if slots else None,
        "frames": None if frames is None else [list(frames.smallest), list(frames.largest)],
        "outputs": [
            {"name": name, "color": color}
            for name, color in zip(vocabulary.outputs, vocabulary.palette.tolist(), strict=True)
        ],
    }
