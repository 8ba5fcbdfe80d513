"""Build an engine of a bundle for this machine, or for given compute capabilities."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from edge_ovss._files import make_folder, output_error, sha256_of_file
from edge_ovss._free_memory import available_bytes
from edge_ovss._leftovers import RANDOM, entries, new_folder, remove_abandoned
from edge_ovss._progress import Note, silent
from edge_ovss.bundle.contract import PLACES, TEXT
from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.manifest import now
from edge_ovss.bundle.reader import ENGINES, Bundle
from edge_ovss.bundle.replacement import mend, move_into_place
from edge_ovss.engines.build_process import run_child
from edge_ovss.engines.build_request import BuildOutcome, BuildRequest
from edge_ovss.engines.compatible import check_compatible
from edge_ovss.engines.inspection import size_facts, time_shares
from edge_ovss.engines.timings import (
    check_timings,
    require_timings,
    sha256_or_none,
    timings_name,
)
from edge_ovss.errors import ArtifactError, ParityError, UsageError
from edge_ovss.runtime.trt.compilable import check_compilable
from edge_ovss.runtime.trt.engine_key import HARDWARE, EngineKey, Flags, surroundings_here
from edge_ovss.runtime.trt.engine_record import PLAN, BuildRecord, Proof
from edge_ovss.runtime.trt.engine_store import Engine, check_plan, read_own_record
from edge_ovss.runtime.trt.frame_sizes import FrameRange
from edge_ovss.runtime.trt.gpu import Gpu, choose_capabilities, local_gpu
from edge_ovss.runtime.trt.variants import (
    FLAVORS,
    Flavor,
    flavor_of,
    installed_module,
    library_version,
    load_library,
)

_UNFINISHED = re.compile(rf"\.build-{RANDOM}")
_ASIDE = re.compile(rf"\..+\.old\.{RANDOM}")

# Layer types that the engine of a bundle of this precision must have.
_TYPES = {"fp16": "HALF", "int8": "INT8"}

_MEMINFO = Path("/proc/meminfo")
_LEAST_MIB = 256
_SHOWN = 5


@dataclass(frozen=True)
class BuildOptions:
    """Options of a build.

    Attributes:
        frames: Frame sizes that the engine accepts.
        capabilities: Compute capabilities; None for this machine.
        flags: Options of the builder.
        timing_cache: Keep measured timings in the bundle for the next build.
        pinned_timings: sha256 of the timings to build with; they are not changed. None for any.
        overwrite: Build even if the engine exists.
        allow_float: Share in percent of the heavy layers of an FP16 or INT8 bundle that may run in
            FP32 although its graph asks for less.
    """

    frames: FrameRange
    capabilities: tuple[str, ...] | None = None
    flags: Flags = field(default_factory=Flags)
    timing_cache: bool = False
    pinned_timings: str | None = None
    overwrite: bool = False
    allow_float: float = 0.0


@dataclass(frozen=True)
class Built:
    """An engine, and whether it existed before."""

    engine: Engine
    reused: bool


def build_engine(
    bundle: Bundle, backend: str, options: BuildOptions, *, note: Note | None = None
) -> Built:
    """Build an engine into `BUNDLE/engines/`, whole or not at all.

    An existing engine is not rebuilt, but it is checked against the reference output if it was not
    checked before.

    Args:
        bundle: The bundle, opened with its files verified.
        backend: "tensorrt" or "tensorrt-rtx".
        options: The options of the build.
        note: Called with one line of text at every step.

    Raises:
        UsageError: The backend has no engines, or the options do not fit it.
        MissingDependencyError: TensorRT, or the GPU that it must measure on, is missing.
        ArtifactError: The graph cannot be built; the message says so if memory ran out.
        ParityError: The engine does not reproduce the bundle's reference output; it is not kept.
        OutputError: The bundle is not writable.
    """
    note = note or silent
    flavor = flavor_of(backend)
    check_bundle(bundle, flavor, options)
    library = load_library(flavor)
    gpu = local_gpu()
    key = make_key(bundle, flavor, library, options, gpu)
    engines = make_folder(bundle.file(ENGINES))
    mend_engines(engines)
    place = engines / key.name
    if place.is_dir() and not options.overwrite:
        engine = _existing(bundle, place, key, gpu, note)
        require_timings(engine.record, options.pinned_timings)
        return Built(engine, reused=True)
    module = str(installed_module(flavor))
    timings = place.parent / timings_name(key)
    before = check_timings(timings, options.pinned_timings)
    with Workshop(place) as folder:
        request = make_request(bundle, key, module, folder, options, timings)
        request = replace(request, workspace_mib=_workspace(options.flags, gpu, note))
        note(f"building for {', '.join(key.surroundings.capabilities)}, frames {key.frames}")
        outcome = run_child(request, folder, note)
        record = _record(bundle, key, folder, outcome)
        if request.timing_cache is not None:
            facts = {"file": timings.name, "before": before, "after": sha256_or_none(timings)}
            record = replace(record, timings=facts)
        _check_precision(record)
        check_fusion(record, options.allow_float)
        record = _prove(bundle, folder, record, gpu, note, outcome.precisions)
        record.write(folder)
    return Built(Engine(place, record), reused=False)


def check_bundle(bundle: Bundle, flavor: Flavor, options: BuildOptions) -> None:
    """Reject a bundle that this variant of TensorRT cannot build, before anything is started.

    Raises:
        UsageError: A timing cache is requested, but the variant has none.
        ArtifactError: The graph has shapes that depend on the image, or is INT8 for CPUs.
    """
    check_compilable(bundle)
    if (options.timing_cache or options.pinned_timings) and not flavor.timing_cache:
        message = f"{flavor.title} does not measure while it builds, so it has no timing cache."
        raise UsageError(message, hint="Omit --timing-cache and --pin-timings.")


def make_key(
    bundle: Bundle,
    flavor: Flavor,
    library: ModuleType,
    options: BuildOptions,
    gpu: Gpu | None,
) -> EngineKey:
    """Return the key of the engine that would be built.

    Raises:
        UsageError: TensorRT cannot build for a requested capability.
        ArtifactError: It needs a GPU, or does not run on the local one.
    """
    capabilities = choose_capabilities(flavor, options.capabilities, gpu)
    if flavor.needs_gpu and gpu is None:
        message = f"{flavor.title} measures on the target GPU while it builds; none was found."
        hint = "Copy the bundle to the device and build there; --backend tensorrt-rtx needs no GPU."
        raise ArtifactError(message, hint=hint)
    version = library_version(library)
    here = surroundings_here(flavor, version=version, capabilities=capabilities, gpu=gpu)
    if options.flags.compatible:
        check_compatible(flavor, options.flags.compatible, gpu)
        if HARDWARE in options.flags.compatible:
            here = replace(here, device=None, system=None)
    return EngineKey(graph_hash(bundle), here, options.frames, options.flags)


def make_request(
    bundle: Bundle, key: EngineKey, module: str, folder: Path, options: BuildOptions, timings: Path
) -> BuildRequest:
    """Return the request for the child process."""
    local_only = FLAVORS[key.surroundings.backend].needs_gpu
    return BuildRequest(
        module=module,
        graph=str(bundle.graph_path),
        plan=str(folder / PLAN),
        input=bundle.manifest.picture.input,
        frames=(key.frames.smallest, key.frames.best, key.frames.largest),
        fixed=_shapes_of_words(bundle),
        capabilities=() if local_only else key.surroundings.capabilities,
        widen_labels=bundle.manifest.output.labels_dtype == "uint16",
        optimization_level=key.flags.optimization_level,
        workspace_mib=key.flags.workspace_mib,
        tf32=key.flags.tf32,
        compatible=key.flags.compatible,
        timing_cache=str(timings) if options.timing_cache or options.pinned_timings else None,
        pinned=options.pinned_timings is not None,
    )


def _shapes_of_words(bundle: Bundle) -> dict[str, tuple[int, ...]]:
    """Return the shapes of an open graph's words: an engine takes all places, used or empty."""
    info = bundle.manifest.open
    if info is None or info.is_fixed:
        return {}
    return {TEXT: (info.places, info.prompts, info.width), PLACES: (info.places,)}


