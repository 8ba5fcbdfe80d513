"""A small ready bundle that comes with the package: something to run where torch is not.

`make demo-bundle` makes `street.ovss` anew.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.writer import BundleWriter
from edge_ovss.errors import InputError

STREETS = "synthetic://street?count=4&seed=1000000"
"""Drawn streets that the model was not trained on."""

MOVING_STREET = "synthetic://street?frames=7000&fps=15&speed=2&seed=1000000"
"""A street that moves: 930 m of it, which takes half an hour on two cores."""

_FOLDER = Path(__file__).parent / "street.ovss"


def demo_bundle() -> Path:
    """Return the folder of the ready bundle; nothing is written into it.

    Raises:
        InputError: It is not there, because the package was copied without its data.
    """
    if not (_FOLDER / "manifest.json").is_file():
        message = f"The ready bundle is missing: there is no '{_FOLDER}'."
        raise InputError(message, hint="Install edge-ovss again.")
    return _FOLDER


def copy_demo_bundle(target: str | os.PathLike[str]) -> Path:
    """Copy the ready bundle to a path of your own, where engines can be built for it.

    Args:
        target: Path of the new bundle; missing parent folders are created.

    Returns:
        The new folder, absolute.

    Raises:
        OutputError: It is taken, or cannot be written; then nothing is left there.
        BundleError: The ready bundle is damaged.
    """
    ready = Bundle.open(demo_bundle())
    document = {key: part for key, part in ready.manifest.document.items() if key != "files"}
    with BundleWriter(target) as writer:
        for name in ready.manifest.files:
            # Without the permissions: installed files may be read-only.
            shutil.copyfile(ready.file(name), writer.path(name))
        return writer.finish(document)
