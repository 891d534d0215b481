"""The manifest of a bundle, and holding its files against it."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from porter import cache
from porter.atomic import write_atomic
from porter.errors import WorkspaceError
from porter.hub.digests import Digests
from porter.records.base import from_json, to_json
from porter.records.bundle import Bundle, BundledFile

NAME = "porter-bundle.json"
FORMAT = 1


def read(folder: Path) -> Bundle:
    """Return the manifest of the bundle in *folder*, its files there and of the right size.

    Raises:
        WorkspaceError: it is no bundle, one of another porter, or a file is missing or cut off.
    """
    bundle = read_unchecked(folder)
    for file in bundle.files:
        size = _size(folder / file.path)
        if size != file.size:
            raise damaged(
                folder, file.path, "it is missing" if size is None else f"{size} bytes of {file.size}"
            )
    return bundle


def read_unchecked(folder: Path) -> Bundle:
    """Return the manifest of the bundle in *folder*, whatever its files are like.

    Raises:
        WorkspaceError: it is no bundle, or one of another porter.
    """
    path = folder / NAME
    try:
        bundle = from_json(path.read_bytes(), Bundle)
    except (OSError, msgspec.MsgspecError) as error:
        raise WorkspaceError(
            f"{folder} is not a whole bundle",
            why=f"{path} is not there; porter fetch writes it last"
            if isinstance(error, FileNotFoundError)
            else f"{path}: {error}",
            next_step=f"where there is a network: porter fetch HUB-ID --output {shlex.quote(str(folder))}",
        ) from None
    if bundle.format != FORMAT:
        raise WorkspaceError(
            f"the bundle {folder} has another form than this porter reads",
            why=f"porter {bundle.porter} wrote it in form {bundle.format}; this one reads {FORMAT}",
            next_step="fetch it again with this porter",
        )
    for file in bundle.files:
        parts = PurePosixPath(file.path)
        if parts.is_absolute() or ".." in parts.parts:
            raise WorkspaceError(
                f"the bundle {folder} names a file outside of it", why=file.path, next_step="do not use it"
            )
    return bundle


def broken(folder: Path, bundle: Bundle) -> tuple[str, ...]:
    """Return the paths of the files that are not what was fetched."""
    digests = Digests(cache.root() / "digests.json")
    found = tuple(
        file.path
        for file in bundle.files
        if _size(folder / file.path) != file.size or digests.sha256(folder / file.path) != file.sha256
    )
    digests.save()
    return found


def check(
    folder: Path, bundle: Bundle, below: Sequence[str], progress: Callable[[str], None] = lambda _text: None
) -> None:
    """Hold the files that are or lie below one of *below* against their SHA-256.

    Raises:
        WorkspaceError: names the first one that is not what was fetched.
    """
    digests = Digests(cache.root() / "digests.json")
    for file in select(bundle, below):
        progress(f"checking {file.path}")
        try:
            same = digests.sha256(folder / file.path) == file.sha256
        except OSError as error:
            raise damaged(folder, file.path, str(error.strerror)) from None
        if not same:
            raise damaged(folder, file.path, "its SHA-256 is not the one that was recorded")
    digests.save()


def select(bundle: Bundle, below: Sequence[str]) -> tuple[BundledFile, ...]:
    """Return the files that are one of *below*, or lie in one."""
    return tuple(
        file
        for file in bundle.files
        if any(file.path == part or file.path.startswith(f"{part}/") for part in below)
    )


def write(folder: Path, bundle: Bundle) -> Bundle:
    """Write the manifest over everything that lies in *folder*, and return it."""
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != NAME and not _is_draft(path.relative_to(folder))
    )
    digests = Digests(cache.root() / "digests.json")
    files = tuple(
        BundledFile(path=name, size=(folder / name).stat().st_size, sha256=digests.sha256(folder / name))
        for name in names
    )
    digests.save()
    whole = msgspec.structs.replace(bundle, files=files)
    text = to_json(whole)
    if not (folder / NAME).is_file() or (folder / NAME).read_bytes() != text:
        write_atomic(folder / NAME, text)
    return whole


def damaged(folder: Path, path: str, why: str) -> WorkspaceError:
    """Return the error of a file that is not what was fetched."""
    return WorkspaceError(
        f"the bundle's file {path} is damaged",
        why=why,
        next_step=f"copy the bundle again, or mend it where there is a network: porter fetch ... --output "
        f"{shlex.quote(str(folder))}",
    )


def identity(bundle: Bundle) -> str:
    """Return a short name for what is in the bundle."""
    return hashlib.sha256(to_json(bundle)).hexdigest()[:12]


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _is_draft(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts[:1]) or path.name.endswith(".part")
