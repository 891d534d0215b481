"""kill -9 at forty points of a port into both clones, and `porter resume` ends as if nothing had happened."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.replay import RECORDING, WORKSPACE
from tests.kill.harness import Program
from tests.repositories import git, visible

pytestmark = pytest.mark.torch_env

POINTS = 40
_ALL_THAT_WRITES = ("--until", "4")
"""Phases 5 and 6 only look at what the others wrote."""
SEED = 20261121


@dataclass(frozen=True)
class Stage:
    """A folder for one port at a time: its clone and its workspace."""

    folder: Path
    original: Path
    deploy: Path
    model: Path
    recording: Path
    cache: Path

    @property
    def workspace(self) -> Path:
        return self.folder / "port"

    def clear(self) -> None:
        """Start from nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        git(self.folder, "clone", "-q", str(self.original), str(self.folder / "clone"))
        git(self.folder, "clone", "-q", str(self.deploy), str(self.folder / "deploy"))

    def variables(self) -> dict[str, str]:
        return {
            RECORDING: str(self.recording),
            WORKSPACE: str(self.workspace),
            "PORTER_CACHE": str(self.cache),
        }

    def port(self, function: str) -> Program:
        clone = str(self.folder / "clone")
        arguments = ("port", str(self.model), "--name", "mini_vit", "--tao-pytorch", clone)
        more = (
            "--tao-deploy",
            str(self.folder / "deploy"),
            "--workspace",
            str(self.workspace),
            *_ALL_THAT_WRITES,
            "--yes",
            "--json",
        )
        return Program(f"tests.e2e.replay:{function}", (*arguments, *more), self.variables())

    def resume(self) -> Program:
        arguments = ("resume", str(self.workspace), *_ALL_THAT_WRITES, "--yes", "--json")
        return Program("tests.e2e.replay:replay", arguments, self.variables())

    def end(self) -> dict[str, object]:
        """Return everything that must be equal."""
        checkpoint = self.workspace / "results" / "checkpoint" / "mini_vit.pth"
        worktree, deploy = self.workspace / "tao-pytorch", self.workspace / "tao-deploy"
        pristine = self.workspace / ".porter" / "pristine"
        return {
            "worktree": visible(worktree),
            "diff": git(worktree, "diff", "--stat"),
            "deploy worktree": visible(deploy),
            "deploy diff": git(deploy, "diff", "--stat"),
            "branches": git(self.folder / "clone", "for-each-ref", "refs/heads"),
            "checkpoint": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
            "pristine": {
                path.relative_to(pristine): path.read_bytes()
                for path in sorted(pristine.rglob("*"))
                if path.is_file()
            },
            "locks": sorted(path.name for path in worktree.rglob("*.porter-*")),
        }


def test_killed_anywhere_resume_ends_the_same(
    mini_kit: Path, deploy_clone: Path, mini_model: Path, e2e_cache: Path, tmp_path: Path
) -> None:
    recording = tmp_path / "recording"
    recording.mkdir()

    def stage(name: str) -> Stage:
        return Stage(tmp_path / name, mini_kit, deploy_clone, mini_model, recording, e2e_cache)

    first = stage("first")
    first.clear()
    (recording / "workspace").write_text(str(first.workspace))
    first.port("record").finish()
    expected = first.end()

    first.clear()
    first.port("replay").finish()
    assert first.end() == expected, "the recording itself changes the outcome"

    # Only now: the run before this one has left digests in the cache, which the killed ones find there, too.
    first.clear()
    effects = first.port("replay").effects(tmp_path / "effects")

    points = chosen(effects)
    assert len(points) >= POINTS
    with ThreadPoolExecutor(2) as pool:
        halves = [
            pool.submit(_kill_all, stage(f"worker-{number}"), points[number::2], effects, expected)
            for number in (0, 1)
        ]
        problems = [problem for half in halves for problem in half.result()]
    assert not problems, "\n".join(problems)


def chosen(effects: list[str]) -> list[int]:
    """Return effect numbers: many of the renames of records and pristine copies, the rest seeded."""
    numbered = list(enumerate(effects, start=1))
    telling = [n for n, effect in numbered if "rename" in effect and re.search("pristine|steps", effect)]
    generator = random.Random(SEED)
    telling = sorted(generator.sample(telling, min(len(telling), POINTS // 2)))
    rest = [n for n, effect in numbered if n not in telling and "fsync" not in effect]
    return sorted({*telling, *generator.sample(rest, POINTS - len(telling))})


def _kill_all(stage: Stage, points: list[int], effects: list[str], expected: dict[str, object]) -> list[str]:
    problems = []
    for point in points:
        stage.clear()
        killed = stage.port("replay").kill(point)
        again = stage.resume() if (stage.workspace / "porter.toml").exists() else stage.port("replay")
        try:
            again.finish()
        except AssertionError as error:
            problems.append(f"{point} {effects[point - 1]}: {error}")
            continue
        if not killed:
            problems.append(f"{point}: the port had ended before")
        end = stage.end()
        problems += [
            f"{point} {effects[point - 1]}: {key} differs" for key in expected if end[key] != expected[key]
        ]
    return problems
