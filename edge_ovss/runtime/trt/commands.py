"""The complete commands that messages suggest, quoted for a shell."""

from __future__ import annotations

import shlex

from edge_ovss.bundle.reader import Bundle
from edge_ovss.runtime.trt.engine_key import EngineKey, Flags
from edge_ovss.runtime.trt.frame_sizes import FrameRange
from edge_ovss.runtime.trt.variants import FLAVORS


def build_command(
    bundle: Bundle,
    backend: str,
    *,
    frames: FrameRange | None = None,
    flags: Flags | None = None,
    capabilities: tuple[str, ...] = (),
    overwrite: bool = False,
) -> str:
    """Return the command that builds an engine; whatever is not given keeps its default.

    Args:
        bundle: The bundle to build.
        backend: "tensorrt" or "tensorrt-rtx".
        frames: The frame sizes.
        flags: Options of the builder.
        capabilities: Compute capabilities; () for the local GPU.
        overwrite: Build even if the engine exists.
    """
    parts = ["edge-ovss", "build", str(bundle.path), "--backend", backend]
    if capabilities:
        parts += ["--compute-capability", ",".join(capabilities)]
    parts += frames.options() if frames is not None else []
    parts += flags.options() if flags is not None else []
    parts += ["--overwrite"] if overwrite else []
    return shlex.join(parts)


def rebuild_command(bundle: Bundle, key: EngineKey, *, overwrite: bool = True) -> str:
    """Return the command that rebuilds exactly the engine of `key`."""
    return build_command(
        bundle,
        key.surroundings.backend,
        frames=key.frames,
        flags=key.flags,
        capabilities=named_capabilities(key),
        overwrite=overwrite,
    )


def named_capabilities(key: EngineKey) -> tuple[str, ...]:
    """Return the capabilities that must be named to get `key`; () for the local GPU."""
    places = key.surroundings
    flavor = FLAVORS.get(places.backend)
    return () if flavor is not None and flavor.needs_gpu else places.capabilities


def selftest_command(bundle: Bundle, backend: str) -> str:
    """Return the command that checks a backend against the reference output of a bundle."""
    return shlex.join(["edge-ovss", "selftest", str(bundle.path), "--backend", backend])
