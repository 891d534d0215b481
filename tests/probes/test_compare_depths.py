"""Depth maps of two runs are compared in their own unit, whatever levels they were saved as."""

from __future__ import annotations

import array
import csv
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from porter.records.engines import DepthsAnswer, DepthsRequest
from porter.records.sandbox import Environment, Mount
from porter.sandbox.base import run_probe
from porter.sandbox.host import HostSandbox

pytestmark = pytest.mark.deploy_env

NAMES = ("a", "room/b")
Rows = list[list[float]]
Change = Callable[[Rows], Rows]


@pytest.fixture
def compare(deploy_environment: Environment, tmp_path: Path) -> Callable[[Path, Path], DepthsAnswer]:
    """The probe, in the sandbox as porter runs it."""

    def ask(native: Path, engine: Path) -> DepthsAnswer:
        return run_probe(
            HostSandbox(deploy_environment, tmp_path / "runs"),
            "compare_depths",
            DepthsRequest(native=str(native), engine=str(engine)),
            DepthsAnswer,
            mounts=[Mount(path=str(native)), Mount(path=str(engine))],
        )

    return ask


def times(factor: float, offset: float = 0.0) -> Change:
    return lambda rows: [[factor * value + offset for value in row] for row in rows]


def write(folder: Path, change: Change = lambda rows: rows) -> Path:
    """Write what an inference leaves; *change* alters every depth map."""
    table = []
    for seed, name in enumerate(NAMES):
        dice = random.Random(seed)
        depth = change([[dice.uniform(1, 9) for _ in range(8)] for _ in range(6)])
        values = [value for row in depth for value in row]
        lowest, highest = min(values), max(values)
        levels = array.array("H", (round((each - lowest) / (highest - lowest) * 65535) for each in values))
        size = (len(depth[0]), len(depth))
        pictures = {
            "depth": Image.frombytes("I;16", size, levels.tobytes()),
            "depth_colour": Image.new("RGB", size),
        }
        for kind, picture in pictures.items():
            path = folder / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
        table.append([f"/data/images/{name}.jpg", lowest, highest, sum(values) / len(values)])
    with (folder / "result.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["img_name", "min", "max", "mean"], *table])
    return folder


Compare = Callable[[Path, Path], DepthsAnswer]


def test_equal_runs_are_nothing_apart(compare: Compare, tmp_path: Path) -> None:
    answer = compare(write(tmp_path / "native"), write(tmp_path / "engine"))
    assert (set(answer.relative), answer.problems) == ({"a.png", "room/b.png"}, ())
    assert max(answer.relative.values()) == answer.max_abs == 0


@pytest.mark.parametrize("change", [times(1.01), times(1, 0.05)], ids=["scale", "offset"])
def test_another_scale_or_offset_is_seen_though_the_levels_are_the_same(
    compare: Compare, tmp_path: Path, change: Change
) -> None:
    answer = compare(write(tmp_path / "native"), write(tmp_path / "engine", change))
    assert answer.problems == ()
    assert all(0.005 < value < 0.02 for value in answer.relative.values())


def test_a_map_that_is_upside_down_is_seen(compare: Compare, tmp_path: Path) -> None:
    answer = compare(write(tmp_path / "native"), write(tmp_path / "engine", lambda rows: rows[::-1]))
    assert min(answer.relative.values()) > 0.1


@pytest.mark.parametrize("kind", ["depth", "depth_colour"])
def test_a_file_that_is_missing_is_a_problem(compare: Compare, tmp_path: Path, kind: str) -> None:
    native, engine = write(tmp_path / "native"), write(tmp_path / "engine")
    (engine / kind / "a.png").unlink()
    answer = compare(native, engine)
    assert answer.relative == {}
    assert answer.problems == (f"{kind} has 1 files, the trainer's 2, or other names",)


def test_a_map_of_another_size_is_a_problem(compare: Compare, tmp_path: Path) -> None:
    engine = write(tmp_path / "engine", lambda rows: [row[:5] for row in rows])
    answer = compare(write(tmp_path / "native"), engine)
    assert "(6, 5), the trainer's (6, 8)" in answer.problems[0]


def test_rows_of_other_images_are_a_problem(compare: Compare, tmp_path: Path) -> None:
    native, engine = write(tmp_path / "native"), write(tmp_path / "engine")
    text = (engine / "result.csv").read_text()
    (engine / "result.csv").write_text(text.replace("/data/images/a.jpg", "/data/images/c.jpg"))
    answer = compare(native, engine)
    assert answer.problems == ("result.csv has other columns or images than the trainer's",)
