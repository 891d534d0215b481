"""A port whose sandbox answers from a recording, so that it can be killed and resumed many times.

Everything on the host is real: the command line, git, the journal, the write gate. Only the sandboxed
runs, which a kill of the host does not reach into, are played back: their answers and every file that
they wrote.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from porter.records.base import from_json, to_json
from porter.records.sandbox import RunResult, RunSpec
from porter.sandbox.base import new_run_folder
from porter.sandbox.host import HostSandbox

_WORKSPACE = "@workspace@"
RECORDING = "PORTER_TEST_RECORDING"
WORKSPACE = "PORTER_TEST_WORKSPACE"


def _key(spec: RunSpec, workspace: str) -> str:
    """Name a run by what it is asked and by what runs it, wherever its workspace lies.

    The number of its folder is no part of it; the interpreter is: both environments are asked some things.
    """
    request = next((Path(word) for word in spec.argv if word.endswith("in/request.json")), None)
    asked = request.read_text() if request else " ".join(spec.argv[1:])
    asked = f"{spec.argv[0]} {asked}"
    return f"{spec.name}-{hashlib.sha256(asked.replace(workspace, _WORKSPACE).encode()).hexdigest()[:16]}"


class RecordingSandbox(HostSandbox):
    """Runs for real and keeps what every run wrote."""

    def run(
        self, spec: RunSpec, on_line: Callable[[str], None] | None = None, *, folder: Path | None = None
    ) -> RunResult:
        """Run, then copy the answer and the writable mounts into the recording."""
        result = super().run(spec, on_line, folder=folder)
        workspace = os.environ[WORKSPACE]
        kept = Path(os.environ[RECORDING]) / _key(spec, workspace)
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        (kept / "result.json").write_bytes(to_json(result))
        (kept / "log.txt").write_bytes(Path(result.log).read_bytes())
        places = [mount.path for mount in spec.mounts if mount.writable]
        for number, place in enumerate(places):
            shutil.copytree(place, kept / str(number), symlinks=True)
        (kept / "places").write_text("\n".join(places).replace(workspace, _WORKSPACE))
        return result


class ReplayingSandbox(HostSandbox):
    """Answers from the recording."""

    def run(
        self, spec: RunSpec, on_line: Callable[[str], None] | None = None, *, folder: Path | None = None
    ) -> RunResult:
        """Put what the recorded run wrote in place."""
        workspace = os.environ[WORKSPACE]
        own = new_run_folder(self.runs, spec.name) if folder is None else folder
        kept = Path(os.environ[RECORDING]) / _key(spec, workspace)
        result = from_json((kept / "result.json").read_bytes(), RunResult)
        places = [mount.path for mount in spec.mounts if mount.writable]
        for number, place in enumerate(places):
            _put(kept / str(number), Path(place))
        recorded = (kept / "places").read_text().splitlines()
        for old, new in zip(recorded, places, strict=True):
            answer = Path(new) / "answer.json"
            if answer.is_file():
                text = answer.read_text().replace(old.replace(_WORKSPACE, _recorded(kept)), new)
                answer.write_text(text.replace(_recorded(kept), workspace))
        (own / "log.txt").write_bytes((kept / "log.txt").read_bytes())
        return msgspec.structs.replace(result, log=str(own / "log.txt"))


def _put(kept: Path, place: Path) -> None:
    """Copy a folder over another; a link that is there already is made anew."""
    for path in kept.rglob("*"):
        there = place / path.relative_to(kept)
        if path.is_symlink() and there.is_symlink():
            there.unlink()
    shutil.copytree(kept, place, symlinks=True, dirs_exist_ok=True)


def _recorded(kept: Path) -> str:
    """Return the workspace that the recording was made in."""
    return (kept.parent / "workspace").read_text()


def record() -> object:
    """Run porter and record its sandbox."""
    return _with(RecordingSandbox)


def replay() -> object:
    """Run porter on the recording."""
    return _with(ReplayingSandbox)


def _with(kind: type[HostSandbox]) -> object:
    from porter import cli
    from porter.sandbox import host

    host.HostSandbox = kind  # type: ignore[misc]
    return cli.main()  # type: ignore[func-returns-value]
