"""What the rows are ported into: the embedded kit, or clones of which every row gets its own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from porter import cache, clones, git
from porter.embedded import materialise
from porter.errors import WorkspaceError
from porter.records.base import Record
from porter.records.reference import Repo
from porter.reference.release import read_release

_ALWAYS: Repo = "tao-pytorch"
_AT_HAND: tuple[Repo, ...] = ("tao-pytorch", "tao-deploy")


class Targets(Record, frozen=True, kw_only=True):
    """What every row is ported into.

    Attributes:
        clones: path by repository; empty for the embedded kit.
        commits: what each port starts from, by repository.
        shown: release and commit by repository, for people.
    """

    embedded: bool
    clones: dict[Repo, str]
    commits: dict[Repo, str]
    shown: dict[str, str]


def find(given: Mapping[str, str], bases: Mapping[str, str], base: str, *, embedded: bool) -> Targets:
    """Return the clones that were given or lie in porter's cache, at what *base* and *bases* name.

    Raises:
        WorkspaceError: there is no clone of tao-pytorch, or no such commit in one.
    """
    if embedded:
        return _kit()
    found: dict[Repo, Path] = {}
    for repo in get_args(Repo):
        if repo in given or (repo in _AT_HAND and clones.is_at_hand(repo)):
            found[repo] = clones.locate(repo, given.get(repo))
    if _ALWAYS not in found:
        raise WorkspaceError(
            "There is no clone of tao-pytorch to port the rows into.",
            why="--tao-pytorch is not given, and porter's cache has none",
            next_step="give --tao-pytorch PATH (and --tao-deploy PATH), or --embedded for porter's own kit",
        )
    commits = {repo: clones.resolve(path, bases.get(repo, base)) for repo, path in found.items()}
    shown = {}
    for repo, path in found.items():
        release = read_release(repo, path, revision=commits[repo])
        shown[repo] = f"{release.version or 'unknown release'} at {commits[repo][:10]}"
    return Targets(
        embedded=False,
        clones={repo: str(path) for repo, path in found.items()},
        commits=commits,
        shown=dict(sorted(shown.items())),
    )


def _kit() -> Targets:
    kit = materialise.materialise_tao_pytorch(cache.root())
    release = read_release("tao-pytorch", kit)
    commits: dict[Repo, str] = {"tao-pytorch": release.commit}
    shown = {"tao-pytorch": f"porter's embedded kit of {release.version} at {release.commit[:10]}"}
    for package in materialise.PACKAGES:
        commits[package.repo] = package.sha256
        shown[package.repo] = f"{package.version} of the package index"
    return Targets(embedded=True, clones={}, commits=commits, shown=dict(sorted(shown.items())))


def options_for(targets: Targets, folder: Path) -> tuple[str, ...]:
    """Return the options of a port into clones of its own, which are made in *folder*.

    Worktrees and branches of many ports do not end up in the user's clones, and ports that run side by side
    do not meet in one. A clone shares the objects of the user's, so it costs next to nothing.
    """
    if targets.embedded:
        return ("--embedded",)
    options: list[str] = []
    for repo, original in sorted(targets.clones.items()):
        own = original if repo == "tao-dataservices" else str(_own(Path(original), folder / repo))
        options += [f"--{repo}", own]
        if repo != "tao-dataservices":
            options += ["--base", f"{repo}={targets.commits[repo]}"]
    return tuple(options)


def _own(original: Path, folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    git.output(folder.parent, "clone", "--quiet", "--no-checkout", "--shared", str(original), str(folder))
    found = git.ask(original, "rev-parse", "--path-format=absolute", "--git-path", "info/sparse-checkout")
    # A sparse clone may lack the content of what its patterns leave out.
    if (
        found
        and Path(found).is_file()
        and git.ask(original, "config", "--type=bool", "core.sparseCheckout") == "true"
    ):
        git.output(folder, "config", "core.sparseCheckout", "true")
        target = Path(
            git.line(folder, "rev-parse", "--path-format=absolute", "--git-path", "info/sparse-checkout")
        )
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(found, target)
    return folder
