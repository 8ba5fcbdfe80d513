"""The engines of a bundle: which are there, which fit, and why the others do not."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from edge_ovss.errors import ArtifactError
from edge_ovss.runtime.bundle import Bundle
from edge_ovss.runtime.engines.frames import FrameRange, Size, text
from edge_ovss.runtime.engines.key import (
    Difference,
    EngineKey,
    Surroundings,
    differences,
    graph_hash,
)
from edge_ovss.runtime.engines.machine import Gpu
from edge_ovss.runtime.engines.record import PLAN, BuildRecord, read_record

ENGINES = "engines"


@dataclass(frozen=True)
class Engine:
    """An engine in its folder."""

    folder: Path
    record: BuildRecord

    @property
    def plan(self) -> Path:
        """The file that TensorRT reads."""
        return self.folder / PLAN

    @property
    def frames(self) -> FrameRange:
        """The frame sizes that it takes."""
        return self.record.key.frames


def list_engines(bundle: Bundle, backend: str) -> list[Engine]:
    """Return the engines of a backend, the last built first; folders without a record are left out.

    Raises:
        BundleError: The folder of engines is a link that leaves the bundle.
    """
    folder = bundle.file(ENGINES)
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.glob(f"{backend}-*")):
        try:
            record = read_record(path)
        except ArtifactError:
            continue
        if record.key.surroundings.backend == backend:
            found.append(Engine(path, record))
    return sorted(found, key=lambda engine: engine.record.created, reverse=True)


def fitting_engines(bundle: Bundle, here: Surroundings, gpu: Gpu | None) -> list[Engine]:
    """Return the engines that may be loaded here, the last built first.

    Raises:
        ArtifactError: There is none; the message says in what each differs, and how to build one.
    """
    engines = list_engines(bundle, here.backend)
    if not engines:
        message = f"The bundle '{bundle.path.name}' has no engine for {here.backend}."
        raise ArtifactError(message, hint=f"Build one here: {build_command(bundle, here.backend)}")
    graph = graph_hash(bundle)
    found = {
        engine.folder.name: differences(engine.record.key, graph=graph, here=here, gpu=gpu)
        for engine in engines
    }
    fitting = [engine for engine in engines if not found[engine.folder.name]]
    if not fitting:
        _refuse(bundle, engines[0].record.key, found)
    return fitting


def _refuse(bundle: Bundle, key: EngineKey, found: dict[str, list[Difference]]) -> NoReturn:
    lines = [f"  {name}: {'; '.join(map(str, items))}" for name, items in found.items()]
    message = "No engine of the bundle fits this machine:\n" + "\n".join(lines)
    command = build_command(bundle, key.surroundings.backend, frames=key.frames)
    raise ArtifactError(message, hint=f"Build it again here: {command}")


def choose_engine(bundle: Bundle, engines: list[Engine], size: Size) -> Engine:
    """Return the engine for a frame size: pinned before ranged, then the last built.

    Raises:
        ArtifactError: None takes that size.
    """
    taking = [engine for engine in engines if size in engine.frames]
    if taking:
        return min(taking, key=lambda engine: not engine.frames.is_pinned)
    sizes = ", ".join(str(engine.frames) for engine in engines)
    message = f"The frame is {text(size)}; the engines of the bundle take: {sizes}."
    backend = engines[0].record.key.surroundings.backend
    command = build_command(bundle, backend, frames=FrameRange.pinned(size))
    raise ArtifactError(message, hint=f"Give frames of such a size, or build: {command}")


def check_plan(bundle: Bundle, engine: Engine) -> bytes:
    """Return the plan after checking who may write it, and its sha256.

    A plan is native code: loading it is running it.

    Raises:
        ArtifactError: It has been changed, cannot be read, or others may write it.
    """
    bound = engine.record.key.surroundings
    command = build_command(bundle, bound.backend, frames=engine.frames, overwrite=True)
    if bound.device is None:  # it was built for GPUs that were named
        command += f" --compute-capability {','.join(bound.capabilities)}"
    try:
        _check_owner(engine.folder)
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


def _check_owner(folder: Path) -> None:
    """Refuse a folder into which another user could have put native code."""
    if os.name == "nt":
        return
    for path in (folder, folder / PLAN):
        facts = path.stat()
        others = facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if others or facts.st_uid not in (0, os.geteuid()):
            message = f"Other users may write '{path.name}' of engine '{folder.name}'."
            hint = f"An engine is native code. If it is yours: chmod -R go-rwx '{folder}'"
            raise ArtifactError(message, hint=hint)


def build_command(
    bundle: Bundle, backend: str, *, frames: FrameRange | None = None, overwrite: bool = False
) -> str:
    """Return the command that builds an engine here."""
    parts = ["edge-ovss build", str(bundle.path), f"--backend {backend}"]
    if frames is not None:
        parts.append(frames.options())
    if overwrite:
        parts.append("--overwrite")
    return " ".join(parts)
