"""A camera on the network: a server of MJPEG that can vanish and come back."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

_BOUNDARY = "frame"


class Camera:
    """Serves moving gray images at `fps`; `cut` ends all connections and refuses new ones."""

    def __init__(self, fps: float = 30.0, size: tuple[int, int] = (48, 64), limit: int = 0) -> None:
        import cv2

        self.off, self.silent, self.sent = threading.Event(), threading.Event(), 0
        self._pause_s, self._limit = 1 / fps, limit
        self._jpegs = [
            cv2.imencode(".jpg", np.full((*size, 3), 10 * shade, np.uint8))[1].tobytes()
            for shade in range(20)
        ]
        camera = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera._serve(self)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://me:s3cret@127.0.0.1:{self.port}/live"

    def _serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        if self.off.is_set():
            handler.send_error(503)
            return
        handler.send_response(200)
        kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        handler.send_header("Content-Type", kind)
        handler.end_headers()
        count = 0
        try:
            while not self.off.is_set() and (not self._limit or count < self._limit):
                if not self.silent.is_set():
                    self._send(handler, self._jpegs[count % len(self._jpegs)])
                    count += 1
                time.sleep(self._pause_s)
        except OSError:
            return

    def _send(self, handler: http.server.BaseHTTPRequestHandler, jpeg: bytes) -> None:
        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        handler.wfile.write(head.encode() + jpeg + b"\r\n")
        handler.wfile.flush()
        self.sent += 1

    @contextmanager
    def serving(self) -> Iterator[Camera]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.off.set()
            self._server.shutdown()
            self._server.server_close()
