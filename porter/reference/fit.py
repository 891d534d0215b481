"""Whether the clones of a port belong together: one layout, one line of releases."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from porter.errors import WorkspaceError
from porter.records.reference import Layout, Release, Repo
from porter.reference.release import known_releases
from porter.reference.source import git

_WHERE: dict[Layout, str] = {
    "core": "schemas in tao-core",
    "in-repo": "schemas in the repository itself",
}


def check_fit(releases: Mapping[Repo, Release], clones: Mapping[Repo, Path]) -> None:
    """Refuse releases that cannot run together.

    Args:
        releases: what each clone is at the commit that the port starts from.
        clones: the clones themselves; the error names a reference in them that fits.

    Raises:
        WorkspaceError: tao-pytorch and tao-deploy do not agree on where schemas live, or a tao-core
            that both import from is of another line; names the pairs that fit.
    """
    trained = releases["tao-pytorch"]
    deployed = releases.get("tao-deploy")
    if deployed is not None and deployed.layout != trained.layout:
        suggested = _fitting_ref("tao-deploy", clones["tao-deploy"], trained)
        raise WorkspaceError(
            f"tao-pytorch {trained.version} and tao-deploy {_called(deployed)} do not go together.",
            why=f"tao-pytorch {trained.version} has its {_WHERE[trained.layout]}, tao-deploy "
            f"{_called(deployed)} its {_WHERE[deployed.layout]}; pairs that fit: {_pairs()}",
            next_step=f"start tao-deploy from another commit: --base tao-deploy={shlex.quote(suggested)}"
            if suggested
            else "give a clone of tao-deploy that has such a release, or another commit of tao-pytorch: "
            "--base tao-pytorch=REF",
        )
    core = releases.get("tao-core")
    if core is not None and trained.layout == "core" and core.version and _line(core) != _line(trained):
        raise WorkspaceError(
            f"tao-pytorch {trained.version} and tao-core {core.version} do not go together.",
            why=f"tao-pytorch {trained.version} imports its schemas from tao-core {trained.version}",
            next_step=f"start tao-core from another commit, --base tao-core=REF, or leave out --tao-core: "
            f"porter then takes nvidia-tao-core {trained.version} from the package index",
        )


def _called(release: Release) -> str:
    return release.version or f"at {release.commit[:10]}"


def _line(release: Release) -> str:
    """Return the major version: schemas of one line fit all its releases."""
    return release.version.partition(".")[0]


def _pairs() -> str:
    """Return which known releases of the two repositories fit, by layout."""
    found = []
    for layout in ("core", "in-repo"):
        sides = [
            f"{repo} {' or '.join(known_releases(repo, layout))}" for repo in ("tao-pytorch", "tao-deploy")
        ]
        found.append(" with ".join(sides))
    return "; ".join(found)


def _fitting_ref(repo: Repo, clone: Path, to: Release) -> str:
    """Return a tag or branch of *clone* that is named after a release that fits; empty where it has none."""
    refs = git(clone, "for-each-ref", "--format=%(refname)", "refs/tags", "refs/heads", "refs/remotes/origin")
    there = {line.split("/", 2)[2].removeprefix("origin/") for line in refs.stdout.splitlines()}
    versions = sorted(known_releases(repo, to.layout), key=lambda version: version != to.version)
    names = (pattern.format(version) for version in versions for pattern in ("{}", "v{}", "release/{}"))
    return next((name for name in names if name in there), "")
