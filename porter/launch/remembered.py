"""The networks that this machine has ported: porter remembers the workspaces of their ports in its cache."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import msgspec

from porter import cache
from porter.atomic import write_atomic
from porter.errors import WorkspaceError
from porter.records.base import from_json, to_json
from porter.records.ported import Remembered
from porter.workspace import OPTIONS_FILE, Workspace

GATE = "catalog-entry"
"""The gate that writes the entry of a port."""


def entry_of(workspace: Workspace, name: str) -> Path:
    """Return where the catalog entry of a port lies in its workspace."""
    return workspace.results / "catalog" / f"{name}.toml"


def remember(workspace: Workspace, name: str) -> None:
    """Keep where the port of a network is; the newest port of a name takes the place of older ones.

    Raises:
        WorkspaceError: the cache cannot be written.
    """
    kept = Remembered(workspace=str(workspace.root), entry=str(entry_of(workspace, name)))
    place = cache.root() / "catalog" / f"{name}.json"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with cache.locked(place.parent, "writing", lambda _text: None):
            write_atomic(place, to_json(kept))
    except OSError as error:
        raise WorkspaceError(
            f"porter cannot keep in {place} where the port is.",
            why=str(error),
            next_step="make that folder writable, or set PORTER_CACHE to another one",
        ) from error


def known() -> dict[str, Remembered]:
    """Return what is remembered, by name, sorted; what cannot be read is none of it."""
    found: dict[str, Remembered] = {}
    for path in sorted((cache.root() / "catalog").glob("*.json")):
        try:
            found[path.stem] = from_json(path.read_bytes(), Remembered)
        except (OSError, msgspec.MsgspecError):
            continue
    return found


def is_there(found: Remembered) -> bool:
    """Say whether a port still has its entry, and its worktree the network."""
    entry = Path(found.entry)
    package = Path(found.workspace, "tao-pytorch", "nvidia_tao_pytorch", "cv", entry.stem)
    return entry.is_file() and package.is_dir()


def find(model: str) -> Remembered | None:
    """Return the port of a name, or in a folder; None where there is neither.

    Raises:
        WorkspaceError: it is gone, or is not as far yet.
    """
    found = known().get(model) if _is_name(model) else None
    if found is None:
        folder = Path(model).expanduser()
        there = (folder / OPTIONS_FILE).is_file() if _is_name(model) else folder.is_dir()
        return _opened(folder) if model and there else None
    if not (Path(found.workspace) / OPTIONS_FILE).is_file():
        raise WorkspaceError(
            f"The port of {model} is gone from {found.workspace}.",
            why="porter remembers it there, and does not look for it elsewhere",
            next_step="name the folder that it is in now, or port the model again",
        )
    return found if is_there(found) else _opened(Path(found.workspace))


def _opened(folder: Path) -> Remembered:
    workspace = Workspace.open(folder)
    where = shlex.quote(str(workspace.root))
    name = workspace.load().name
    found = Remembered(workspace=str(workspace.root), entry=str(entry_of(workspace, name)))
    if not is_there(found):
        raise WorkspaceError(
            f"The port in {workspace.root} cannot be trained.",
            why=f"it lacks the network, or {Path(found.entry).relative_to(workspace.root)} of phase 5",
            next_step=f"porter resume {where}; of a finished port: porter gate {GATE} {where}",
        )
    return found


def _is_name(model: str) -> bool:
    return os.sep not in model and not model.startswith((".", "~"))
