"""git as porter runs it: no prompts, no hooks, and no setting of the user that changes bytes."""

from __future__ import annotations

import os
import selectors
import shlex
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from porter import secrets
from porter.errors import WorkspaceError

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.autocrlf=false",
    "core.safecrlf=false",
    "core.excludesFile=/dev/null",
    "core.attributesFile=/dev/null",
    "core.fsmonitor=false",
    "commit.gpgSign=false",
    "submodule.recurse=false",
    "merge.conflictStyle=merge",
    "gc.auto=0",
    "maintenance.auto=false",
)

# Everything else that starts with GIT_ may point git at another repository, index or path syntax.
_KEPT = (
    "GIT_AUTHOR_",
    "GIT_COMMITTER_",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_EXEC_PATH",
    "GIT_HTTP_",
    "GIT_PROXY_",
    "GIT_SSH",
    "GIT_SSL_",
)

_FORCED = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "LC_ALL": "C",
}


def environment() -> dict[str, str]:
    """Return the environment that git runs with."""
    kept = {
        name: value
        for name, value in secrets.without().items()
        if not name.startswith("GIT_") or name.startswith(_KEPT)
    }
    return {**kept, **_FORCED}


def run(
    where: Path, *arguments: str, data: bytes = b"", accept: Sequence[int] = (0,)
) -> subprocess.CompletedProcess[bytes]:
    """Run one git command in the folder *where*.

    Raises:
        WorkspaceError: git is missing, or ended with a status that is not in *accept*.
    """
    try:
        done = subprocess.run(
            _argv(where, arguments), input=data, capture_output=True, env=environment(), check=False
        )
    except FileNotFoundError as error:
        raise _no_git() from error
    if done.returncode not in accept:
        raise WorkspaceError(
            f"git {arguments[0]} failed in {where}",
            why=done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}",
            next_step=f"repeat it by hand: {shlex.join(['git', '-C', str(where), *arguments])}",
        )
    return done


def output(where: Path, *arguments: str, data: bytes = b"") -> bytes:
    """Run git and return its standard output."""
    return run(where, *arguments, data=data).stdout


def line(where: Path, *arguments: str) -> str:
    """Run git and return its output without the final newline."""
    return os.fsdecode(output(where, *arguments)).removesuffix("\n")


def ask(where: Path, *arguments: str) -> str | None:
    """Run git and return its output, or None where it answers with a failure."""
    done = run(where, *arguments, accept=range(256))
    return os.fsdecode(done.stdout).removesuffix("\n") if done.returncode == 0 else None


def names(where: Path, *arguments: str) -> tuple[str, ...]:
    """Run a git command that lists paths with ``-z`` and return them."""
    return tuple(os.fsdecode(name) for name in output(where, *arguments).split(b"\0") if name)


def follow(where: Path, *arguments: str, hear: Callable[[str], None], patience: float) -> int | None:
    """Run a git command that speaks to a remote, and hand on what it says while it says it.

    Nobody is asked for a name or a password: what needs one fails.

    Args:
        where: folder that it runs in.
        arguments: the command.
        hear: gets each line of its standard error; a progress line counts as one.
        patience: seconds without a word after which it is ended.

    Returns:
        its exit status; None where it was ended.
    """
    variables = {**environment(), "GIT_ASKPASS": ""}
    variables.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
    try:
        process = subprocess.Popen(
            _argv(where, arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=variables,
        )
    except FileNotFoundError as error:
        raise _no_git() from error
    with process, selectors.DefaultSelector() as selector:
        said = process.stderr
        if said is None:
            raise RuntimeError("git has no standard error")
        selector.register(said, selectors.EVENT_READ)
        rest = b""
        try:
            while selector.select(patience):
                block = os.read(said.fileno(), 1 << 16)
                if not block:
                    return process.wait()
                *lines, rest = (rest + block).replace(b"\r", b"\n").split(b"\n")
                for line in lines:
                    if line.strip():
                        hear(line.decode(errors="replace").rstrip())
            return None
        finally:
            if rest.strip():
                hear(rest.decode(errors="replace").rstrip())
            if process.poll() is None:
                process.terminate()


def _argv(where: Path, arguments: Sequence[str]) -> list[str]:
    settings = [part for setting in _SETTINGS for part in ("-c", setting)]
    return ["git", "-C", str(where), *settings, *arguments]


def _no_git() -> WorkspaceError:
    return WorkspaceError("git is not installed, or not on PATH", next_step="install git 2.34 or newer")
