"""A small server that speaks the Hub's API to the real huggingface_hub client.

Weights are served as on the Hub: the hub host answers with a redirect to a second host, which
must never see a token. Every request is kept for assertions, with the bytes that its answer had.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

FIRST_COMMIT = "1" * 40
SECOND_COMMIT = "2" * 40
_LARGE = (".safetensors", ".bin", ".pt")


@dataclass
class Repo:
    """A model repository: files by path for each commit, and the branches and tags that name commits."""

    files: dict[str, dict[str, bytes]]
    refs: dict[str, str]
    pipeline_tag: str | None = None
    tags: list[str] = field(default_factory=list)
    private: bool = False
    gated: bool = False
    moved_to: str = ""


@dataclass
class Request:
    """One request that the server got, the size of its answer's body, and whether the client left early."""

    host: str
    method: str
    path: str
    authorised: bool
    range: str
    status: int = 0
    sent: int = 0
    broken_off: bool = False


@dataclass
class Fault:
    """What goes wrong for requests whose path matches.

    Attributes:
        status: answer with this status instead; 0 leaves it.
        body: with *status*: the answer's body.
        cut: send this share of the body, then close the connection.
        short: send half of the body and call it whole.
        alter: replace every byte by its complement.
        seconds: wait before answering.
        stall: after half of the body wait this many seconds, then send the rest.
        whole: send the whole file whatever range is asked for.
        redirect: answer with a redirect to this address instead.
        times: how often it happens.
    """

    path: str
    status: int = 0
    body: bytes = b""
    cut: float | None = None
    short: bool = False
    alter: bool = False
    seconds: float = 0.0
    stall: float = 0.0
    whole: bool = False
    redirect: str = ""
    times: int = 1_000_000


