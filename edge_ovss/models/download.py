"""Fetching checkpoints from the network, with a clear word where there is none."""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from edge_ovss._addresses import shown_address, without_secrets
from edge_ovss._cache import cache_folder
from edge_ovss._checksums import sha256_of_file
from edge_ovss._leftovers import new_part, remove_parts
from edge_ovss._optional import require
from edge_ovss._strict import read_json
from edge_ovss.errors import CheckpointError

_TIMEOUT_S = 30.0
_NOT_MODIFIED = 304
# What a server tells a file by, and how it is asked whether it still has that one.
_ASKED = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}

_log = logging.getLogger(__name__)


def fetch_checkpoint(spec: str | Path) -> Path:
    """Return the local file of a checkpoint, downloading it first where `spec` is an address.

    Args:
        spec: A path; "https://host/file", kept under the cache folder, and fetched again when the
            server has another file; or "hf://owner/name/file[@revision]", kept in the Hugging
            Face cache.

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
    """Return the kept copy of an address while the server says that it has no other file."""
    folder = cache_folder() or Path.cwd()
    name = Path(urllib.parse.urlparse(text).path).name or "checkpoint.pth"
    target = folder / "checkpoints" / hashlib.sha256(text.encode()).hexdigest()[:16] / name
    kept = _marks_of(target)
    part = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_parts(target.parent)
        part = new_part(target)
        marks = _download(text, part.path, kept or {})
        # In this order: without its marks a copy is fetched again, which does no harm.
        _marks_file(target).unlink(missing_ok=True)
        part.path.replace(target)
        if marks:
            marks["sha256"] = sha256_of_file(target)
            _marks_file(target).write_text(json.dumps(marks), encoding="utf-8")
    except (OSError, http.client.HTTPException, ValueError) as err:
        if kept is None:
            raise _unreachable(text, err) from err
        if not (isinstance(err, urllib.error.HTTPError) and err.code == _NOT_MODIFIED):
            _log.warning("'%s' cannot be fetched (%s); the copy from before is used.", name, err)
    finally:
        if part is not None:
            part.path.unlink(missing_ok=True)
            part.release()
    return target


def _download(text: str, part: Path, kept: Mapping[str, str]) -> dict[str, str]:
    """Fetch an address unless the server says that what is kept is still the same.

    Returns:
        What the server tells the file by, {} where it says nothing.

    Raises:
        HTTPError: 304 where it is the same, and whatever else the server says.
        OSError: It cannot be reached, or the file ends early.
    """
    asked = {_ASKED[name]: value for name, value in kept.items() if name in _ASKED}
    request = urllib.request.Request(text, headers=asked)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as stream, part.open("wb") as out:
        shutil.copyfileobj(stream, out, 1 << 20)
        headers = getattr(stream, "headers", None) or {}
    promised = headers.get("Content-Length")
    # A connection that breaks ends a copy in pieces without an error.
    if promised is not None and int(promised) != part.stat().st_size:
        message = f"it ended after {part.stat().st_size} of {promised} bytes"
        raise OSError(message)
    return {name: headers[name] for name in _ASKED if headers.get(name)}


def _marks_file(target: Path) -> Path:
    return target.with_name(f"{target.name}.origin.json")


def _marks_of(target: Path) -> dict[str, str] | None:
    """Return what the server told a kept copy by; None where there is none that can be used."""
    try:
        marks: dict[str, str] = read_json(_marks_file(target))
        return marks if marks["sha256"] == sha256_of_file(target) else None
    except FileNotFoundError:
        return {} if target.is_file() else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


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
