"""An offline bundle: what ``porter fetch`` put together, and ``porter port --bundle`` lives on."""

from __future__ import annotations

from porter.records.base import Record
from porter.records.reference import Repo


class BundledFile(Record, frozen=True, kw_only=True):
    """One file: path relative to the bundle, bytes, SHA-256."""

    path: str
    size: int
    sha256: str


class BundledModel(Record, frozen=True, kw_only=True):
    """The model.

    Attributes:
        ref: hub id.
        asked: the name that it was asked for by, where the Hub has renamed it since.
        revision: what was asked for; None means the default branch.
        sha: the commit that it resolved to.
        folder: its folder in the bundle, laid out as in porter's cache.
    """

    ref: str
    asked: str = ""
    revision: str | None = None
    sha: str
    folder: str


class BundledRepo(Record, frozen=True, kw_only=True):
    """A clone as a git bundle.

    Attributes:
        file: the git bundle.
        base: branch, tag or commit that a port starts from.
        commit: what *base* named.
        refs: commit or tag object by full name, of everything in it.
    """

    repo: Repo
    file: str
    base: str
    commit: str
    refs: dict[str, str]


class BundledWheels(Record, frozen=True, kw_only=True):
    """The wheels of one managed environment; *key* is part of the name of the built environment."""

    set: str
    key: str
    python: str
    machine: str
    folder: str


class Bundle(Record, frozen=True, kw_only=True):
    """The manifest of a bundle.

    Attributes:
        format: raised when an older porter could not use it.
        porter: version that wrote it.
        embedded: folder with the released wheels that porter unpacks into repositories.
        files: everything in it but the manifest itself, sorted by path.
    """

    format: int = 1
    porter: str
    model: BundledModel
    repos: tuple[BundledRepo, ...]
    wheels: tuple[BundledWheels, ...]
    embedded: str
    files: tuple[BundledFile, ...]
