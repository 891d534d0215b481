"""The files of one commit of a clone, read through git.

Reading the commit and not the working files makes everything in :mod:`porter.reference` a
function of the commit: porter's own uncommitted work in the clone is never taken for TAO's.
"""

from __future__ import annotations

import subprocess
import weakref
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from porter import secrets
from porter.errors import WorkspaceError

_REDIRECTS = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"})


def git(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in *clone* and return what it said; a failure is the caller's to judge."""
    return subprocess.run(
        ["git", "-C", str(clone), *arguments],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in secrets.without().items() if key not in _REDIRECTS}
    return kept | {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}


class Snapshot:
    """A commit of a clone.

    Args:
        clone: a checkout or a linked worktree.
        revision: what names the commit.

    Raises:
        WorkspaceError: *clone* is no git checkout, or has no such commit.
    """

    def __init__(self, clone: Path, revision: str = "HEAD") -> None:
        self.clone = clone
        if not clone.is_dir():
            raise WorkspaceError(
                f"{clone} is not a folder.", next_step="give the path of a git clone of the TAO repository"
            )
        answer = git(clone, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        if answer.returncode:
            inside = git(clone, "rev-parse", "--git-dir")
            why = inside.stderr.strip() if inside.returncode else f"it has no commit {revision}"
            raise WorkspaceError(
                f"{clone} cannot be read as a git checkout.",
                why=why,
                next_step=f"git -C {clone} status",
            )
        self.commit = answer.stdout.strip()
        self._blobs: dict[str, bytes] = {}
        self._reader: subprocess.Popen[bytes] | None = None

    @cached_property
    def paths(self) -> frozenset[str]:
        """Every file of the commit, relative to its root."""
        listed = git(self.clone, "ls-tree", "-r", "-z", "--name-only", "--full-tree", self.commit)
        return frozenset(listed.stdout.split("\0")) - {""}

    def folders(self, parent: str) -> tuple[str, ...]:
        """Return the names of the folders directly in *parent*, sorted."""
        prefix = parent.rstrip("/") + "/"
        inner = (path[len(prefix) :] for path in self.paths if path.startswith(prefix))
        return tuple(sorted({name.split("/", 1)[0] for name in inner if "/" in name}))

    def read(self, path: str) -> bytes | None:
        """Return the content of a file, or None where the commit has no such file."""
        if path not in self.paths or "\n" in path:
            return None
        if path not in self._blobs:
            self._blobs[path] = self._fetch(path)
        return self._blobs[path]

    def text(self, path: str) -> str:
        """Return a file as text, undecodable bytes replaced; empty where it is absent."""
        return (self.read(path) or b"").decode("utf-8", errors="replace")

    def missing(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Return those of *paths* that the commit lacks."""
        return tuple(path for path in paths if path not in self.paths)

    def _fetch(self, path: str) -> bytes:
        if self._reader is None:
            self._reader = subprocess.Popen(
                ["git", "-C", str(self.clone), "cat-file", "--batch"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
            weakref.finalize(self, _end, self._reader)
        request, answer = self._reader.stdin, self._reader.stdout
        if request is None or answer is None:
            raise AssertionError("git cat-file was started without pipes")
        try:
            request.write(f"{self.commit}:{path}\n".encode(errors="surrogateescape"))
            request.flush()
            header = answer.readline().split()
        except BrokenPipeError:
            header = []
        if len(header) != 3 or header[1] != b"blob":
            raise WorkspaceError(
                f"git could not read {path} of {self.clone} at {self.commit[:12]}.",
                why="the object is missing or damaged",
                next_step=f"git -C {self.clone} fsck",
            )
        content = answer.read(int(header[2]))
        answer.read(1)
        return content


def _end(reader: subprocess.Popen[bytes]) -> None:
    for pipe in (reader.stdin, reader.stdout):
        if pipe is not None:
            pipe.close()
    reader.wait()
