"""Show addresses without user name, password and query."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>`]*")
_AUTHORITY = re.compile(r"[^/?#\\]*")
# An IPv6 address in brackets or a name, and a port. With more colons it is part of a user name.
_HOST = re.compile(r"(\[[^\[\]@/]*\]|[^:\[\]@]*)(:\d*)?")
# Some cameras expect the password in the path: rtsp://host/user=admin_password=…_channel=1.
_ASSIGNED = re.compile(r"/[^/]*=.*", re.DOTALL)
_PROPERTY = re.compile(r"\b((?:user|proxy)-(?:id|pw)|user|pass|passwd|password|token)=\S+", re.I)
_WITHOUT_SECRETS = ("synthetic", "v4l2", "csi", "bag")
# user:password@host without a scheme, or with one that lacks a slash.
_BARE = re.compile(r"^[^/\\\s]*:\S*@")
_BARE_QUERY = re.compile(r"\?\S*=.*", re.DOTALL)


def shown_address(text: str) -> str:
    """Return an address, a pipeline or a path without secrets.

    User name, password, query and fragment are removed. If the extent of a password is unclear, as
    with an "@" in the path, only the scheme is left. Paths are returned unchanged.

    Args:
        text: The user's input, such as "rtsp://me:secret@10.0.0.7/1?token=x", or a GStreamer
            pipeline that contains such an address.
    """
    if _SCHEME.match(text):
        return _shown(text)
    if "://" in text:
        return without_secrets(text)
    return _BARE_QUERY.sub("", _BARE.sub("…@", text))


def without_secrets(message: str) -> str:
    """Return a message with every address in it as `shown_address` shows it."""
    if "://" not in message:
        return message
    return _PROPERTY.sub(r"\1=…", _ADDRESS.sub(lambda found: _shown(found[0]), message))


def _shown(address: str) -> str:
    scheme, _, rest = address.partition("://")
    kind = scheme.lower()
    if kind in _WITHOUT_SECRETS and "@" not in rest:
        return address  # the options are not secret, and errors about them must show them
    authority = _AUTHORITY.match(rest)[0]  # type: ignore[index]
    tail = rest[len(authority) :]
    host = authority.rpartition("@")[2]
    # In hf://owner/name/file@revision the "@" does not end a password.
    if not _HOST.fullmatch(host) or ("@" in tail and kind != "hf"):
        return f"{scheme}://…"
    path = re.split(r"[?#;\\]", tail, maxsplit=1)[0]
    return f"{scheme}://{host}{_ASSIGNED.sub('/…', path)}"
