"""Fetching checkpoints from the network, with a clear word where there is none."""

from __future__ import annotations

import hashlib
import shutil
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from edge_ovss._addresses import shown_address, without_secrets
from edge_ovss._cache import cache_folder
from edge_ovss._leftovers import new_part, remove_parts
from edge_ovss._optional import require
from edge_ovss.errors import CheckpointError

_TIMEOUT_S = 30.0


def fetch_checkpoint(spec: str | Path) -> Path:
    """Return the local file of a checkpoint, downloading it first where `spec` is an address.

    Args:
        spec: A path; "https://host/file", kept under the cache folder; or
            "hf://owner/name/file[@revision]", kept in the Hugging Face cache.

    Raises:
        CheckpointError: The address is malformed or cannot be reached.
    """
    text = str(spec)
    if text.startswith("hf://"):
        return _from_hub(text)
    if text.startswith("https://"):
        return _from_web(text)
    if "://" in text:
        shown = shown_address(text)
        message = f"Checkpoint '{shown}' has an unknown scheme; expected a path, https:// or hf://."
        raise CheckpointError(message)
    return Path(spec)


def _from_hub(text: str) -> Path:
    address, _, revision = text.removeprefix("hf://").partition("@")
    parts = address.split("/")
    if len(parts) < 3 or not all(parts):
        message = f"Checkpoint '{shown_address(text)}' is malformed; expected hf://owner/name/file."
        raise CheckpointError(message)
    hub = require("huggingface_hub", extra="export")
    try:
        found = hub.hf_hub_download(
            "/".join(parts[:2]), "/".join(parts[2:]), revision=revision or None
        )
    except Exception as err:  # the hub client has dozens of error types
        raise _unreachable(text, err) from err
    return Path(found)


def _from_web(text: str) -> Path:
    folder = cache_folder() or Path.cwd()
    name = Path(urllib.parse.urlparse(text).path).name or "checkpoint.pth"
    target = folder / "checkpoints" / hashlib.sha256(text.encode()).hexdigest()[:16] / name
    if target.is_file():
        return target
    part = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_parts(target.parent)
        part = new_part(target)
        with (
            urllib.request.urlopen(text, timeout=_TIMEOUT_S) as stream,
            part.path.open("wb") as out,
        ):
            shutil.copyfileobj(stream, out, 1 << 20)
        part.path.replace(target)
    except (OSError, urllib.error.URLError, ValueError) as err:
        raise _unreachable(text, err) from err
    finally:
        if part is not None:
            part.path.unlink(missing_ok=True)
            part.release()
    return target


def _unreachable(text: str, err: BaseException) -> CheckpointError:
    reason = without_secrets(str(err).replace(text, shown_address(text)))
    message = (
        f"Checkpoint '{shown_address(text)}' cannot be fetched: {type(err).__name__}: {reason}"
    )
    hint = (
        "Without a network, fetch the file elsewhere and give its path with --checkpoint; "
        "for latency work no checkpoint is needed: --weights random --seed 0."
    )
    return CheckpointError(message, hint=hint)
