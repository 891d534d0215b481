"""A server that answers like that of a Kubernetes cluster, as far as jobs are made, followed and removed."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_GPU = "nvidia.com/gpu"


class Cluster:
    """The server.

    Attributes:
        jobs: as they were posted, by name; *services* likewise.
        statuses: what is said of a job by name: ``active``, ``succeeded`` or ``failed``.
        refusal: code and message of the answer to a job that is posted; None where it is taken.
        secrets: that were seen in a request.
    """

    def __init__(self, gpus: int = 8) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.services: dict[str, dict[str, Any]] = {}
        self.statuses: dict[str, str] = {}
        self.refusal: tuple[int, str] | None = None
        self.gpus = gpus
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None: ...

            def _answer(self, body: Any, code: int = 200) -> None:
                text = body if isinstance(body, str) else json.dumps(body)
                self.send_response(code)
                self.send_header(
                    "Content-Type", "text/plain" if isinstance(body, str) else "application/json"
                )
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def _handle(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else {}
                self._answer(*cluster.answer(self.command, urlsplit(self.path), body))

            do_GET = do_POST = do_DELETE = _handle  # noqa: N815 - the names that are looked up

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def kubeconfig(self, folder: Path) -> Path:
        """Write the file that names the cluster."""
        path = folder / "kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.address}}],
            "users": [{"name": "test", "user": {"token": "of-the-cluster"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path.write_text(json.dumps(config))
        return path

    def answer(self, verb: str, url: Any, body: dict[str, Any]) -> tuple[Any, int]:
        parts = [part for part in url.path.split("/") if part]
        kind, name = (parts[-1], "") if verb == "POST" else (parts[-2] if len(parts) > 2 else "", parts[-1])
        if parts == ["api", "v1"]:
            return {"kind": "APIResourceList", "groupVersion": "v1", "resources": []}, 200
        if parts[-2:] == ["namespaces", "kube-system"]:
            return {"metadata": {"name": "kube-system", "uid": "cluster-1"}}, 200
        if parts[-1] == "nodes":
            return {"items": [{"metadata": {}, "status": {"allocatable": {_GPU: str(self.gpus)}}}]}, 200
        if verb == "POST" and kind in ("jobs", "services"):
            return self._post(kind, body)
        if parts[-1] == "log":
            lines = ["epoch 1\n", "epoch 2\n"]
            tail = parse_qs(url.query).get("tailLines")
            return "".join(lines[-int(tail[0]) :] if tail else lines), 200
        if parts[-1] == "pods":
            return self._pods(parse_qs(url.query)["labelSelector"][0].removeprefix("job-name=")), 200
        known = {"jobs": self.jobs, "services": self.services}.get(kind, {})
        if name not in known:
            return _status(404, f"{kind} {name} not found"), 404
        if verb == "DELETE":
            return known.pop(name), 200
        said = {"status": {self.statuses.get(name, "active"): 1}} if kind == "jobs" else {}
        return {**known[name], **said}, 200

    def _post(self, kind: str, body: dict[str, Any]) -> tuple[Any, int]:
        if self.refusal is not None and kind == "jobs":
            return _status(*self.refusal), self.refusal[0]
        known = self.jobs if kind == "jobs" else self.services
        name = body["metadata"]["name"]
        body["metadata"]["uid"] = f"uid-of-{name}"
        known[name] = body
        return body, 201

    def _pods(self, job: str) -> dict[str, Any]:
        if job not in self.jobs:
            return {"items": []}
        said = {"succeeded": "Succeeded", "failed": "Failed"}.get(self.statuses.get(job, ""), "Running")
        owner = {
            "kind": "Job",
            "name": job,
            "uid": f"uid-of-{job}",
            "apiVersion": "batch/v1",
            "controller": True,
        }
        metadata = {"name": f"{job}-0", "uid": "pod-1", "ownerReferences": [owner | {"controller": True}]}
        return {"items": [{"metadata": metadata, "status": {"phase": said}}]}


def _status(code: int, message: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}
