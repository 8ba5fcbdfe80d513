"""Engines that ONNX Runtime compiles, kept in the bundle like those of `edge-ovss build`.

What is kept is an ONNX file with an EPContext node, in which the engine is embedded. It is native
code like every plan: its key and its hash are compared before ONNX Runtime reads it. Because it
comes back in seconds, one that does not fit is not an error: it is compiled again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edge_ovss._files import sha256_of_file, write_json
from edge_ovss._leftovers import RANDOM, entries, new_folder, remove_abandoned
from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.manifest import now
from edge_ovss.bundle.reader import ENGINES, Bundle
from edge_ovss.bundle.replacement import move_into_place
from edge_ovss.errors import ArtifactError, EdgeOvssError
from edge_ovss.runtime.plug_in.library import BACKEND, tf32_is_allowed
from edge_ovss.runtime.trt.engine_key import EngineKey, Flags, Surroundings
from edge_ovss.runtime.trt.engine_record import PLAN, BuildRecord, Proof, read_record
from edge_ovss.runtime.trt.engine_store import Engine, check_plan
from edge_ovss.runtime.trt.frame_sizes import FrameRange, Size
from edge_ovss.runtime.trt.gpu import Gpu, platform_name

_log = logging.getLogger(__name__)
_KERNELS, _HASHES = "kernels", "kernels.json"
_UNPROVED = "ONNX Runtime compiled it for a frame; edge-ovss selftest compares its output"
_UNFINISHED = re.compile(rf"\.build-{RANDOM}")

Compile = Callable[[Path], None]
"""Writes the compiled graph to a file."""


def context_key(bundle: Bundle, library: str, gpu: Gpu, size: Size) -> EngineKey:
    """Return the key of an engine for this GPU and frames of one size."""
    surroundings = Surroundings(
        backend=BACKEND,
        library=library,
        platform=platform_name(),
        capabilities=(gpu.capability,),
        device=gpu.name,
        system=gpu.system,
    )
    flags = Flags(tf32=tf32_is_allowed())
    return EngineKey(graph_hash(bundle), surroundings, FrameRange.pinned(size), flags)


def find_context(bundle: Bundle, key: EngineKey) -> Engine | None:
    """Return the engine of a key; None if there is none that may be used."""
    place = bundle.file(ENGINES) / key.name
    if not place.is_dir():
        return None
    try:
        engine = Engine(place, read_record(place))
        check_plan(bundle, engine)
    except ArtifactError as err:
        _log.warning("%s It is compiled again.", err.message)
        return None
    if engine.record.key != key:
        _log.warning("The record of engine '%s' was changed. It is compiled again.", place.name)
        return None
    return engine


def make_context(bundle: Bundle, key: EngineKey, compile_to: Compile) -> Engine | None:
    """Compile a graph into the bundle; None if the bundle cannot be written.

    Raises:
        EdgeOvssError: Whatever `compile_to` raises.
    """
    place = bundle.file(ENGINES) / key.name
    try:
        place.parent.mkdir(exist_ok=True)
        for path in entries(place.parent, _UNFINISHED):
            remove_abandoned(path)
        held = new_folder(place.parent, ".build-")  # of mode 0700
    except OSError as err:
        _log.warning("The engine is not kept: '%s' cannot be written (%s).", place.parent, err)
        return None
    try:
        record = _fill(bundle, key, held.path, compile_to)
        move_into_place(held.path, place, overwrite=True)
    except OSError as err:
        _log.warning("The engine is not kept: %s.", err.strerror or err)
        return None
    finally:
        shutil.rmtree(held.path, ignore_errors=True)
        held.release()
    return Engine(place, record)


def _fill(bundle: Bundle, key: EngineKey, folder: Path, compile_to: Compile) -> BuildRecord:
    plan, start = folder / PLAN, time.monotonic()
    compile_to(plan)
    if not plan.is_file():
        message = "ONNX Runtime compiled the graph and wrote nothing."
        raise ArtifactError(message, hint="Use --backend onnxruntime-cuda or tensorrt-rtx.")
    plan.chmod(0o600)
    record = BuildRecord(
        key=key,
        sha256=sha256_of_file(plan),
        size=plan.stat().st_size,
        created=now(),
        labels=bundle.manifest.output.labels_dtype,
        layers={},
        seconds={"build": round(time.monotonic() - start, 3)},
        warnings=(),
        proof=Proof("not run", reason=_UNPROVED),
        precision=bundle.manifest.precision,
    )
    record.write(folder)
    return record


def open_kernels(engine: Engine) -> Path | None:
    """Return the folder in which the plug-in keeps the kernels of an engine, checked.

    They are native code too. What differs from the hashes that `close_kernels` left is removed, and
    compiled again. None if the folder cannot be written.
    """
    folder = engine.folder / _KERNELS
    try:
        if folder.is_dir() and _hashes(folder) != _known(engine.folder / _HASHES):
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return None
    return folder


def close_kernels(engine: Engine) -> None:
    """Write down the hashes of the kernels; called when no session uses them any more."""
    folder = engine.folder / _KERNELS
    with suppress(OSError, EdgeOvssError):
        if folder.is_dir() and _hashes(folder) != _known(engine.folder / _HASHES):
            write_json(engine.folder / _HASHES, _hashes(folder))


def _hashes(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.is_symlink()
    }


def _known(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
