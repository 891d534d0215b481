"""Clones of the TAO repositories that porter makes itself: in its cache, from GitHub or a mirror."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from porter import cache, git
from porter.errors import WorkspaceError
from porter.records.reference import Repo

GITHUB = "https://github.com/NVIDIA-TAO"
MIRROR = "PORTER_TAO_MIRROR"
PATIENCE_SECONDS = 120.0
"""How long a remote may say nothing before porter gives it up."""

_NAMES: dict[Repo, str] = {"tao-dataservices": "tao-data-services"}
_STAGE = re.compile(r"(?:remote: )?([A-Z][a-z]+ [a-z]+): +(\d+)%")

# What git says, in lower case, and what it means; the first that fits counts.
_MEANINGS: tuple[tuple[str, str], ...] = (
    ("could not resolve", "the name of that host is not known here"),
    ("certificate|ssl|tls", "the connection is not trusted"),
    (
        "could not read username|could not read password|authentication failed|terminal prompts disabled"
        "|permission denied|returned error: 40[13]",
        "it asks for a login, as GitHub also does for a repository that is not there",
    ),
    (
        "not found|returned error: 404|does not appear to be a git repository|does not exist",
        "there is no such repository",
    ),
    ("no space left", "the disk is full"),
    ("possible repository corruption|bad object|missing blob", "the repository there is damaged"),
    (
        "early eof|disconnect|hung up|rpc failed|transfer closed|connection reset|empty reply|recv failure"
        "|loose object|unable to find",
        "the connection was cut",
    ),
    ("timed out|timeout", "nothing answers there"),
    ("failed to connect|couldn't connect|connection refused|unreachable", "nothing answers there"),
)


def place(repo: Repo) -> Path:
    """Return where porter keeps its own clone of *repo*."""
    return cache.root() / "repos" / repo


def why_not() -> str:
    """Say why porter must not look for a clone on the network; empty where it may."""
    offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "on", "yes", "true")
    return "HF_HUB_OFFLINE is set" if offline and not os.environ.get(MIRROR) else ""


def origin() -> str:
    """Return what the repositories' names are appended to: the mirror, else GitHub.

    Raises:
        WorkspaceError: the mirror's address holds a password.
    """
    prefix = os.environ.get(MIRROR, "").rstrip("/") or GITHUB
    if "://" in prefix and urlsplit(prefix).password is not None:
        raise WorkspaceError(
            f"{MIRROR} holds a password",
            why="it would be written into the clones and shown to other users of this machine",
            next_step="leave it out of the address, and give it to git: git config credential.helper",
        )
    folder = Path(prefix).expanduser()
    return str(folder.absolute()) if folder.is_dir() else prefix


def address(repo: Repo) -> str:
    """Return where *repo* is cloned from."""
    return f"{origin()}/{_NAMES.get(repo, repo)}"


def by_hand(repo: Repo) -> str:
    """Return the command that makes porter's own clone of *repo*."""
    return shlex.join(["git", "clone", address(repo), str(place(repo))])


def ways_out(repo: Repo) -> str:
    """Return what a person can do who has no clone of *repo*, and whom porter cannot get one."""
    ways = [
        f"give your own clone: --{repo} PATH",
        f"clone it by hand, or copy a clone there: {by_hand(repo)}",
        f"name a mirror that has {_NAMES.get(repo, repo)}: {MIRROR}=https://HOST/PATH porter port ...",
        "bring a bundle from a machine with a network (porter fetch): porter port --bundle FOLDER",
        "see a port without any clone: --embedded",
    ]
    return "\n      ".join(["one of these:", *ways])


