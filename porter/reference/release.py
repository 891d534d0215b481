"""What a clone is, read from its own facts and never from ``version.py``, which lies."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from porter.errors import WorkspaceError
from porter.records.base import Record
from porter.records.reference import Layout, Release, Repo
from porter.reference.source import Snapshot, git
from porter.resources import tree

_VERSION = re.compile(r"v?(\d+\.\d+\.\d+)")
_MANIFEST = "docker/manifest.json"
_PINS_THAT_MAY_DIFFER = 2


class RepoFacts(Record, frozen=True, kw_only=True):
    """How a repository is recognised.

    Attributes:
        package: its top-level package.
        marker: a file that every release of it has.
        configs: a file that only the ``in-repo`` layout has.
        required: whether porter refuses a release that it cannot name.
    """

    package: str
    marker: str
    configs: str = ""
    required: bool = False


class CoreWheel(Record, frozen=True, kw_only=True):
    """The wheel of nvidia-tao-core that a release of the ``core`` layout has its schemas in."""

    version: str
    sha256: str


class KnownRelease(Record, frozen=True, kw_only=True):
    """The facts of one release, as ``references/releases.toml`` lists them."""

    repo: Repo
    version: str
    layout: Layout
    base_image: str = ""
    environment: str = ""
    core: CoreWheel | None = None
    pins: dict[str, dict[str, str]] = {}


class _Known(Record, frozen=True, kw_only=True):
    repos: dict[str, RepoFacts]
    releases: tuple[KnownRelease, ...]


class _Match(Record, frozen=True, kw_only=True):
    release: KnownRelease
    agrees: tuple[str, ...]
    differs: tuple[str, ...]
    same_image: bool

    @property
    def rank(self) -> int:
        return len(self.agrees) - len(self.differs)

    @property
    def fits(self) -> bool:
        """Whether this release can be meant: with its base image a local commit may have moved a pin."""
        allowed = _PINS_THAT_MAY_DIFFER if self.same_image else 0
        return bool(self.agrees) and len(self.differs) <= allowed


@functools.cache
def _known() -> _Known:
    return msgspec.toml.decode((tree("references") / "releases.toml").read_bytes(), type=_Known)


def read_release(repo: Repo, path: Path, *, revision: str = "HEAD") -> Release:
    """Return what the commit in *path* is.

    A known release's tag with the same files names the version. Without one it is the known
    release whose base image and pins fit, and alone fit best; local commits on top of it may have
    moved a pin or two. Any other version tag counts last.

    Raises:
        WorkspaceError: *path* is no git checkout, not this repository, or a release of
            tao-pytorch that no fact names.
    """
    facts = _known().repos[repo]
    snapshot = Snapshot(path, revision)
    if facts.marker not in snapshot.paths:
        raise WorkspaceError(
            f"{path} is not a clone of {repo}.",
            why=f"commit {snapshot.commit[:12]} has no {facts.marker}",
            next_step=f"give the folder of a {repo} clone",
        )
    layout: Layout = "in-repo" if facts.configs and facts.configs in snapshot.paths else "core"
    tag, tagged = _exact_tag(snapshot)
    looked_at, matches = _matches(repo, snapshot, layout)
    version, reasons = _decide(tag, tagged, matches)
    if not version and facts.required:
        raise WorkspaceError(
            f"{path} is a release of {repo} that porter does not know.",
            why=f"looked at: {'; '.join(looked_at)}; {'; '.join(reasons)}",
            next_step=f"git -C {path} checkout {newest_release(repo)}",
        )
    where = "inside the repository" if layout == "in-repo" else "in tao-core"
    return Release(
        repo=repo,
        layout=layout,
        version=version,
        commit=snapshot.commit,
        tag=tag,
        environment=_environment(repo, version),
        evidence=(f"configs live {where} ({layout} layout)", *reasons),
    )


def known_releases(repo: Repo, layout: Layout | None = None) -> tuple[str, ...]:
    """Return the versions of *repo* that porter can recognise, oldest first; of one layout, if given."""
    return tuple(
        known.version for known in _known().releases if known.repo == repo and layout in (None, known.layout)
    )


def newest_release(repo: Repo) -> str:
    """Return the newest version of *repo* that porter can recognise; empty where it knows none."""
    return next(reversed(known_releases(repo)), "")


def core_wheel(release: Release) -> CoreWheel | None:
    """Return the wheel with the schemas of a release; None where porter knows none."""
    known = _known_release(release.repo, release.version)
    return known.core if known else None


def _known_release(repo: Repo, version: str) -> KnownRelease | None:
    return next(
        (known for known in _known().releases if (known.repo, known.version) == (repo, version)), None
    )


def _environment(repo: Repo, version: str) -> str:
    known = _known_release(repo, version)
    name = (known.environment if known else "") or f"{repo}-{version}"
    return name if version and (tree("containers") / name).is_dir() else ""


def _exact_tag(snapshot: Snapshot) -> tuple[str, str]:
    """Return the version tag whose files the commit has, and how the two belong together.

    The repositories squash releases onto their main branch, so that a release commit often
    carries no tag and yet has a tagged commit's very files.
    """
    tree_of_commit = git(snapshot.clone, "rev-parse", f"{snapshot.commit}^{{tree}}").stdout.strip()
    fields = "%(refname:short) %(objectname) %(tree) %(*objectname) %(*tree)"
    listed = git(snapshot.clone, "for-each-ref", f"--format={fields}", "refs/tags").stdout
    same = ""
    for name, *objects in sorted(map(str.split, filter(None, listed.splitlines()))):
        if _VERSION.fullmatch(name) and snapshot.commit in objects:
            return name, f"the commit carries the tag {name}"
        if _VERSION.fullmatch(name) and tree_of_commit in objects:
            same = name
    return same, f"its files are those of the tag {same}" if same else ""


def _decide(tag: str, tagged: str, matches: list[_Match]) -> tuple[str, tuple[str, ...]]:
    """Return the version and the sentences that back it."""
    named = _VERSION.fullmatch(tag)
    match = next((match for match in matches if named and match.release.version == named[1]), None)
    if match is not None:
        return match.release.version, (tagged, *match.agrees, *match.differs)
    best = sorted(matches, key=lambda match: match.rank, reverse=True)
    fitting = [match for match in best if match.fits]
    equal = [match.release.version for match in fitting if match.rank == fitting[0].rank]
    if len(equal) == 1:
        return equal[0], (*fitting[0].agrees, *fitting[0].differs)
    if named:
        return named[1], (tagged,)
    if equal:
        return "", (f"no tag has its files, and its facts fit {' and '.join(equal)} alike",)
    nearest = f"; the nearest is {best[0].release.version}, but {', '.join(best[0].differs)}" if best else ""
    return "", (f"no tag has its files, and no known release fits{nearest}",)


def _matches(repo: Repo, snapshot: Snapshot, layout: Layout) -> tuple[list[str], list[_Match]]:
    """Compare every known release with the commit; facts whose file is absent stay silent."""
    candidates = [known for known in _known().releases if known.repo == repo]
    files = sorted({file for known in candidates for file in known.pins})
    pins = {file: _pins(snapshot.text(file)) for file in files if file in snapshot.paths}
    image = _base_image(snapshot)
    looked_at = [f"{file} {'(absent)' if file not in pins else ''}".strip() for file in files]
    looked_at += [f"{_MANIFEST} {'' if image else '(absent)'}".strip(), "the tags"]
    return looked_at, [_compare(known, pins, image) for known in candidates if known.layout == layout]


def _compare(known: KnownRelease, pins: dict[str, dict[str, str]], image: str) -> _Match:
    agrees, differs = [], []
    same_image = False
    for file in sorted(set(known.pins) & set(pins)):
        for name, expected in sorted(known.pins[file].items()):
            found = pins[file].get(canonicalize_name(name), "")
            stated = f"{file} pins {name}{found}" if found else f"{file} does not pin {name}"
            if found == expected:
                agrees.append(f"{stated}, as {known.version} does")
            else:
                differs.append(f"{stated} ({known.version}: {expected or 'no pin'})")
    if image and known.base_image:
        stated = f"{_MANIFEST} names base image {image[:12]}"
        same_image = image.startswith(known.base_image)
        if same_image:
            agrees.append(f"{stated}, as {known.version} does")
        else:
            differs.append(f"{stated} ({known.version}: {known.base_image})")
    return _Match(release=known, agrees=tuple(agrees), differs=tuple(differs), same_image=same_image)


def _pins(text: str) -> dict[str, str]:
    """Return the version specifier of every requirement line, by normalised name."""
    pins: dict[str, str] = {}
    for line in text.splitlines():
        try:
            requirement = Requirement(line.partition("#")[0].strip())
        except InvalidRequirement:
            continue
        pins[canonicalize_name(requirement.name)] = str(requirement.specifier)
    return pins


def _base_image(snapshot: Snapshot) -> str:
    """Return the x86 digest of the base image, without its ``sha256:``; empty where none is named."""
    try:
        manifest = json.loads(snapshot.text(_MANIFEST) or "{}")
        digest = str(manifest["digests"]["x86"])
    except (ValueError, KeyError, TypeError):
        return ""
    return digest.removeprefix("sha256:")
