"""The TAO clones of one port: where they are, what releases they are, which of them it writes into."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from porter import cache, cloning
from porter.errors import WorkspaceError
from porter.records.options import PortOptions
from porter.records.reference import Layout, Release, Repo
from porter.ui import Ui
from porter.workspace import Workspace


class TaoClones:
    """The clones of one port.

    Args:
        workspace: the port's folder.
        ui: where progress goes.
        recorded: returns the layout that phase 1 has recorded; None where it has not.
    """

    def __init__(self, workspace: Workspace, ui: Ui, recorded: Callable[[], Layout | None]) -> None:
        self._workspace = workspace
        self._ui = ui
        self._recorded = recorded
        self._releases: dict[tuple[Repo, str], Release] = {}
        self._layout: Layout | None = None

    @property
    def _options(self) -> PortOptions:
        return self._workspace.load()

    def clone(self, repo: Repo) -> Path:
        """Return a clone that was given, is embedded, or lies in the cache.

        Raises:
            WorkspaceError: there is none; says how to get one.
        """
        from porter import clones

        options = self._options
        if options.embedded:
            from porter.embedded import materialise

            # A kit of its own for every workspace: two ports of one name do not meet in one clone.
            if repo == "tao-pytorch":
                return materialise.materialise_tao_pytorch(self._workspace.state)
            for package in materialise.PACKAGES:
                if package.repo == repo:
                    place = self._workspace.state / "embedded" / repo
                    if place.exists():
                        return place
                    whole = materialise.materialise_package(package, cache.root(), progress=self._ui.progress)
                    return materialise.own_clone(whole, place)
        if repo == "tao-core" and repo not in options.clones:
            return self._core_of_wheel()
        return clones.locate(repo, options.clones.get(repo))

    def _core_of_wheel(self) -> Path:
        """Return a repository of this workspace with the schemas of a release of the ``core`` layout."""
        from porter.embedded import materialise

        place = self._workspace.state / "embedded" / "tao-core"
        if place.exists():
            return place
        release = self.release()
        package = materialise.core_package(release)
        if package is None:
            raise WorkspaceError(
                "There is no clone of tao-core.",
                why=f"{release.repo} {release.version} has its schemas there, and no wheel of it is known",
                next_step="give one: --tao-core PATH",
            )
        whole = materialise.materialise_package(package, cache.root(), progress=self._ui.progress)
        return materialise.own_clone(whole, place)

    def base(self, repo: Repo) -> str:
        """Return the branch, tag or commit that the port starts from in *repo*."""
        options = self._options
        if options.embedded or (repo == "tao-core" and repo not in options.clones):
            return options.bases.get(repo, "main")
        return options.bases.get(repo, options.base)

    def release(self, repo: Repo = "tao-pytorch") -> Release:
        """Return what a clone is at the commit that the port starts from.

        Once the worktree is there its own commit counts, wherever the base has moved since.
        """
        from porter import clones
        from porter.reference.release import read_release

        record = clones.read_record(self._workspace, repo)
        clone = self.clone(repo)
        commit = record.commit if record else clones.resolve(clone, self.base(repo))
        if (repo, commit) not in self._releases:
            self._releases[repo, commit] = read_release(repo, clone, revision=commit)
        found = self._releases[repo, commit]
        if repo == "tao-pytorch":
            self._layout = found.layout
        return found

    @property
    def repos(self) -> tuple[Repo, ...]:
        """The repositories that this port has a worktree of: tao-pytorch, and those given or at hand.

        tao-deploy comes from the embedded kit or from the cache where it is not given; without it the
        gates of the deploy package are blocked. tao-core is one of them where it is given, and in the
        ``core`` layout always. tao-dataservices is only read, so it is never among them.
        """
        from porter import clones

        options = self._options
        found: list[Repo] = ["tao-pytorch"]
        for repo in get_args(Repo):
            at_hand = repo == "tao-deploy" and (options.embedded or clones.is_at_hand(repo))
            at_hand |= repo == "tao-core" and self.has_core
            if repo not in ("tao-pytorch", "tao-dataservices") and (repo in options.clones or at_hand):
                found.append(repo)
        return tuple(found)

    @property
    def dataservices(self) -> Path | None:
        """A clone of tao-dataservices, given or at hand; porter only reads it."""
        from porter import clones

        given = self._options.clones.get("tao-dataservices")
        if self._options.embedded or not (given or clones.is_at_hand("tao-dataservices")):
            return None
        return clones.locate("tao-dataservices", given)

    @property
    def dataservices_commit(self) -> str:
        """What that clone has checked out; empty for none."""
        from porter import git

        clone = self.dataservices
        return (git.ask(clone, "rev-parse", "HEAD") or "") if clone is not None and clone.is_dir() else ""

    @property
    def has_deploy(self) -> bool:
        """Whether there is a tao-deploy to port into."""
        return "tao-deploy" in self.repos

    @property
    def has_core(self) -> bool:
        """Whether the schema of the port lies in tao-core, from where both repositories import it.

        Where there is no clone yet nothing is known of it; phase 1 says so.
        """
        if self._layout is None:
            self._layout = self._recorded()
        if self._layout is None:
            with contextlib.suppress(WorkspaceError):
                self.release()
        return self._layout == "core"

    @property
    def why_no_deploy(self) -> str:
        """What a gate of the deploy package says where there is no tao-deploy."""
        return (
            "there is no clone of tao-deploy; unblock: add its path as tao-deploy under [clones] in "
            f"{self._workspace.options_file}, or {cloning.by_hand('tao-deploy')}; then porter resume "
            f"{self._workspace.root}"
        )
