"""Fetching checkpoints from the network, with a clear word where there is none."""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from edge_ovss._addresses import shown_address, without_secrets
from edge_ovss._files import cache_folder, sha256_of_file
from edge_ovss._leftovers import new_part, remove_parts
from edge_ovss._optional import require
from edge_ovss._strict_parsing import read_json
from edge_ovss.errors import CheckpointError, UsageError
from edge_ovss.models.checkpoints.kind import checkpoint_kind
from edge_ovss.models.checkpoints.transfer import transfer

_TIMEOUT_S = 30.0
_NOT_MODIFIED = 304
# "resnet18-f37072fd.pth"
_NAMED_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.[^.]+$")
# Headers that identify a file on a server, and those that ask whether it still has it.
_MARKS = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}

_log = logging.getLogger(__name__)


def fetch_checkpoint(spec: str | Path) -> Path:
    """Return the local file of a checkpoint, downloading it first where `spec` is an address.

    Args:
        spec: A path; "https://host/file", kept under the cache folder, and fetched again where
            the server says that it has a different file; or
            "hf://owner/name/file[@revision]", kept in the Hugging Face cache.

    Raises:
        UsageError: The path is empty.
        CheckpointError: The address is malformed or cannot be reached, the answer is cut off, or
            what came is no checkpoint.
    """
    text = str(spec)
    if not text.strip():
        message = "--checkpoint is empty; expected a file, https:// or hf://."
        raise UsageError(message, hint="Is a variable of the shell not set?")
    scheme = text.partition("://")[0].lower() if "://" in text else None
    if scheme == "hf":
        return _from_hub(text)
    if scheme == "https":
        return _from_web(text)
    if scheme == "http":
        message = f"Checkpoint '{shown_address(text)}' is at an http address; expected https."
        hint = "Anybody on the way can change what http sends. Use https, or fetch it yourself."
        raise CheckpointError(message, hint=hint)
    if scheme is not None:
        shown = shown_address(text)
        message = f"Checkpoint '{shown}' has an unknown scheme; expected a path, https:// or hf://."
        raise CheckpointError(message)
    return Path(spec)


def _from_hub(text: str) -> Path:
    address, _, revision = text.partition("://")[2].partition("@")
    parts = address.split("/")
    if len(parts) < 3 or not all(parts):
        shown = shown_address(text)
        message = f"Checkpoint '{shown}' is malformed; expected hf://owner/name/file."
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
    name = Path(urllib.parse.urlsplit(text).path).name[-128:] or "checkpoint.pth"
    target = folder / "checkpoints" / hashlib.sha256(text.encode()).hexdigest()[:16] / name
    kept = _kept_marks(target)
    if kept == {}:  # nothing to ask the server by
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_parts(target.parent)
        _fetch(text, target, kept or {})
    except (OSError, http.client.HTTPException, ValueError, CheckpointError) as err:
        wrong = err if isinstance(err, CheckpointError) else _unreachable(text, err)
        if kept is None:
            raise wrong from err
        if not (isinstance(err, urllib.error.HTTPError) and err.code == _NOT_MODIFIED):
            _log.warning("%s The copy from before is used.", wrong.message)
    return target


def _fetch(address: str, target: Path, kept: Mapping[str, str]) -> None:
    """Write what an address sends to `target`, whole or not at all.

    Raises:
        HTTPError: The server has the file that is kept already (304), or none.
        OSError: It cannot be reached, or sends less than it said.
        CheckpointError: It sends something else.
    """
    part = new_part(target)
    try:
        asked = {_MARKS[name]: value for name, value in kept.items() if name in _MARKS}
        marks = transfer(address, part.path, target, opened=_open, headers=asked)
        _require_checkpoint(part.path, address)
        digest = sha256_of_file(part.path)
        _require_digest(target.name, digest, address)
        # In this order: a copy without its marks is a copy that nobody asks about.
        _marks_file(target).unlink(missing_ok=True)
        part.path.replace(target)
        if marks:
            marks["sha256"] = digest
            _marks_file(target).write_text(json.dumps(marks), encoding="utf-8")
    finally:
        part.path.unlink(missing_ok=True)
        part.release()


def _require_digest(name: str, digest: str, address: str) -> None:
    """Check the sha256 that a file's name ends with, as names of PyTorch's models do."""
    named = _NAMED_DIGEST.search(name)
    if named is not None and not digest.startswith(named[1]):
        message = (
            f"Checkpoint '{shown_address(address)}' has the sha256 {digest[:12]}…; its name says "
            f"{named[1]}."
        )
        raise CheckpointError(message, hint="The file was changed or damaged; fetch it again.")


def _marks_file(target: Path) -> Path:
    return target.with_name(f"{target.name}.origin.json")


def _kept_marks(target: Path) -> dict[str, str] | None:
    """Return what the server told a kept copy by; None where there is none, or it was damaged."""
    try:
        marks: dict[str, str] = read_json(_marks_file(target))
        return marks if marks["sha256"] == sha256_of_file(target) else None
    except FileNotFoundError:
        return {} if target.is_file() else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows no redirection to an address without encryption."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Refuse what is not https."""
        if not newurl.lower().startswith("https://"):
            message = f"it leads on to '{shown_address(newurl)}', which is not https"
            raise urllib.error.URLError(message)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(address: urllib.request.Request) -> Any:  # noqa: ANN401 (http.client.HTTPResponse, or a test's own)
    opener = urllib.request.build_opener(_HttpsOnly)
    return opener.open(address, timeout=_TIMEOUT_S)


def _require_checkpoint(part: Path, text: str) -> None:
    shown = shown_address(text)
    if checkpoint_kind(part, shown=shown) == "index":
        message = f"Checkpoint '{shown}' is the index of a checkpoint in several files."
        hint = "Download it and all files that it names into one folder, and give its path."
        raise CheckpointError(message, hint=hint)


def _unreachable(text: str, err: BaseException) -> CheckpointError:
    reason = without_secrets(f"{type(err).__name__}: {err}")
    message = f"Checkpoint '{shown_address(text)}' cannot be fetched: {reason}"
    hint = (
        "Without a network, fetch the file elsewhere and give its path with --checkpoint; "
        "for latency work no checkpoint is needed: --weights random --seed 0."
    )
    return CheckpointError(message, hint=hint)
