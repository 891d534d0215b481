"""What becomes of one file: the last render, the file as it stands and the new render, compared."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from porter import git
from porter.clones import Version

Outcome = Literal["created", "identical", "updated", "merged", "kept", "removed", "conflict"]

OURS, BASE, THEIRS = "your file", "last render", "new render"


@dataclass(frozen=True)
class Decision:
    """The outcome for one file.

    Attributes:
        result: the working file afterwards; None for no file.
        text: for a conflict, both sides between markers.
    """

    outcome: Outcome
    result: Version | None
    detail: str = ""
    text: bytes = b""


@dataclass(frozen=True)
class Merge:
    """A three-way merge of bytes; with markers where it is not clean."""

    clean: bool
    data: bytes


Merger = Callable[[bytes, bytes, bytes], Merge]


def decide(base: Version | None, working: Version | None, render: Version | None, merge: Merger) -> Decision:
    """Compare three states of a file, None being no file; effects are left to the caller.

    Args:
        base: what porter put there last, or what the clone's commit has where porter edits it first.
        working: what is there now.
        render: what porter wants there.
        merge: merges (base, working, render).
    """
    if working == render:
        return Decision("identical" if render else "removed", working)
    if render is None:
        return _without_render(base, working)
    if base is None:
        return _without_base(working, render, merge)
    if render == base:
        return Decision("kept", working, "deleted by you" if working is None else "edited by you")
    if working is None:
        return Decision(
            "conflict", None, "deleted by you, changed by the new render", markers(b"", render.data)
        )
    if working == base:
        return Decision("updated", render)
    return _merged(base, working, render, merge)


def _without_render(base: Version | None, working: Version | None) -> Decision:
    if working == base:
        return Decision("removed", None)
    ours = working.data if working else b""
    return Decision("conflict", working, "edited by you, no longer generated", markers(ours, b""))


def _without_base(working: Version | None, render: Version, merge: Merger) -> Decision:
    if working is None:
        return Decision("created", render)
    if working.data == render.data:
        return Decision("updated", render, "executable bit")
    # A merge with nothing as its base keeps the lines that both sides share out of the markers.
    text = merge(b"", working.data, render.data).data
    return Decision("conflict", working, "a file that porter did not make is in its place", text)


def _merged(base: Version, working: Version, render: Version, merge: Merger) -> Decision:
    merged = merge(base.data, working.data, render.data)
    if not merged.clean:
        return Decision(
            "conflict", working, "edited by you, and the new render changes the same lines", merged.data
        )
    bit = render.executable if working.executable == base.executable else working.executable
    result = Version(merged.data, bit)
    return Decision("kept" if result == working else "merged", result, "edited by you")


def markers(ours: bytes, theirs: bytes) -> bytes:
    """Return both texts between conflict markers."""
    parts = [f"<<<<<<< {OURS}\n".encode(), ours, b"=======\n", theirs, f">>>>>>> {THEIRS}\n".encode()]
    return b"".join(part if part.endswith(b"\n") or not part else part + b"\n" for part in parts)


def is_settled(text: bytes) -> bool:
    """Say whether no conflict marker of porter is left in *text*."""
    edges = (f"<<<<<<< {OURS}".encode(), f">>>>>>> {THEIRS}".encode())
    return not any(line.rstrip() in edges for line in text.splitlines())


def merge_file(base: bytes, ours: bytes, theirs: bytes) -> Merge:
    """Merge with ``git merge-file``; what it cannot merge (binary data) is a conflict as a whole."""
    with tempfile.TemporaryDirectory(prefix="porter-merge-") as name:
        folder = Path(name)
        for file, data in (("ours", ours), ("base", base), ("theirs", theirs)):
            (folder / file).write_bytes(data)
        labels = ("-L", OURS, "-L", BASE, "-L", THEIRS)
        done = git.run(folder, "merge-file", "-p", *labels, "ours", "base", "theirs", accept=range(256))
    if done.returncode > 127:
        return Merge(False, markers(ours, theirs))
    return Merge(done.returncode == 0, done.stdout)


def fingerprint(version: Version | None) -> str:
    """Return a digest of content and executable bit; empty for no file."""
    if version is None:
        return ""
    return hashlib.sha256((b"x" if version.executable else b"-") + version.data).hexdigest()
