"""Where a job finds what it reads: in a mounted folder, in one that is staged, or where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from porter.errors import UsageError
from porter.launch.data import ARCHIVES, REMOTE, parts, stem, taken
from porter.records.catalog import CatalogEntry, DataPart, DataSource, Origin
from porter.records.training import DataFacts, Mount, Platform, Staged

_MOUNTED: tuple[Platform, ...] = ("docker", "slurm")
_HERE: Platform = "virtualenv"
_SETS = {"train": "training", "eval": "validation", "inference": "inference", "calibration": "calibration"}


class Places:
    """Collects mounts and what has to be staged, while paths are asked for."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.mounts: dict[str, Mount] = {}
        self.staged: dict[str, Staged] = {}
        self._names: dict[str, str] = {}
        # What runs on this machine has no root of its own: it is given a folder in its job's.
        self._root = "" if platform == _HERE else "/"

    @property
    def results(self) -> str:
        """Folder of the job's results."""
        return f"{self._root}results"

    def of(self, origin: Origin, facts: DataFacts, part: DataPart) -> str:
        """Return where a part of a dataset is found."""
        if part.path in facts.fallbacks:
            part = taken(part)
        # One folder that is two datasets is mounted once.
        name = self._names.setdefault(facts.uri, origin)
        archive = part.path.endswith(ARCHIVES)
        if part.sparse and (facts.uri.startswith(REMOTE) or self.platform not in (*_MOUNTED, _HERE)):
            return f"{self._root}staged/{name}"
        # Also one that was looked at since it is staged.
        if facts.uri.startswith(REMOTE):
            return self._stage(f"{facts.uri}/{part.path}".rstrip("/"), f"{name}/{stem(part.path)}", archive)
        if part.path in facts.archives:
            return self._stage(f"{facts.uri}/{part.path}", f"{name}/{stem(part.path)}", True)
        return self._local(Path(facts.uri), name, stem(part.path))

    def checkpoint(self, uri: str) -> str:
        """Return where a checkpoint is found: a local file, one of S3, or one that NGC has by its name."""
        if uri.startswith("/"):
            return self._local(Path(uri).parent, "weights", Path(uri).name)
        return self._stage(uri, f"weights/{uri.rpartition('/')[2].replace(':', '_')}", False)

    def _local(self, folder: Path, name: str, path: str) -> str:
        whole = (folder / path).as_posix()
        if self.platform == _HERE:
            return whole
        if self.platform not in _MOUNTED:
            return self._stage(whole, f"{name}/{path}", False)
        target = f"/data/{name}"
        self.mounts[target] = Mount(source=str(folder), target=target)
        return f"{target}/{path}".rstrip("/")

    def _stage(self, source: str, below: str, unpack: bool) -> str:
        target = f"{self._root}staged/{below}".rstrip("/")
        self.staged[target] = Staged(source=source, target=target, unpack=unpack)
        return target


def read_by(found: CatalogEntry, action: str, format_: str) -> tuple[DataSource, ...]:
    """Return the spec keys that are given files, for an action on a format."""
    return tuple(
        source
        for source in found.data
        if action in source.actions and (not source.formats or format_ in source.formats)
    )


def dataset_of(source: DataSource, given: Mapping[Origin, Any]) -> Origin | None:
    """Return the dataset that a spec key is given files of: its own, or the one that it takes instead.

    Raises:
        UsageError: it needs one of its own, and there is none.
    """
    if source.origin in given:
        return source.origin
    if source.reuses in given:
        return source.reuses
    if not source.required:
        return None
    raise UsageError(
        f"No {_SETS[source.origin]} set was given.",
        why=f"{source.key} is read by every run, and no other set has the files that it needs",
        next_step="--eval-data URI" if source.origin == "eval" else "--train-data URI",
    )


def fill(
    found: CatalogEntry,
    sources: tuple[DataSource, ...],
    format_: str,
    facts: Mapping[Origin, DataFacts],
    places: Places,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the values of the spec keys that are given files, and what has to be said aloud of them."""
    values: dict[str, Any] = {}
    said: dict[str, None] = {}
    for source in sources:
        origin = dataset_of(source, facts)
        if origin is None:
            continue
        if origin != source.origin:
            said[
                f"there is no {_SETS[source.origin]} set: {found.title} reads the {_SETS[origin]} set "
                "for it, and its numbers say nothing of images that it has not seen"
            ] = None
        shaped: Any = {}
        for name, part in parts(source):
            value: Any = format_ if part.kind == "format" else places.of(origin, facts[origin], part)
            value = [value] if part.list else value
            if name:
                shaped[name] = value
            else:
                shaped = value
        values[source.key] = [shaped] if source.list else shaped
    return values, tuple(said)
