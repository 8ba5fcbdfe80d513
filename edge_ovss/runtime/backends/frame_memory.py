"""How much memory a frame takes.

What does not fit is refused before it is begun: a process that takes more than there is gets killed
by the system, without a word and perhaps with others.
"""

from __future__ import annotations

from edge_ovss._free_memory import free_bytes
from edge_ovss.bundle.manifest import Manifest
from edge_ovss.errors import ArtifactError

_FLOAT = 4
# Of bundles that do not say what a pixel takes: the frame as floats, turned, and its labels.
_LEAST_BYTES = 28


def pixel_bytes(manifest: Manifest) -> int:
    """Return the bytes that one pixel of a frame takes at least while the graph runs.

    Bundles from before this was in the manifest hold the scores of all slots at the frame's size.
    """
    if manifest.graph.frame_bytes is not None:
        return manifest.graph.frame_bytes
    slots = manifest.rejection.slots or (0,)
    return _LEAST_BYTES + _FLOAT * slots[-1]


def require_memory(
    manifest: Manifest, *, height: int, width: int, held: int = 0, free: int | None = None
) -> int:
    """Refuse a frame that does not fit.

    Args:
        manifest: Of the bundle that shall run.
        height: Of the frame.
        width: Of the frame.
        held: Bytes that earlier frames have taken, and this one takes over.
        free: Bytes that there are; None for what the system says.

    Returns:
        The bytes that the frame takes.

    Raises:
        ArtifactError: It takes more than there is.
    """
    needed = height * width * pixel_bytes(manifest)
    if needed <= held:
        return needed
    room = free_bytes() if free is None else free
    if room is None or needed - held <= room:
        return needed
    message = (
        f"A frame of {height} x {width} takes about {_megabytes(needed)} MB of memory; "
        f"{_megabytes(held + room)} MB are free."
    )
    old = "" if manifest.graph.frame_bytes else ", or export the bundle again: it takes less then"
    raise ArtifactError(message, hint=f"Give smaller frames, close other programs{old}.")


def _megabytes(count: int) -> int:
    return round(count / 1e6)
