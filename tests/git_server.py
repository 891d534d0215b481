"""Git repositories behind a local HTTP server that can misbehave: what a mirror of TAO looks like."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.repositories import git

CUT_AT = 2000
"""Bytes of a pack that a cutting server sends, and that a stuck one sends before it falls silent."""


class GitServer:
    """Serves folders of repositories; *mode* says how: well, cut, stuck, silent, or an HTTP status."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mode: str | int = "well"
        self.requests: list[str] = []
        self.stuck = threading.Event()
        self.released = threading.Event()
        handler = functools.partial(_Handler, outer=self)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    @property
    def address(self) -> str:
        """What goes into PORTER_TAO_MIRROR."""
        return f"http://127.0.0.1:{self.port}/mirror"

    def add(self, original: Path, name: str) -> None:
        """Serve a bare copy of *original*, packed, as ``mirror/<name>``."""
        bare = self.root / "mirror" / name
        git(original, "clone", "-q", "--bare", str(original), str(bare))
        git(bare, "repack", "-q", "-a", "-d")
        git(bare, "update-server-info")

    @contextmanager
    def running(self) -> Iterator[GitServer]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, outer: GitServer) -> None:
        self.outer = outer
        super().__init__(*arguments, directory=str(outer.root))

    def do_GET(self) -> None:
        self.outer.requests.append(self.path)
        mode = self.outer.mode
        if isinstance(mode, int):
            self.send_response(mode)
            if mode == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="mirror"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif mode == "silent":
            self.outer.stuck.set()
            self.outer.released.wait()
        elif mode in ("cut", "stuck") and self.path.endswith(".pack"):
            data = Path(self.translate_path(self.path)).read_bytes()
            assert len(data) > CUT_AT
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:CUT_AT])
            self.wfile.flush()
            if mode == "stuck":
                self.outer.stuck.set()
                self.outer.released.wait()
            self.close_connection = True
        else:
            super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass
