"""Real git repositories for tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

GIT_IDENTITY = {
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_AUTHOR_DATE": "2025-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
    "GIT_COMMITTER_DATE": "2025-01-01T00:00:00Z",
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(where: Path, *arguments: str) -> str:
    """Run git as a person would and return what it printed."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=where,
        check=True,
        capture_output=True,
        env={**os.environ, **GIT_IDENTITY},
    )
    return done.stdout.decode(errors="surrogateescape").removesuffix("\n")


def write(root: Path, files: Mapping[str, bytes | str]) -> None:
    """Write *files* (path relative to *root* -> content)."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def repository(root: Path, files: Mapping[str, bytes | str], *, branch: str = "main") -> Path:
    """Make a repository at *root* with one commit that holds *files*."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "-q", "-b", branch)
    write(root, files)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    return root


def visible(worktree: Path) -> dict[str, tuple[bytes, bool]]:
    """Return content and executable bit of every tracked or untracked, non-ignored file."""
    listed = git(worktree, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    found = {}
    for name in sorted({name for name in listed.split("\0") if name}):
        path = worktree / name
        if path.is_file():
            found[name] = (path.read_bytes(), os.access(path, os.X_OK))
    return found
