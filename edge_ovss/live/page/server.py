"""The web server of the page, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import socket
import threading
from types import ModuleType

from edge_ovss._optional import require
from edge_ovss.errors import UsageError
from edge_ovss.live.page.access import LARGEST_HEADERS, App
from edge_ovss.live.page.address import PageAddress, bracketed, is_loopback, outward_names

TOKEN_VARIABLE = "EDGE_OVSS_PAGE_TOKEN"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")
_MOST_CONNECTIONS = 128
_LARGEST_MESSAGE = 1024
# Seconds that viewers have to leave when the run ends.
_GRACE_S = 1


def require_libraries() -> ModuleType:
    """Import what serves the page, and return uvicorn.

    Raises:
        MissingDependencyError: Something of the extra "serve" is missing.
    """
    require("starlette", extra="serve")
    require("websockets", extra="serve")
    require("cv2", extra="onnxruntime")
    return require("uvicorn", extra="serve")


def choose_token(address: PageAddress, bound_host: str) -> str | None:
    """Return the token that viewers need: the given one, a new one, or None on this machine only.

    Args:
        address: What was asked for.
        bound_host: The IP address that it stands for.

    Raises:
        UsageError: The given token is short, or has characters that a cookie does not take.
    """
    given = os.environ.get(TOKEN_VARIABLE)
    if given:
        if _TOKEN.fullmatch(given):
            return given
        message = f"{TOKEN_VARIABLE} is not a token: expected 16 to 128 letters, digits, - and _."
        raise UsageError(message, hint="Leave it out, and a token is made.")
    return None if is_loopback(bound_host) else secrets.token_urlsafe(24)


def page_urls(address: PageAddress, bound_host: str, token: str | None) -> list[str]:
    """Return what to open in a browser; the token follows a "#", which browsers do not send."""
    anywhere = bound_host in ("0.0.0.0", "::")
    hosts = outward_names() if anywhere else (address.host,)
    tail = "" if token is None else f"#token={token}"
    return [f"http://{bracketed(host)}:{address.port}/{tail}" for host in hosts or ("localhost",)]


class WebServer:
    """Serves an ASGI application on a socket until `close`.

    Args:
        app: The application.
        listener: A socket that listens; closed in the end.
    """

    def __init__(self, app: App, listener: socket.socket) -> None:
        uvicorn = require_libraries()
        config = uvicorn.Config(
            app,
            http="h11",
            ws="websockets-sansio",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS,
            h11_max_incomplete_event_size=LARGEST_HEADERS,
            ws_max_size=_LARGEST_MESSAGE,
            ws_per_message_deflate=False,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=_GRACE_S,
        )
        self._log = logging.getLogger("uvicorn.error")
        self._log.setLevel(logging.ERROR)
        self._server = uvicorn.Server(config)
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="page-server", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._listener]))

    @property
    def alive(self) -> bool:
        """Whether it still serves."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End all connections and the thread."""
        # Viewers that do not leave are cut off, which is no error.
        self._log.setLevel(logging.CRITICAL)
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()