def _workspace(flags: Flags, gpu: Gpu | None, note: Note) -> int | None:
    """Return the limit in MiB; a default is not part of the key, because it varies."""
    if flags.workspace_mib is not None:
        return flags.workspace_mib
    limit = default_workspace_mib(gpu, free_memory_mib())
    if limit is not None:
        note(f"workspace limited to {limit} MiB, half of what is free (--workspace changes it)")
    return limit


def free_memory_mib(meminfo: Path = _MEMINFO) -> int | None:
    """Return the memory available to programs in MiB; None if unknown."""
    found = available_bytes(meminfo)
    return None if found is None else found >> 20


def default_workspace_mib(gpu: Gpu | None, free_mib: int | None) -> int | None:
    """Return the limit to use if the user gives none; None leaves it to the builder.

    On a Jetson, GPU and system share memory: a builder that takes all of it is killed, and the
    desktop with it, so it gets half of what is free. A limit that is too small silently drops the
    fused attention kernels, so it is at least 256 MiB.
    """
    if gpu is None or not gpu.jetson or free_mib is None:
        return None
    return max(_LEAST_MIB, free_mib // 2)


def _existing(bundle: Bundle, place: Path, key: EngineKey, gpu: Gpu | None, note: Note) -> Engine:
    """Return an existing engine; check one that was built elsewhere, and remove it if it fails."""
    record = read_own_record(bundle, place, key)
    check_plan(bundle, Engine(place, record))
    if record.proof.state != "passed":
        try:
            record = _prove(bundle, place, record, gpu, note)
        except ParityError:
            shutil.rmtree(place)
            raise
        record.write(place)
    return Engine(place, record)


def mend_engines(engines: Path) -> None:
    """Remove leftovers of killed builds, and restore an engine that they moved aside."""
    for path in entries(engines, _UNFINISHED):
        remove_abandoned(path)
    for path in entries(engines, _ASIDE):
        mend(engines / path.name[1 : -len(".old.12345678")])


class Workshop:
    """A folder that becomes `place` if the `with` block succeeds, and is removed otherwise."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __enter__(self) -> Path:
        try:
            # It has mode 0700: a plan is native code, which nobody else may write.
            self.held = new_folder(self.place.parent, ".build-")
        except OSError as err:
            raise output_error(self.place, err) from err
        return self.held.path

    def __exit__(self, kind: object, err: object, trace: object) -> None:
        try:
            if err is None:
                move_into_place(self.held.path, self.place, overwrite=True)
        except OSError as fault:
            raise output_error(self.place, fault) from fault
        finally:
            shutil.rmtree(self.held.path, ignore_errors=True)
            self.held.release()


def _record(bundle: Bundle, key: EngineKey, folder: Path, outcome: BuildOutcome) -> BuildRecord:
    plan = folder / PLAN
    plan.chmod(0o600)
    return BuildRecord(
        key=key,
        sha256=sha256_of_file(plan),
        size=plan.stat().st_size,
        created=now(),
        labels=outcome.labels,
        layers=outcome.layers,
        seconds=outcome.seconds,
        warnings=outcome.warnings,
        proof=Proof("not run", reason="just built"),
        precision=bundle.manifest.precision,
        inspection=_with_size(bundle, plan, outcome.inspection),
    )


def _with_size(
    bundle: Bundle, plan: Path, inspection: Mapping[str, object] | None
) -> dict[str, object]:
    """Return what is known of the layers, with the plan's size beside that of the graph."""
    files = (bundle.graph_path, *(bundle.file(name) for name in bundle.graph.external_data))
    graph = sum(path.stat().st_size for path in files)
    return {**(inspection or {}), "size": size_facts(plan.stat().st_size, graph)}


def _check_precision(record: BuildRecord) -> None:
    """Raise an error if an engine that should be FP16 or INT8 is not."""
    for name, kind in _TYPES.items():
        if name in record.precision and kind not in record.layers:
            found = ", ".join(f"{count} {layer}" for layer, count in record.layers.items())
            message = f"The bundle is {record.precision}, but no layer is {kind}: {found}."
            raise ArtifactError(message, hint="Export the bundle again with that --precision.")


def check_fusion(record: BuildRecord, allowed: float) -> None:
    """Raise an error if too many heavy layers run in FP32 although the graph asks for less."""
    share: Any = record.inspection.get("float_share", 0.0)
    if record.precision == "fp32" or 100 * share <= allowed:
        return
    names: Any = record.inspection["float_layers"]
    count: Any = record.inspection["float_count"]
    more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
    message = (
        f"The bundle is {record.precision}, but {count} heavy layers of the engine "
        f"({100 * share:.1f} %) run in FP32: {', '.join(names[:_SHOWN])}{more}."
    )
    hint = f"If that is fast enough, build with --allow-float {100 * share + 0.1:.1f}."
    raise ArtifactError(message, hint=hint)


def _prove(
    bundle: Bundle,
    folder: Path,
    record: BuildRecord,
    gpu: Gpu | None,
    note: Note,
    precisions: Mapping[str, str] | None = None,
) -> BuildRecord:
    """Compare an engine's output, and time its layers if their precisions are known."""
    reason = why_not_run(record, gpu)
    if reason is not None:
        return _proved(record, Proof("not run", reason=reason))
    from edge_ovss.engines.proof import prove
    from edge_ovss.runtime.trt.backend import open_engine

    note("comparing its output with the bundle's")
    backend = open_engine(bundle, Engine(folder, record))
    with backend:
        record = _proved(record, prove(bundle, backend, record.key))
        if precisions and record.proof.state == "passed":
            time = time_shares(backend.layer_times(), precisions)
            record = replace(record, inspection={**record.inspection, "time": time})
        return record


def why_not_run(record: BuildRecord, gpu: Gpu | None) -> str | None:
    """Return why an engine cannot run on the machine that built it, or None if it can."""
    if gpu is None:
        return "there is no NVIDIA GPU with a driver on this machine"
    if gpu.capability not in record.key.surroundings.capabilities:
        return f"this machine's GPU has compute capability {gpu.capability}"
    return None


def _proved(record: BuildRecord, proof: Proof) -> BuildRecord:
    return replace(record, proof=proof)
