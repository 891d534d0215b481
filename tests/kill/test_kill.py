from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.kill import toy
from tests.kill.harness import Program
from tests.repositories import git, repository, visible, write

WORKERS = 2


class Arena:
    """A folder with a clone and a workspace that can be put back to how it began.

    Git writes absolute paths, so every run happens at the same place.
    """

    def __init__(self, root: Path, version: int, big: int) -> None:
        self.place = root / "arena"
        self.saved = root / "saved"
        self.version = version
        self.workspace = self.place / "work"
        self.worktree = self.workspace / "tao-pytorch"
        content = {"setup.py": toy.SETUP, ".gitignore": "*.log\n"}
        content.update({f"big/{n}.txt": f"{n}\n" * 500 for n in range(big)})
        repository(self.place / "clone", content)

    @property
    def program(self) -> Program:
        return self.of_version(self.version)

    def of_version(self, version: int) -> Program:
        arguments = (str(self.workspace), str(self.place / "clone"), str(version))
        return Program("tests.kill.toy:main", arguments)

    def save(self) -> None:
        shutil.copytree(self.place, self.saved, symlinks=True)

    def restore(self) -> None:
        shutil.rmtree(self.place)
        shutil.copytree(self.saved, self.place, symlinks=True)

    def outcome(self) -> dict[str, object]:
        """Return what must not depend on kills: the port, its copies, what git makes of it, and no litter."""
        pristine = self.workspace / ".porter" / "pristine"
        return {
            "worktree": visible(self.worktree),
            "folders": sorted(
                str(path.relative_to(self.worktree)) for path in self.worktree.rglob("*") if path.is_dir()
            ),
            "diff": git(self.worktree, "diff"),
            "status": git(self.worktree, "status", "--porcelain", "--branch", "--ignored"),
            "pristine": {
                str(path.relative_to(pristine)): path.read_bytes()
                for path in pristine.rglob("*")
                if path.is_file()
            },
            "converted": (self.workspace / "results" / "model.bin").read_bytes(),
            "state": sorted(path.name for path in (self.workspace / ".porter").iterdir()),
            "clone": git(self.place / "clone", "status", "--porcelain", "--branch"),
            "branches": git(self.place / "clone", "branch", "--format=%(refname) %(objectname)"),
            "worktrees": git(self.place / "clone", "worktree", "list").count("\n"),
        }


def fresh(root: Path, big: int = 3) -> Arena:
    return Arena(root, 1, big)


def edited(root: Path, big: int = 3) -> Arena:
    """A finished port that a person has worked on, about to get a new render."""
    arena = Arena(root, 2, big)
    arena.of_version(1).finish()
    write(
        arena.worktree,
        {
            "net/model.py": toy.MODEL.format(width="'mine'", heads=3),
            "setup.py": (arena.worktree / "setup.py").read_text().replace("'tao'", "'mine'"),
            "notes.txt": "mine\n",
        },
    )
    (arena.worktree / "net" / "trainer.py").unlink()
    return arena


Make = Callable[..., Arena]


def arenas_of(make: Make, root: Path, **more: int) -> list[Arena]:
    made = [make(root / str(number), **more) for number in range(WORKERS)]
    for arena in made:
        arena.save()
    return made


def in_parallel(
    arenas: list[Arena], work: Callable[[Arena, int], str], points: Sequence[int]
) -> Iterator[str]:
    free: SimpleQueue[Arena] = SimpleQueue()
    for arena in arenas:
        free.put(arena)

    def one(point: int) -> str:
        arena = free.get()
        try:
            arena.restore()
            return work(arena, point)
        finally:
            free.put(arena)

    with ThreadPoolExecutor(len(arenas)) as pool:
        yield from pool.map(one, points)


def differences(found: dict[str, object], expected: dict[str, object]) -> str:
    return "; ".join(
        f"{key}: {found[key]!r}, not {expected[key]!r}" for key in expected if found[key] != expected[key]
    )


@pytest.mark.parametrize("make", [fresh, edited])
def test_a_kill_before_every_effect_changes_nothing_in_the_end(make: Make, tmp_path: Path) -> None:
    arenas = arenas_of(make, tmp_path)
    effects = arenas[0].program.effects(tmp_path / "report")
    expected = arenas[0].outcome()

    def kill_and_resume(arena: Arena, point: int) -> str:
        if not arena.program.kill(point):
            return f"{point}: not killed"
        arena.program.finish()
        wrong = differences(arena.outcome(), expected)
        return f"{point} ({effects[point - 1]}): {wrong}" if wrong else ""

    # A kill before an fsync finds the same files as a kill before the effect that follows it.
    points = [point for point, effect in enumerate(effects, 1) if "os.fsync" not in effect]
    assert len(points) >= 60
    assert [text for text in in_parallel(arenas, kill_and_resume, points) if text] == []


def test_git_killed_at_its_work_changes_nothing_in_the_end(tmp_path: Path) -> None:
    arenas = arenas_of(fresh, tmp_path, big=200)
    effects = arenas[0].program.effects(tmp_path / "report")
    expected = arenas[0].outcome()
    changing = ("'worktree'", "'update-ref'", "'symbolic-ref'", "'reset'", "'add'")
    starts = [number for number, effect in enumerate(effects, 1) if any(word in effect for word in changing)]
    seeded = random.Random(7)
    points = [(seeded.choice(starts), seeded.uniform(0, 12), seeded.random() < 0.7) for _ in range(20)]

    def kill_and_resume(arena: Arena, index: int) -> str:
        at, delay, group = points[index]
        arena.program.kill(at, delay_ms=delay, group=group)
        arena.program.finish()
        wrong = differences(arena.outcome(), expected)
        return f"{effects[at - 1]} + {delay:.1f} ms: {wrong}" if wrong else ""

    assert [text for text in in_parallel(arenas, kill_and_resume, range(len(points))) if text] == []


@pytest.mark.parametrize("make", [fresh, edited])
def test_a_second_kill_while_resuming_changes_nothing_in_the_end(make: Make, tmp_path: Path) -> None:
    arenas = arenas_of(make, tmp_path)
    effects = arenas[0].program.effects(tmp_path / "report")
    expected = arenas[0].outcome()
    seeded = random.Random(11)
    points = [(seeded.randint(1, len(effects)), seeded.randint(1, 60)) for _ in range(10)]

    def kill_twice_and_resume(arena: Arena, index: int) -> str:
        first, second = points[index]
        arena.program.kill(first)
        arena.program.kill(second)
        arena.program.finish()
        wrong = differences(arena.outcome(), expected)
        return f"{first}, then {second}: {wrong}" if wrong else ""

    assert [text for text in in_parallel(arenas, kill_twice_and_resume, range(len(points))) if text] == []
