"""Who may write what was made from a bundle for one machine: it is run, not just read."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from edge_ovss.errors import ArtifactError


def check_owner(folder: Path, name: str) -> None:
    """Refuse a file of an engine that another user could have written: it is run, not just read.

    Raises:
        ArtifactError: Others may write it, or its file `name`.
        OSError: It cannot be read.
    """
    if os.name == "nt":
        return
    for path in (folder, folder / name):
        facts = path.stat()
        others = facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if others or facts.st_uid not in (0, os.geteuid()):
            message = f"Other users may write '{path.name}' of engine '{folder.name}'."
            command = shlex.join(["chmod", "-R", "go-rwx", str(folder)])
            hint = f"An engine is native code. If it is yours: {command}"
            raise ArtifactError(message, hint=hint)
