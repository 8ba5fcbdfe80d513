"""The engines of a bundle: list them, choose those that fit, and explain why others do not."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from edge_ovss._files import sha256_of_file
from edge_ovss.bundle.hashes.ownership import check_owner
from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.reader import ENGINES, Bundle
from edge_ovss.errors import ArtifactError
from edge_ovss.runtime.trt.commands import (
    build_command,
    named_capabilities,
    rebuild_command,
)
from edge_ovss.runtime.trt.engine_key import (
    Difference,
    EngineKey,
    Surroundings,
    differences,
    key_differences,
)
from edge_ovss.runtime.trt.engine_record import PLAN, RECORD, BuildRecord, read_record
from edge_ovss.runtime.trt.frame_sizes import FrameRange, Size, text
from edge_ovss.runtime.trt.gpu import Gpu

_WITHOUT_ENGINES = ("onnxruntime", "openvino")


@dataclass(frozen=True)
class Engine:
    """An engine in its folder."""

    folder: Path
    record: BuildRecord

    @property
    def plan(self) -> Path:
        """The file that TensorRT loads."""
        return self.folder / PLAN

    @property
    def frames(self) -> FrameRange:
        """The frame sizes that it accepts."""
        return self.record.key.frames


def read_engines(bundle: Bundle, backend: str) -> tuple[list[Engine], list[str]]:
    """Return the engines of a backend, the newest first, and why others cannot be read.

    Raises:
        BundleError: The folder of engines is a link that leads out of the bundle.
    """
    folder = bundle.file(ENGINES)
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    found, complaints = [], []
    for path in paths:
        if not re.fullmatch(f"{backend}-[0-9a-f]{{16}}", path.name):
            continue
        try:
            found.append(Engine(path, read_record(path)))
        except ArtifactError as err:
            complaints.append(err.message)
    found = [engine for engine in found if engine.record.key.surroundings.backend == backend]
    return sorted(found, key=lambda engine: engine.record.created, reverse=True), complaints


def fitting_engines(bundle: Bundle, here: Surroundings, gpu: Gpu | None) -> list[Engine]:
    """Return the engines that may be loaded here, the newest first.

    Raises:
        ArtifactError: There is none; the message says how each differs, and how to build one.
    """
    engines, complaints = read_engines(bundle, here.backend)
    if not engines:
        _refuse_none(bundle, here.backend, complaints)
    graph = graph_hash(bundle)
    found = {
        engine.folder.name: differences(engine.record.key, graph=graph, here=here, gpu=gpu)
        for engine in engines
    }
    fitting = [engine for engine in engines if not found[engine.folder.name]]
    if not fitting:
        _refuse(bundle, engines[0].record.key, found, gpu)
    return fitting


def _refuse_none(bundle: Bundle, backend: str, complaints: list[str]) -> NoReturn:
    message = f"The bundle '{bundle.path.name}' has no engine for {backend}."
    command = build_command(bundle, backend, overwrite=bool(complaints))
    hint = f"Build one here: {command}"
    if complaints:
        message = "\n".join([message, *(f"  {line}" for line in complaints)])
        hint += " (with the frame sizes and flags of the one that cannot be read)"
    raise ArtifactError(message, hint=hint)


def _refuse(
    bundle: Bundle, key: EngineKey, found: dict[str, list[Difference]], gpu: Gpu | None
) -> NoReturn:
    lines = [f"  {name}: {'; '.join(map(str, items))}" for name, items in found.items()]
    message = "No engine of the bundle fits this machine:\n" + "\n".join(lines)
    named = named_capabilities(key)
    command = build_command(
        bundle,
        key.surroundings.backend,
        frames=key.frames,
        flags=key.flags,
        # Without the local GPU in its list, the new engine would not fit here either.
        capabilities=named if gpu is not None and gpu.capability in named else (),
    )
    raise ArtifactError(message, hint=f"Build it again here: {command}")


def choose_engine(bundle: Bundle, engines: list[Engine], size: Size) -> Engine:
    """Return the engine for a frame size: pinned before ranged, then the newest.

    Raises:
        ArtifactError: None accepts that size.
    """
    taking = [engine for engine in engines if size in engine.frames]
    if taking:
        return min(taking, key=lambda engine: not engine.frames.is_pinned)
    sizes = ", ".join(str(engine.frames) for engine in engines)
    message = f"The frame is {text(size)}; the engines of the bundle take: {sizes}."
    like = engines[0].record.key
    command = rebuild_command(
        bundle, replace(like, frames=FrameRange.pinned(size)), overwrite=False
    )
    raise ArtifactError(message, hint=f"Give frames of such a size, or build: {command}")


def read_own_record(bundle: Bundle, folder: Path, key: EngineKey) -> BuildRecord:
    """Return the record of the folder that is named after `key`.

    Raises:
        ArtifactError: It is damaged, or has a different key, so that it cannot be trusted.
    """
    command = rebuild_command(bundle, key)
    try:
        record = read_record(folder)
    except ArtifactError as err:
        raise ArtifactError(err.message, hint=f"Build it again: {command}") from err
    found = key_differences(record.key, key)
    if found:
        message = (
            f"The record of engine '{folder.name}' was changed, or the folder renamed: "
            f"{'; '.join(map(str, found))}."
        )
        raise ArtifactError(message, hint=f"Do not use it; build it again: {command}")
    return record


def check_plan(bundle: Bundle, engine: Engine) -> bytes:
    """Return the plan after checking its write permissions and its sha256.

    A plan is native code: loading it means running it.

    Raises:
        ArtifactError: It was changed, cannot be read, or other users may write it.
    """
    command = rebuild_command(bundle, engine.record.key)
    try:
        check_owner(engine.folder, PLAN)
        plan = engine.plan.read_bytes()
    except OSError as err:
        message = f"Engine '{engine.folder.name}' cannot be read: {err.strerror or err}."
        hint = f"Run as the user who built it, or build it again: {command}"
        raise ArtifactError(message, hint=hint) from err
    digest = hashlib.sha256(plan).hexdigest()
    if digest != engine.record.sha256:
        message = (
            f"The plan of engine '{engine.folder.name}' has been changed: {len(plan)} bytes, "
            f"sha256 {digest[:12]}…; its record says {engine.record.size} bytes, "
            f"{engine.record.sha256[:12]}…."
        )
        raise ArtifactError(message, hint=f"Do not use it; build it again: {command}")
    return plan


def plan_hashes(bundle: Bundle, backend: str) -> dict[str, str]:
    """Return the sha256 of each plan of a backend, as recorded; {} for those without engines."""
    engines, _ = read_engines(bundle, backend)
    return {engine.folder.name: engine.record.sha256 for engine in engines}


def engine_hashes(bundle: Bundle, backend: str) -> dict[str, str]:
    """Return the sha256 of each engine's build record; {} for backends without engines."""
    if backend.startswith(_WITHOUT_ENGINES):
        return {}
    records = sorted((bundle.path / ENGINES).glob(f"*/{RECORD}"))
    return {record.parent.name: sha256_of_file(record) for record in records}
