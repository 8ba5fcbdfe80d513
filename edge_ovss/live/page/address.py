"""Where the page listens: `[HOST:]PORT`, and the addresses under which it is reached."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from dataclasses import dataclass

from edge_ovss._safe_text import shown
from edge_ovss.errors import InputError, UsageError

LOOPBACK = "127.0.0.1"
_EXPECTED = "Expected [HOST:]PORT, such as 8080, 0.0.0.0:8080 or [::1]:8080."
_ADDRESS = re.compile(r"(?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9._-]*):)?([0-9]{1,5})")
_LARGEST_PORT = 65535
# Seconds after which the kernel gives up a viewer that takes no data.
_GIVE_UP_S = 20


@dataclass(frozen=True)
class PageAddress:
    """Where the page listens.

    Attributes:
        host: A name or an IP address, without brackets.
        port: 0 to 65535; 0 means any free port.
    """

    host: str = LOOPBACK
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> PageAddress:
        """Read `[HOST:]PORT`.

        Raises:
            UsageError: It has another form.
        """
        found = _ADDRESS.fullmatch(text)
        if found is None or int(found[2]) > _LARGEST_PORT:
            message = f"--serve is '{shown(text)}'. {_EXPECTED}"
            raise UsageError(message, hint=_hint(text))
        return cls((found[1] or LOOPBACK).strip("[]"), int(found[2]))

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"


def _hint(text: str) -> str:
    if text.startswith(("*:", ":")) and text.count(":") == 1:
        return f"For all networks of this machine, give 0.0.0.0{text[text.index(':') :]}."
    return "Without HOST, only this machine can open the page."


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether an IP address, or the name "localhost", reaches only this machine."""
    address = ip_address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an IP address without brackets as a value; None for names."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def listen(address: PageAddress) -> socket.socket:
    """Return a socket that is bound to an address and listens.

    Raises:
        InputError: The port is in use or needs rights, or the host is not one of this machine.
    """
    family, place = _resolved(address)
    server = socket.socket(family, socket.SOCK_STREAM)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # accepted connections inherit it
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * _GIVE_UP_S)
        server.bind(place)
        server.listen()
    except OSError as err:
        server.close()
        raise _refused(address, err) from err
    return server


def _resolved(address: PageAddress) -> tuple[int, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as err:
        message = f"--serve: the host '{shown(address.host)}' is not known: {_reason(err)}."
        raise InputError(message, hint="Give an address of this machine, or 0.0.0.0.") from err
    family, _, _, _, place = found[0]
    return family, (str(place[0]), int(place[1]))


def _refused(address: PageAddress, err: OSError) -> InputError:
    if err.errno == errno.EADDRINUSE:
        message = f"--serve: port {address.port} of {address.host} is in use by another program."
        return InputError(message, hint="Give another port, or 0 for any free one.")
    if err.errno == errno.EACCES:
        message = f"--serve: port {address.port} needs rights that this user does not have."
        return InputError(message, hint="Give a port of 1024 or more.")
    if err.errno == errno.EADDRNOTAVAIL:
        message = f"--serve: '{shown(address.host)}' is not an address of this machine."
        return InputError(message, hint="Give one of its addresses, or 0.0.0.0 for all.")
    return InputError(f"--serve: cannot listen on {address}: {_reason(err)}.")


def _reason(err: Exception) -> str:
    return str(getattr(err, "strerror", None) or err).rstrip(".")


def outward_names() -> tuple[str, ...]:
    """Return the names and addresses under which other machines may reach this one.

    Nothing is sent: connecting a datagram socket only looks up a route.
    """
    names = [socket.gethostname()]
    for family, anywhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((anywhere, 9))
                names.append(str(probe.getsockname()[0]))
        except OSError:
            continue
    return tuple(dict.fromkeys(name for name in names if name))