def ensure(
    repo: Repo, progress: Callable[[str], None] = lambda _text: None, *, patience: float = PATIENCE_SECONDS
) -> Path:
    """Return porter's own clone of *repo*; makes it where it is missing.

    It is whole or not there: a run that is killed leaves nothing that a later one would take for a clone,
    and of several that want it one makes it.

    Args:
        repo: which one.
        progress: told, in one line, how far it is.
        patience: seconds that the remote may say nothing.

    Raises:
        WorkspaceError: it cannot be reached or cloned; names the ways out.
    """
    final = place(repo)
    if final.is_dir():
        return final.resolve()
    final.parent.mkdir(parents=True, exist_ok=True)
    url = address(repo)
    with cache.locked(final, "cloning", progress):
        if not final.is_dir():
            for left in final.parent.glob(f".{repo}.*"):
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(
                prefix=f".{repo}.", dir=final.parent, ignore_cleanup_errors=True
            ) as scratch:
                draft = Path(scratch) / repo
                progress(f"cloning {url}")
                _clone(repo, url, draft, progress, patience)
                check_out(repo, url, draft, progress)
                draft.rename(final)
            progress(f"{repo} is in {final}")
    return final.resolve()


def _clone(repo: Repo, url: str, draft: Path, progress: Callable[[str], None], patience: float) -> None:
    said: list[str] = []
    stage = ""

    def hear(line: str) -> None:
        nonlocal stage
        found = _STAGE.match(line)
        if found is None:
            said.append(line)
            return
        now = f"{repo}: {found[1].lower()}, {int(found[2]) // 10 * 10}%"
        if now != stage:
            stage = now
            progress(now)

    # Without a template: hooks of the user's own template are not for porter's clones.
    code = git.follow(
        draft.parent,
        *("clone", "--progress", "--no-checkout", "--template=", "--", url, str(draft)),
        hear=hear,
        patience=patience,
    )
    if code != 0:
        raise WorkspaceError(
            f"{repo} cannot be cloned from {url}", why=_why(code, said, patience), next_step=ways_out(repo)
        )


def _why(code: int | None, said: Sequence[str], patience: float) -> str:
    if code is None:
        return f"nothing came for {patience:g} seconds"
    words = [line for line in said if not line.startswith("Cloning into")]
    text = "\n".join(words).lower()
    meaning = next((what for pattern, what in _MEANINGS if re.search(pattern, text)), "")
    last = next((line for line in words if line.startswith(("fatal:", "error:"))), "") or "\n".join(
        words[-1:]
    )
    return f"{meaning} ({last})" if meaning and last else meaning or last or f"git ended with status {code}"


def check_out(repo: Repo, url: str, draft: Path, progress: Callable[[str], None]) -> None:
    """Check out the default branch; files whose content the remote itself has lost are left out."""
    if git.ask(draft, "rev-parse", "--verify", "--quiet", "HEAD^{commit}") is None:
        raise WorkspaceError(
            f"{url} has no commit on its default branch", why="it is empty", next_step=ways_out(repo)
        )
    lost = _lost(draft)
    if lost:
        progress(f"{repo}: left out, as {url} lacks the content: {', '.join(lost[:5])}")
        target = draft / ".git" / "info" / "sparse-checkout"
        target.parent.mkdir(exist_ok=True)
        patterns = ["/*", *("!/" + re.sub(r"([\\*?\[ ])", r"\\\1", path) for path in lost)]
        target.write_text("".join(f"{pattern}\n" for pattern in patterns), errors="surrogateescape")
        git.output(draft, "config", "core.sparseCheckout", "true")
        git.output(draft, "config", "core.sparseCheckoutCone", "false")
    git.output(draft, "reset", "--hard", "--quiet", "HEAD")


def _lost(draft: Path) -> list[str]:
    """Return the files of HEAD whose content is not in the clone."""
    listed = git.line(draft, "rev-list", "--objects", "--no-walk", "--missing=print", "HEAD")
    gone = {line[1:] for line in listed.splitlines() if line.startswith("?")}
    if not gone:
        return []
    entries = (entry.split("\t", 1) for entry in git.names(draft, "ls-tree", "-r", "-z", "HEAD"))
    return sorted(name for meta, name in entries if meta.split()[2] in gone)
