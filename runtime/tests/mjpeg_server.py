# SPDX-License-Identifier: Apache-2.0
"""A pretended camera on the network: MJPEG over HTTP on a port of this machine.

    mjpeg_server.py IMAGE.jpg PORT_FILE HOW...

Each HOW is one connection that sends an image, in turn; the last one is for all that follow:

    N          send N images, 20 per second, then close the connection
    away       refuse it
    silent     answer, but send nothing
    stall      send five images, wait 3 seconds, and go on without an end

Players may connect and look before they read, so that images are counted, not connections. The port
is written into PORT_FILE. The server ends with its parent, or after a minute.
"""

import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

image, port_file, ways = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), sys.argv[3:]


class Camera(BaseHTTPRequestHandler):
    """Answers one connection as `ways` says."""

    def do_GET(self) -> None:
        """Take the next way, or the last one again."""
        how = ways.pop(0) if len(ways) > 1 else ways[0]
        if how == "away":
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            self.send(how)
        except OSError:
            return

    def send(self, how: str) -> None:
        """Send images until the way ends, or the other side goes."""
        for number in count():
            if number == int(how if how.isdecimal() else 10**9):
                return
            if how == "silent":
                time.sleep(60)
            if how == "stall" and number == 5:
                time.sleep(3)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n\r\n"
            self.wfile.write(head.encode() + image + b"\r\n")
            self.wfile.flush()
            time.sleep(0.05)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


parent = os.getppid()
server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
part = port_file.with_suffix(".part")
part.write_text(str(server.server_address[1]))
part.rename(port_file)
for _ in range(600):
    if os.getppid() != parent:
        break
    time.sleep(0.1)
