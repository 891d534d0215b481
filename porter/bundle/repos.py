"""Clones in and out of git bundles.

``git bundle create`` refuses a clone that lacks the content of some file, as mirrors without large files
do. The pack is therefore made with leave to miss objects, and the bundle's short header by hand; what is
missing is left out of the checkout, as in porter's own clones.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from porter import cache, clones, cloning, git
from porter.errors import WorkspaceError
from porter.records.bundle import BundledRepo
from porter.records.reference import Repo

_KEPT = re.compile(r"refs/(?:heads|tags|remotes/origin)/(?:main|master|release/.+|v?\d.*)")
_HEAD = "refs/heads/porter-base"


def pack(repo: Repo, clone: Path, base: str, output: Path, known: BundledRepo | None) -> BundledRepo:
    """Write the git bundle of a clone: its main and release branches, its tags, and *base*.

    Args:
        repo: which one it is.
        clone: only read.
        base: branch, tag, branch of ``origin`` or commit that a port starts from.
        output: folder of the bundle.
        known: what an earlier run wrote, intact; stays where nothing has moved.

    Raises:
        WorkspaceError: it is no clone, or it has no *base*.
    """
    commit = clones.resolve(clone, base)
    refs = {_HEAD: commit}
    for line in git.line(clone, "for-each-ref", "--format=%(objectname) %(refname)").splitlines():
        name, ref = line.split(" ", 1)
        if _KEPT.fullmatch(ref):
            refs[ref] = name
    if not re.fullmatch(r"[0-9a-f]{7,64}", base):
        named = (f"refs/heads/{base}", f"refs/tags/{base}", f"refs/remotes/origin/{base}")
        if not any(ref in refs for ref in named):
            refs[named[0]] = commit
    wanted = BundledRepo(repo=repo, file=f"repos/{repo}.bundle", base=base, commit=commit, refs=refs)
    if wanted == known:
        return known
    target = output / wanted.file
    target.parent.mkdir(parents=True, exist_ok=True)
    data = git.output(
        clone,
        *("pack-objects", "--revs", "--missing=allow-any", "--threads=1", "--quiet", "--stdout"),
        data="".join(f"{name}\n" for name in sorted(set(refs.values()))).encode(),
    )
    head = "# v2 git bundle\n" + "".join(f"{name} {ref}\n" for ref, name in sorted(refs.items())) + "\n"
    draft = target.with_suffix(".part")
    draft.write_bytes(head.encode() + data)
    draft.replace(target)
    return wanted


def unpack(bundled: BundledRepo, folder: Path, place: Path) -> Path:
    """Return the clone in *place*, made from its git bundle where it is not there.

    Raises:
        WorkspaceError: git cannot read the bundle.
    """
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with cache.locked(place, "making", lambda _line: None):
        if place.is_dir():
            return place
        with tempfile.TemporaryDirectory(
            prefix=f".{place.name}.", dir=place.parent, ignore_cleanup_errors=True
        ) as scratch:
            draft = Path(scratch) / place.name
            draft.mkdir()
            git.run(draft, "init", "--quiet", "--template=", "--initial-branch=porter-base", ".")
            git.run(draft, "bundle", "unbundle", str((folder / bundled.file).absolute()))
            for ref, name in sorted(bundled.refs.items()):
                git.run(draft, "update-ref", ref, name)
            if git.ask(draft, "rev-parse", "HEAD") != bundled.commit:
                raise WorkspaceError(
                    f"{bundled.file} is not the bundle that its manifest describes",
                    next_step="fetch the bundle again",
                )
            cloning.check_out(bundled.repo, bundled.file, draft, lambda _line: None)
            shutil.move(draft, place)
    return place
