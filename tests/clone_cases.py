"""What tests of worktrees in a clone begin with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from porter.clones import prepare
from porter.errors import WorkspaceError
from porter.records.journal import CloneRecord
from porter.workspace import Workspace

FILES: dict[str, bytes | str] = {
    "setup.py": "setup()\n",
    "pkg/__init__.py": "",
    "pkg/windows.py": b"a\r\nb\r\n",
    "pkg/run.sh": "#!/bin/sh\n",
    ".gitignore": "*.log\n",
}
BRANCH = "feature/add-x"


def ready(clone: Path, workspace: Workspace, branch: str = BRANCH, base: str = "main") -> CloneRecord:
    return prepare("tao-pytorch", clone, workspace, branch, base)


def snapshot(clone: Path) -> dict[str, bytes]:
    """Return everything of a person's checkout, and what its git settings and branches say."""
    files = {
        str(path.relative_to(clone)): path.read_bytes()
        for path in clone.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }
    index = (clone / ".git" / "index").read_bytes()
    settings = (clone / ".git" / "config").read_bytes()
    head = (clone / ".git" / "HEAD").read_bytes()
    return {**files, "<index>": index, "<config>": settings, "<head>": head}


def refused(clone: Path, workspace: Workspace, branch: str = BRANCH, base: str = "main") -> WorkspaceError:
    with pytest.raises(WorkspaceError) as caught:
        ready(clone, workspace, branch, base)
    assert caught.value.next_step
    return caught.value


def run_remedy(error: WorkspaceError) -> None:
    subprocess.run(error.next_step.rpartition(": ")[2], shell=True, check=True, capture_output=True)


def half_made(workspace: Workspace) -> None:
    path = workspace.clones / "tao-pytorch.json"
    path.write_text(path.read_text().replace('"ready"', '"making"'))
