"""A port that is being taken out of the clones, killed at every step of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kill.harness import Program
from tests.kill.test_kill import Arena, Make, arenas_of, differences, edited, in_parallel
from tests.repositories import git, visible


def finished(root: Path, big: int = 3) -> Arena:
    """A finished port that nobody has touched."""
    arena = Arena(root, 1, big)
    arena.program.finish()
    return arena


def taking_back(arena: Arena) -> Program:
    return Program("tests.kill.toy:take_back", (str(arena.workspace),))


def outcome(arena: Arena) -> dict[str, object]:
    """Return what is left: in the worktree, of git's knowledge of it, and of porter's."""
    clone, there = arena.place / "clone", arena.worktree.exists()
    pristine = arena.workspace / ".porter" / "pristine"
    return {
        "worktree": visible(arena.worktree) if there else None,
        "status": git(arena.worktree, "status", "--porcelain", "--branch", "--ignored") if there else None,
        "folders": sorted(path.name for path in arena.worktree.rglob("*") if path.is_dir()),
        "pristine": sorted(path.name for path in pristine.rglob("*") if path.is_file()),
        "state": sorted(path.name for path in (arena.workspace / ".porter").iterdir()),
        "records": sorted(path.name for path in (arena.workspace / ".porter" / "clones").iterdir()),
        "clone": git(clone, "status", "--porcelain", "--branch"),
        "refs": git(clone, "for-each-ref"),
        "worktrees": git(clone, "worktree", "list").count("\n"),
        "admin": sorted(path.name for path in (clone / ".git").glob("worktrees/*")),
    }


@pytest.mark.parametrize("make", [finished, edited])
def test_an_undo_killed_before_every_effect_is_completed_by_the_next(make: Make, tmp_path: Path) -> None:
    arenas = arenas_of(make, tmp_path)
    effects = taking_back(arenas[0]).effects(tmp_path / "report")
    expected = outcome(arenas[0])

    def kill_and_repeat(arena: Arena, point: int) -> str:
        if not taking_back(arena).kill(point):
            return f"{point}: not killed"
        taking_back(arena).finish()
        wrong = differences(outcome(arena), expected)
        return f"{point} ({effects[point - 1]}): {wrong}" if wrong else ""

    points = [point for point, effect in enumerate(effects, 1) if "os.fsync" not in effect]
    assert len(points) >= 40
    assert [text for text in in_parallel(arenas, kill_and_repeat, points) if text] == []


def test_a_port_resumed_after_a_killed_undo_is_the_port_again(tmp_path: Path) -> None:
    arenas = arenas_of(finished, tmp_path)
    expected = arenas[0].outcome()
    effects = taking_back(arenas[0]).effects(tmp_path / "report")

    def kill_and_resume(arena: Arena, point: int) -> str:
        taking_back(arena).kill(point)
        arena.program.finish()
        wrong = differences(arena.outcome(), {**expected, "state": arena.outcome()["state"]})
        return f"{point} ({effects[point - 1]}): {wrong}" if wrong else ""

    points = [point for point, effect in enumerate(effects, 1) if "os.fsync" not in effect]
    assert [text for text in in_parallel(arenas, kill_and_resume, points) if text] == []
