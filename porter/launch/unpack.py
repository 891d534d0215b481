"""Unpacking archives of other people: nothing of one leaves its folder, and no device comes out of it."""

from __future__ import annotations

import errno
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from porter.errors import DataError

Told = Callable[[int, int], None]
"""Called with the files and the bytes that are there so far."""

FULL = (errno.ENOSPC, errno.EDQUOT)

_BLOCK = 2**20
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    # What the zip module says of an encryption or a compression that it does not know.
    RuntimeError,
    KeyError,
)


def leaves(name: str) -> bool:
    """Return whether a path that an archive or a dataset names is not below the folder that it is put in."""
    return PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts


def unpack(archive: Path, folder: Path, top: str, told: Told = lambda _files, _bytes: None) -> Path:
    """Unpack a tar or zip archive, and return the folder that it becomes.

    Args:
        archive: read by its ending.
        folder: is made, below a folder that is there; what is in it after an error is of no use.
        top: name of the folder that the archive becomes. An archive may bring that folder along, or its
            content alone.
        told: how far it is.

    Raises:
        DataError: the archive is broken or hostile, or the disk is full.
    """
    with explained(archive.name):
        folder.mkdir()
        writer = _Writer(archive.name, folder, told)
        if archive.name.endswith(".zip"):
            with zipfile.ZipFile(archive) as zipped:
                _unzip(zipped, writer)
        else:
            with tarfile.open(archive) as tar:
                _untar(tar, writer)
        return writer.finished(top)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Tell a broken archive, a full disk and a folder that cannot be written from each other.

    Args:
        name: of the archive.

    Raises:
        DataError: for every error that an archive or the disk can make.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise full(name) from error
        closed = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
        raise DataError(
            f"{name} cannot be unpacked.",
            why=str(error),
            next_step="make the file readable and the run's folder writable" if closed else "pack it anew",
        ) from error
    except _BROKEN as error:
        raise DataError(
            f"{name} cannot be unpacked.", why=str(error) or type(error).__name__, next_step="pack it anew"
        ) from error


def full(name: str) -> DataError:
    """Return the error of a disk that has no room for something."""
    return DataError(
        f"There is no room for {name}.",
        why="the disk of the run's folder is full",
        next_step="free some space, or choose a folder of runs on a larger disk: --runs DIR",
    )


def room(needed: int, folder: Path) -> None:
    """Refuse what is larger than the disk before it fills it.

    Raises:
        OSError: there is less room than *needed* bytes.
    """
    if needed > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, "more bytes than the disk has free")


class _Writer:
    """Writes what archives hold below a folder: files and folders at once, links when all of them are there.

    Nothing is ever written through a link. Python's own filter of tar archives is not in every 3.10, had ways
    around it until 2025, and there is none for zip.
    """

    def __init__(self, archive: str, folder: Path, told: Told) -> None:
        self._archive = archive
        self._folder = folder
        self._told = told
        self._links: list[tuple[PurePosixPath, str]] = []
        self._files = self._bytes = 0

    def folder(self, name: str) -> None:
        self._place(name).mkdir(parents=True, exist_ok=True)

    def file(self, name: str, size: int, content: IO[bytes]) -> None:
        path = self._fresh(name)
        room(size, self._folder)
        with path.open("xb") as target:
            while block := content.read(_BLOCK):
                target.write(block)
                self._bytes += len(block)
                self._told(self._files, self._bytes)
        self._count()

    def same(self, name: str, other: str) -> None:
        """Give a file that is there already a second name."""
        path, target = self._fresh(name), self._place(other)
        if not target.is_file():
            raise self.refused(f"{name}, another name of {other}, which does not come before it")
        os.link(target, path)
        self._count()

    def symlink(self, name: str, target: str) -> None:
        self._fresh(name)
        self._links.append((PurePosixPath(name), target))
        self._count()

    def finished(self, top: str) -> Path:
        """Make the links, and return the folder that the archive becomes; no link leads out of that."""
        names = {path.name for path in self._folder.iterdir()} | {link.parts[0] for link, _ in self._links}
        own = self._folder / top
        root = own if names == {top} and own.is_dir() else self._folder
        for link, target in self._links:
            place = self._folder / link
            inside = os.path.normpath(place.parent.relative_to(root) / target)
            if PurePosixPath(target).is_absolute() or leaves(inside):
                raise self.refused(f"{link}, a link to {target}")
            place.symlink_to(target)
        for link, target in self._links:
            # A link may lead out by way of another one.
            if not (self._folder / link).resolve().is_relative_to(root.resolve()):
                raise self.refused(f"{link}, a link to {target}")
        return root

    def refused(self, what: str) -> DataError:
        return DataError(
            f"{self._archive} is not unpacked: it has something that does not belong into a dataset.",
            why=f"such as {what}",
            next_step="pack it anew: files and folders, with paths below the archive's own folder",
        )

    def _place(self, name: str) -> Path:
        if leaves(name):
            raise self.refused(f"{name}, which would be outside its folder")
        return self._folder / name

    def _fresh(self, name: str) -> Path:
        path = self._place(name)
        if path == self._folder:
            raise self.refused(f"{name or 'a file without a name'}, in the place of its folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        # Of several entries with one name the last one counts.
        path.unlink(missing_ok=True)
        return path

    def _count(self) -> None:
        self._files += 1
        self._told(self._files, self._bytes)


def _untar(tar: tarfile.TarFile, writer: _Writer) -> None:
    for member in tar:
        if member.isdir():
            writer.folder(member.name)
        elif member.issym():
            writer.symlink(member.name, member.linkname)
        elif member.islnk():
            writer.same(member.name, member.linkname)
        elif (content := tar.extractfile(member)) is not None:
            writer.file(member.name, member.size, content)
        else:
            raise writer.refused(f"{member.name}, a device")


def _unzip(zipped: zipfile.ZipFile, writer: _Writer) -> None:
    for info in zipped.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir():
            writer.folder(info.filename)
        elif kind == stat.S_IFLNK:
            writer.symlink(info.filename, zipped.read(info).decode())
        elif kind in (0, stat.S_IFREG):
            with zipped.open(info) as content:
                writer.file(info.filename, info.file_size, content)
        else:
            raise writer.refused(f"{info.filename}, a device")
