"""Which engines can be made compatible with other GPUs or later versions, and which not."""

from __future__ import annotations

from edge_ovss.errors import UsageError
from edge_ovss.runtime.trt.engine_key import COMPATIBLE, HARDWARE, is_ampere
from edge_ovss.runtime.trt.gpu import Gpu
from edge_ovss.runtime.trt.variants import Flavor


def check_compatible(flavor: Flavor, wanted: tuple[str, ...], gpu: Gpu | None) -> None:
    """Refuse compatibility that this library or this class of device does not offer.

    Raises:
        UsageError: It is a Jetson, a GPU before Ampere, or TensorRT for RTX.
    """
    if not flavor.needs_gpu:
        message = f"{flavor.title} has no --compatible: its engines hold for one of its versions."
        hint = "Name the GPUs instead: --compute-capability 8.6,8.9,12.0."
        raise UsageError(message, hint=hint)
    if gpu is not None and gpu.jetson:
        message = (
            "--compatible is for desktop GPUs: on a Jetson, TensorRT does not offer engines for "
            "other GPUs or versions, and JetPack brings both."
        )
        raise UsageError(message, hint="Leave it out, and build on each device.")
    if HARDWARE in wanted and gpu is not None and not is_ampere(gpu):
        message = (
            f"--compatible hardware needs a GPU of compute capability 8.0 (Ampere) or later; "
            f"{gpu.name} has {gpu.capability}."
        )
        raise UsageError(message, hint="Leave it out, and build on each device.")


def parse_compatible(text: str | None) -> tuple[str, ...]:
    """Read "hardware,version"; None gives nothing.

    Raises:
        UsageError: A word is unknown.
    """
    words = [] if text is None else [word.strip() for word in text.split(",")]
    unknown = [word for word in words if word not in COMPATIBLE]
    if unknown:
        message = f"--compatible has '{unknown[0]}'; expected any of: {', '.join(COMPATIBLE)}."
        raise UsageError(message, hint="Such as --compatible hardware,version.")
    return tuple(word for word in COMPATIBLE if word in words)
