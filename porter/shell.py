"""A terminal where the gates of a port run."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

from porter.errors import UsageError, WorkspaceError
from porter.records.reference import Repo
from porter.records.sandbox import Limits, Mount, RunSpec
from porter.session import PortSession

_LIFETIME = 24 * 3600
_REPOS: tuple[Repo, ...] = ("tao-pytorch", "tao-deploy")


def run(session: PortSession, name: str) -> int:
    """Open a shell, wait for its end and return its exit code.

    Raises:
        UsageError: there are no gates of that name, or nobody is at the terminal.
        WorkspaceError: the port has no worktree of the repository yet.
    """
    repo = _repo(name)
    worktree = session.workspace.clone_path(repo)
    if not worktree.is_dir():
        raise WorkspaceError(
            f"There is no worktree of {repo} to open a shell in.",
            why=f"{worktree} is not there; phase 1 makes it",
            next_step="porter resume",
        )
    if not sys.stdin.isatty():
        raise UsageError("porter shell needs a terminal.", next_step="run it from one")
    spec = shell_spec(session, repo)
    argv, variables = session.runtimes.shell(repo, spec)
    python = session.runtimes.of(repo).python
    session.ui.info(f"{repo} at {worktree}, read-only; {session.workspace.results} can be written; {python}")
    return subprocess.run(argv, env=variables, check=False).returncode


def shell_spec(session: PortSession, repo: Repo) -> RunSpec:
    """Return the run that a shell is: the worktrees as the gates see them; pure but for the paths."""
    shown = [session.workspace.clone_path(other) for other in session.tao.repos]
    packages = [str(session.workspace.clone_path(repo))]
    return RunSpec(
        name="shell",
        argv=("/bin/sh", "-i"),
        cwd=packages[0],
        mounts=(
            *(Mount(path=str(path)) for path in shown if path.is_dir()),
            Mount(path=str(session.workspace.results), writable=True),
        ),
        variables={"PYTHONPATH": ":".join(packages), "TERM": "xterm", "PS1": f"{repo} $ "},
        limits=Limits(seconds=_LIFETIME),
    )


def _repo(name: str) -> Repo:
    for repo in _REPOS:
        if name == repo:
            return repo
    known = ", ".join(_REPOS)
    wrong = "a repository without gates" if name in get_args(Repo) else "not a repository"
    raise UsageError(f"{name} is {wrong}.", next_step=f"porter shell REPO, where REPO is one of {known}")
