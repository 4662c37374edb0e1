"""A runtime that is slow to come: `python -m tests.journeys.late_runtime FOLDER HOST PORT COMMAND...`.

Nothing listens until FOLDER has a file `listens`, everything is 404 until it has `serves`, and then it is the command.
"""

import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

LOOK_S = 0.05


class Page(BaseHTTPRequestHandler):
    """As A1111 with its page, before its API is there."""

    def do_GET(self) -> None:
        self.send_error(404)


def main(folder: str, host: str, port: str, *command: str) -> None:
    listens, serves = Path(folder, "listens"), Path(folder, "serves")
    while not listens.exists():
        time.sleep(LOOK_S)
    with HTTPServer((host, int(port)), Page) as server:
        server.timeout = LOOK_S
        while not serves.exists():
            server.handle_request()
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
