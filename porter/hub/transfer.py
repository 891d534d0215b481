"""Fetching one large file: what is here already is never asked for again, in this run or in a later one.

The Hub's client starts a file anew in every process, so the partial file is porter's own; the requests
are the client's.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from porter.errors import HubError
from porter.records.inspection import ModelFile, Source

Progress = Callable[[str, int, int], None]
"""Called with a file's name, the bytes that are here and the bytes in all."""


def from_cache(source: Source, file: ModelFile) -> Path | None:
    """Return the file in the cache of the Hub's client where it is whole there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source.ref, file.path, revision=source.sha)
    if not isinstance(found, str):
        return None
    path = Path(found)
    whole = path.is_file() and path.stat().st_size == file.size
    return path if whole and file.sha256 in ("", sha256(path)) else None


def fetch(source: Source, file: ModelFile, partial: Path, endpoint: str, progress: Progress | None) -> None:
    """Fetch *file* into *partial*, going on where an earlier run was cut off, and check it.

    Raises:
        HubError: it is not what the Hub said it is; then *partial* is gone.
        Exception: what the Hub's client raises; then *partial* holds what arrived.
    """
    from huggingface_hub.file_download import http_get

    partial.parent.mkdir(parents=True, exist_ok=True)
    here = partial.stat().st_size if partial.exists() else 0
    if here > file.size:
        here = 0
    if here < file.size:
        location, headers = _locate(source, file, endpoint)
        with _Counting(partial, here, lambda now: progress and progress(file.path, now, file.size)) as target:
            http_get(location, target, resume_size=here, headers=headers, expected_size=file.size)
            target.flush()
            os.fsync(target.fileno())
    if partial.stat().st_size == file.size and file.sha256 in ("", sha256(partial)):
        return
    partial.unlink()
    raise broken(source, file)


def start(source: Source, file: ModelFile, count: int, endpoint: str) -> bytes:
    """Return the first *count* bytes of *file*, fewer where it is shorter.

    A server that ignores the range is left after the first block; the rest of the file is not read.

    Raises:
        HubError: the file is not the one that was listed.
        Exception: what the Hub's client raises.
    """
    from huggingface_hub.file_download import http_get

    count = min(count, file.size)
    location, headers = _locate(source, file, endpoint)
    target = _Start(count)
    with contextlib.suppress(_Enough):
        http_get(
            location,
            target,
            headers={**headers, "Range": f"bytes=0-{count - 1}"},
            expected_size=count,
        )
    return target.getvalue()


def _locate(source: Source, file: ModelFile, endpoint: str) -> tuple[str, dict[str, str]]:
    """Return the address of a file's content and the headers to ask for it with.

    Raises:
        HubError: the Hub offers another file than it listed.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined, unused-ignore]

    from porter import __version__

    about: dict[str, Any] = {"library_name": "hf-tao-porter", "library_version": __version__}
    url = hf_hub_url(source.ref, file.path, revision=source.sha, endpoint=endpoint)
    headers: dict[str, str] = build_hf_headers(**about)
    metadata = get_hf_file_metadata(url, **about)  # type: ignore[arg-type, unused-ignore]
    if metadata.size is not None and metadata.size != file.size:
        raise HubError(
            f"{file.path} of {source.ref} is not the file that was listed.",
            why=f"the Hub listed {file.size} bytes and now offers {metadata.size}",
            next_step="try again; if it stays, the mirror mixes revisions: unset HF_ENDPOINT",
        )
    if urlsplit(metadata.location).netloc != urlsplit(url).netloc:
        # The storage host checks the signature in the address; the token is the Hub's alone.
        headers.pop("authorization", None)
    return metadata.location, headers


def broken(source: Source, file: ModelFile) -> HubError:
    """Return the error of a file that is not what the Hub said it is."""
    return HubError(
        f"{file.path} of {source.ref} arrived broken.",
        why="its SHA-256 is not the one that the Hub states",
        next_step="try again; if it stays, the mirror or proxy alters files",
    )


def sha256(path: Path) -> str:
    """Return the SHA-256 of *path*, 64 hex digits."""
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(8 * 2**20):
            hashed.update(piece)
    return hashed.hexdigest()


class _Counting(io.BufferedRandom):
    """A file that tells how far it has grown; *here* bytes of it are kept."""

    def __init__(self, path: Path, here: int, told: Callable[[int], object]) -> None:
        path.touch()
        super().__init__(io.FileIO(path, "r+"))  # type: ignore[arg-type, unused-ignore]
        self.truncate(here)
        self.seek(here)
        self._told = told

    def write(self, data: object, /) -> int:
        written = super().write(data)  # type: ignore[arg-type]
        self._told(self.tell())
        return written


class _Enough(Exception):  # noqa: N818 - it never leaves this module
    """The bytes that were wanted are here."""


class _Start(io.BytesIO):
    """Takes *count* bytes, and then no more."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def write(self, data: Any, /) -> int:
        left = self._count - self.tell()
        if len(data) > left:
            super().write(data[:left])
            raise _Enough
        return super().write(data)
