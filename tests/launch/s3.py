"""An S3 of the tests: moto's server, which speaks the real protocol to the real boto3."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

ACCESS, SECRET = "AKIAHUNTER2HUNTER2", "hunter2-hunter2-hunter2"
BUCKET = "bucket"


class Store:
    """One server with one bucket."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
        )
        self.client.create_bucket(Bucket=BUCKET)

    def put(self, key: str, data: bytes) -> str:
        """Store an object; return its URI."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)
        return f"s3://{BUCKET}/{key}"

    def upload(self, folder: Path, prefix: str) -> str:
        """Store the files of a folder below a prefix; return its URI."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        return f"s3://{BUCKET}/{prefix}"


def serve() -> Iterator[str]:
    """Run a server; yield its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def emptied(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return the server with nothing in it, and set the environment to it."""
    request = urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.loads(answer.read()) == {"status": "ok"}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("S3_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("ACCESS_KEY", ACCESS)
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.setenv("CLOUD_REGION", "us-east-1")
    return Store(endpoint)
