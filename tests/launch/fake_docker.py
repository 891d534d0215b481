"""A Docker daemon of the tests: the few answers that looking at it takes, on a socket of its own."""

from __future__ import annotations

import base64
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote


class Daemon:
    """What the daemon has and was asked.

    Attributes:
        here: references of images that it has.
        registry: status and message by reference of what a registry says; 200 for an image.
        logins: user and password that came along with a question for a registry, or nothing.
        podman: whether it calls itself so, and does not know Docker's way to ask a registry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.here: set[str] = set()
        self.registry: dict[str, tuple[int, str]] = {}
        self.logins: list[dict[str, str]] = []
        self.runtimes: dict[str, Any] = {"runc": {}}
        self.devices: list[dict[str, str]] = []
        self.podman = False
        self.requests: list[tuple[str, str]] = []

    @property
    def host(self) -> str:
        """Its address, as ``DOCKER_HOST`` has it."""
        return f"unix://{self.path}"

    def answer(self, path: str, login: str) -> tuple[int, Any]:
        """Return status and document for a path without its version."""
        if path == "/version":
            name = "Podman Engine" if self.podman else "Engine"
            return 200, {"Version": "28.2.2", "ApiVersion": "1.41", "Components": [{"Name": name}]}
        if path == "/info":
            return 200, {"Runtimes": self.runtimes, "DiscoveredDevices": self.devices}
        for start, end in (
            ("/images/", "/json"),
            ("/distribution/", "/json"),
            ("/libpod/manifests/", "/json"),
        ):
            if path.startswith(start) and path.endswith(end):
                image = unquote(path[len(start) : -len(end)])
                if start == "/images/":
                    return (200, {"Id": "sha256:1"}) if image in self.here else (404, {"message": "none"})
                if (start == "/distribution/") == self.podman:
                    break
                self.logins.append(json.loads(base64.urlsafe_b64decode(login)) if login else {})
                status, said = self.registry.get(image, (404, "manifest unknown"))
                return status, {"message": said, "Descriptor": {"digest": "sha256:2"}, "Platforms": []}
        return 404, {"message": "page not found"}


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@contextmanager
def serve(path: Path) -> Iterator[Daemon]:
    """Run a daemon on a socket while the block runs."""
    daemon = Daemon(path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            daemon.requests.append((self.command, self.path))
            first, slash, rest = self.path.removeprefix("/").partition("/")
            own = f"/{rest}" if slash and first.startswith("v") and "." in first else self.path
            status, document = daemon.answer(own, self.headers.get("X-Registry-Auth", ""))
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "socket"

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = _Server(str(path), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield daemon
    finally:
        server.shutdown()
        server.server_close()
