"""The file of measured timings: its name, and whether it is the one that was asked for."""

from __future__ import annotations

import re
from pathlib import Path

from edge_ovss._files import sha256_of_file
from edge_ovss.bundle.reader import ENGINES
from edge_ovss.errors import ArtifactError
from edge_ovss.runtime.trt.engine_key import EngineKey
from edge_ovss.runtime.trt.engine_record import BuildRecord


def timings_name(key: EngineKey) -> str:
    """Return the name of the file of timings: they hold for one TensorRT and one GPU."""
    places = key.surroundings
    gpu = re.sub(r"[^A-Za-z0-9]+", "_", places.device or "any").strip("_")
    return f"timing-{places.library}-{gpu}-sm{''.join(places.capabilities).replace('.', '')}.cache"


def check_timings(path: Path, wanted: str | None) -> str | None:
    """Return the sha256 of the timings that are there; None if there are none.

    Raises:
        ArtifactError: They are not those that were asked for.
    """
    found = sha256_or_none(path)
    if wanted is not None and found != wanted.lower():
        state = "there are none" if found is None else f"there is {found}"
        message = f"--pin-timings asks for '{wanted}', but in {ENGINES}/{path.name} {state}."
        hint = "Copy the file of the build to repeat (build.json names it), or build without it."
        raise ArtifactError(message, hint=hint)
    return found


def require_timings(record: BuildRecord, wanted: str | None) -> None:
    """Check that an engine which is already there was built with the timings that are asked for.

    Raises:
        ArtifactError: It was built with others, or without any.
    """
    known = record.timings.get("after")
    if wanted is not None and known != wanted.lower():
        state = "without kept timings" if known is None else f"with {known}"
        message = (
            f"--pin-timings asks for '{wanted}', but the engine that is there was built {state}."
        )
        raise ArtifactError(message, hint="Build it again with these: add --overwrite.")


def sha256_or_none(path: Path) -> str | None:
    """Return the sha256 of a file, or None if there is none."""
    return sha256_of_file(path) if path.is_file() else None
