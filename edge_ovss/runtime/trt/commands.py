"""The commands that messages print: whole, quoted for a shell, with all options of the key."""

from __future__ import annotations

import shlex

from edge_ovss.bundle.reader import Bundle
from edge_ovss.runtime.trt.engine_key import EngineKey, Flags
from edge_ovss.runtime.trt.frame_sizes import FrameRange


def build_command(
    bundle: Bundle,
    backend: str,
    *,
    frames: FrameRange | None = None,
    flags: Flags | None = None,
    capabilities: tuple[str, ...] = (),
    overwrite: bool = False,
) -> str:
    """Return the command that builds an engine; what is not given is left to its default.

    Args:
        bundle: What to build.
        backend: "tensorrt" or "tensorrt-rtx".
        frames: The frame sizes.
        flags: Knobs of the builder.
        capabilities: Compute capabilities; () for the GPU at hand.
        overwrite: Build even if the engine is there.
    """
    parts = ["edge-ovss", "build", str(bundle.path), "--backend", backend]
    if capabilities:
        parts += ["--compute-capability", ",".join(capabilities)]
    parts += frames.options() if frames is not None else []
    parts += flags.options() if flags is not None else []
    return shlex.join([*parts, *(["--overwrite"] if overwrite else [])])


def rebuild_command(bundle: Bundle, key: EngineKey, *, overwrite: bool = True) -> str:
    """Return the command that builds the engine of `key`, and no other, again."""
    return build_command(
        bundle,
        key.surroundings.backend,
        frames=key.frames,
        flags=key.flags,
        capabilities=named_capabilities(key),
        overwrite=overwrite,
    )


def named_capabilities(key: EngineKey) -> tuple[str, ...]:
    """Return the capabilities that must be named to get `key`; () for the GPU at hand."""
    return key.surroundings.capabilities if key.surroundings.device is None else ()


def selftest_command(bundle: Bundle, backend: str) -> str:
    """Return the command that compares a backend's answer with that of the bundle."""
    return shlex.join(["edge-ovss", "selftest", str(bundle.path), "--backend", backend])