class HubServer:
    """The two hosts; use as a context manager.

    ``others`` names datasets and Spaces: ``datasets`` or ``spaces`` by id.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.others: dict[str, str] = {}
        self.tokens: set[str] = set()
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self._hub = self._listen("hub")
        self._cdn = self._listen("cdn")

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._hub.server_port}"

    @property
    def cdn(self) -> str:
        return f"http://127.0.0.1:{self._cdn.server_port}"

    def add(self, ref: str, files: Mapping[str, bytes], **options: Any) -> Repo:
        """Add a model with one commit on ``main``."""
        repo = Repo(files={FIRST_COMMIT: dict(files)}, refs={"main": FIRST_COMMIT}, **options)
        self.repos[ref] = repo
        return repo

    def seen(self, host: str = "", method: str = "", path: str = "") -> list[Request]:
        """Return the requests that match."""
        with self._lock:
            return [
                r
                for r in self.requests
                if host in ("", r.host) and method in ("", r.method) and re.search(path, r.path)
            ]

    def record(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def fault(self, path: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    def __enter__(self) -> HubServer:
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._hub, self._cdn):
            server.shutdown()
            server.server_close()

    def _listen(self, host: str) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"hub": self, "host": host})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    host: str
    protocol_version = "HTTP/1.1"
    # Head and body leave in two pieces; the second would wait for the client.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.seen = Request(
            host=self.host,
            method=self.command,
            path=path,
            authorised="authorization" in self.headers,
            range=self.headers.get("range", ""),
        )
        self.hub.record(self.seen)
        self.broken = self.hub.fault(path)
        if self.broken and self.broken.seconds:
            time.sleep(self.broken.seconds)
        if self.broken and self.broken.redirect:
            self._send(302, b"", {"Location": self.broken.redirect})
        elif self.broken and self.broken.status:
            self._send(self.broken.status, self.broken.body)
        elif self.host == "cdn":
            self._blob(path)
        elif match := re.fullmatch(r"/api/(datasets|spaces)/(.+)", path):
            self._other(match[1], match[2])
        elif match := re.fullmatch(r"/api/models/(.+?)/tree/([0-9a-f]{40})", path):
            self._tree(match[1], match[2])
        elif match := re.fullmatch(r"/api/models/(.+?)(?:/revision/(.+))?", path):
            self._info(match[1], match[2] or "main")
        elif match := re.fullmatch(r"/(.+?)/resolve/(refs/[^/]+/[^/]+|[^/]+)/(.+)", path):
            self._resolve(match[1], match[2], match[3])
        else:
            self._send(404, b"{}")

    def _repo(self, ref: str) -> Repo | None:
        given = self.headers.get("authorization", "").removeprefix("Bearer ")
        if given and given not in self.hub.tokens:
            self._fail(401, "", "Invalid credentials in Authorization header")
            return None
        repo = self.hub.repos.get(ref)
        if repo is None or (repo.private and not given):
            self._fail(404 if given else 401, "RepoNotFound", "Repository not found")
            return None
        if repo.moved_to:
            self._send(307, b"", {"Location": self.path.replace(ref, repo.moved_to, 1)})
            return None
        return repo

    def _other(self, kind: str, ref: str) -> None:
        if self.hub.others.get(ref) == kind:
            body = {"_id": "0", "id": ref, "sha": FIRST_COMMIT, "siblings": [], "tags": [], "likes": 0}
            self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})
        else:
            self._fail(401, "RepoNotFound", "Repository not found")

    def _info(self, ref: str, revision: str) -> None:
        repo = self._repo(ref)
        if repo is None:
            return
        commit = repo.refs.get(revision, revision)
        if commit not in repo.files:
            self._fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        siblings = []
        for path, data in repo.files[commit].items():
            entry: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": _sha1(data)}
            if path.endswith(_LARGE):
                entry["lfs"] = {"sha256": _sha256(data), "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        body = {
            "_id": "0",
            "id": ref,
            "modelId": ref,
            "sha": commit,
            "private": repo.private,
            "gated": "auto" if repo.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": repo.tags,
            "siblings": siblings,
        }
        if repo.pipeline_tag:
            body["pipeline_tag"] = repo.pipeline_tag
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _tree(self, ref: str, commit: str) -> None:
        repo = self._repo(ref)
        if repo is None:
            return
        rows = []
        for path, data in repo.files[commit].items():
            row: dict[str, Any] = {"type": "file", "oid": _sha1(data), "size": len(data), "path": path}
            if path.endswith(_LARGE):
                row["lfs"] = {"oid": _sha256(data), "size": len(data), "pointerSize": 134}
            rows.append(row)
        self._send(200, json.dumps(rows).encode(), {"Content-Type": "application/json"})

    def _resolve(self, ref: str, revision: str, path: str) -> None:
        repo = self._repo(ref)
        if repo is None:
            return
        commit = repo.refs.get(revision, revision)
        if commit not in repo.files:
            self._fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif path not in repo.files[commit]:
            self._fail(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        elif repo.gated and not self.seen.authorised:
            self._fail(401, "GatedRepo", "Access to this model is restricted")
        else:
            data = repo.files[commit][path]
            headers = {"X-Repo-Commit": commit}
            if path.endswith(_LARGE):
                headers |= {
                    "X-Linked-ETag": f'"{_sha256(data)}"',
                    "X-Linked-Size": str(len(data)),
                    "Location": f"{self.hub.cdn}/{ref}/{commit}/{path}",
                }
                self._send(302, b"", headers)
            else:
                self._file(data, {**headers, "ETag": f'"{_sha1(data)}"'})

    def _blob(self, path: str) -> None:
        for ref, repo in self.hub.repos.items():
            for commit, files in repo.files.items():
                name = path.removeprefix(f"/{ref}/{commit}/")
                if name != path and name in files:
                    self._file(files[name], {"ETag": f'"{_sha256(files[name])}"'})
                    return
        self._send(404, b"")

    def _file(self, data: bytes, headers: dict[str, str]) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.seen.range)
        if not match or (self.broken and self.broken.whole):
            self._send(200, data, {**headers, "Accept-Ranges": "bytes"})
            return
        first = int(match[1])
        last = min(int(match[2] or len(data) - 1), len(data) - 1)
        if first > last:
            self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        part = data[first : last + 1]
        self._send(206, part, {**headers, "Content-Range": f"bytes {first}-{last}/{len(data)}"})

    def _fail(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        extra = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(headers or {})}
        self._send(status, json.dumps({"error": message}).encode(), extra)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        if self.broken and self.broken.alter:
            body = bytes(255 - byte for byte in body)
        if self.broken and self.broken.short:
            body = body[: len(body) // 2]
        self.seen.status = status
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.broken and self.broken.cut is not None:
            body = body[: int(len(body) * self.broken.cut)]
            self.close_connection = True
        self.seen.sent = len(body)
        # The other end may have given up by now.
        try:
            if self.broken and self.broken.stall:
                half = len(body) // 2
                self.wfile.write(body[:half])
                self.wfile.flush()
                time.sleep(self.broken.stall)
                body = body[half:]
            self.wfile.write(body)
        except ConnectionError:
            self.seen.broken_off = True


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
