"""What the trainer and the engine write of the same images is compared cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from porter.gates.rows import FP32_TOLERANCE, compare_rows

HEADING = "img_name,zebra,ant,bee,pred_label,pred_score,gt_label"
ROWS = [
    "/d/val/ant/1.png,0.1,0.7,0.2,ant,0.7,ant",
    "/d/val/bee/2.png,0.3,0.3,0.4,bee,0.4,bee",
    "/d/val/zebra/3.png,0.5,0.25,0.25,zebra,0.5,zebra",
]
Write = Callable[[list[str]], Path]


@pytest.fixture
def native(tmp_path: Path) -> Path:
    return table(tmp_path / "native.csv", [HEADING, *ROWS])


def table(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_rounding_is_no_difference(native: Path, tmp_path: Path) -> None:
    engine = table(
        tmp_path / "e.csv", [HEADING, *ROWS[:2], ROWS[2].replace("0.25,0.25", "0.250001,0.249999")]
    )
    found = compare_rows(native, engine)
    assert found.within(FP32_TOLERANCE)
    assert found.rows == 3
    assert found.max_abs == pytest.approx(1e-6)
    assert set(found.per_image) == {"1.png", "2.png", "3.png"}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        pytest.param([HEADING, *ROWS[:2]], "1 images have no row", id="the last partial batch is dropped"),
        pytest.param(
            [HEADING.replace("zebra,ant,bee", "ant,bee,zebra"), *ROWS], "columns", id="sorted classes"
        ),
        pytest.param(ROWS, "columns", id="no heading"),
        pytest.param([HEADING, ROWS[1], ROWS[0], ROWS[2]], "another order", id="another order"),
        pytest.param([], "missing or empty", id="nothing written"),
        pytest.param(
            [HEADING, ROWS[0].replace("0.1,0.7,0.2,ant,0.7", "1.0,3.0,1.7,ant,3.0"), *ROWS[1:]],
            "sum to",
            id="logits in place of probabilities",
        ),
        pytest.param(
            [HEADING, ROWS[0].replace("ant,0.7", "bee,0.7"), *ROWS[1:]], "label bee", id="wrong label"
        ),
        pytest.param(
            [HEADING, ROWS[0].replace("ant,0.7", "ant,0.9"), *ROWS[1:]], "score 0.9", id="wrong score"
        ),
        pytest.param(
            [HEADING, ROWS[0].replace("0.1,", "np.float32(0.1),"), *ROWS[1:]],
            "1.png: 'np.float32(0.1)' is no number",
            id="a number's representation",
        ),
        pytest.param(
            [HEADING, ROWS[0].replace("0.1,", "nan,"), *ROWS[1:]], "'nan' is no number", id="not a number"
        ),
        pytest.param(
            [HEADING, *ROWS[:2], ROWS[2].removesuffix(",zebra")], "6 cells under 7 columns", id="short row"
        ),
        pytest.param([HEADING, *ROWS[:2], f"{ROWS[2]},zebra"], "8 cells under 7 columns", id="long row"),
        pytest.param(
            [HEADING, ROWS[0].replace("ant,0.7", "wasp,0.7"), *ROWS[1:]],
            "label 'wasp' is no class",
            id="unknown label",
        ),
    ],
)
def test_what_differs_is_named(native: Path, tmp_path: Path, lines: list[str], words: str) -> None:
    found = compare_rows(native, table(tmp_path / "e.csv", lines))
    assert not found.within(FP32_TOLERANCE)
    assert any(words in problem for problem in found.problems), found


def test_blank_lines_are_no_rows(native: Path, tmp_path: Path) -> None:
    assert compare_rows(native, table(tmp_path / "e.csv", [HEADING, *ROWS, ""])).within(FP32_TOLERANCE)


def test_a_probability_beyond_the_bound_is_seen(native: Path, tmp_path: Path) -> None:
    changed = ROWS[0].replace("0.1,0.7,0.2,ant,0.7", "0.11,0.69,0.2,ant,0.69")
    found = compare_rows(native, table(tmp_path / "e.csv", [HEADING, changed, *ROWS[1:]]))
    assert not found.problems
    assert found.top_1 == 1
    assert not found.within(FP32_TOLERANCE)


def test_another_truth_is_no_agreement(native: Path, tmp_path: Path) -> None:
    changed = ROWS[0].removesuffix("ant") + "bee"
    found = compare_rows(native, table(tmp_path / "e.csv", [HEADING, changed, *ROWS[1:]]))
    assert found.top_1 == pytest.approx(2 / 3)
    assert not found.within(FP32_TOLERANCE)


def test_no_images_prove_nothing(tmp_path: Path) -> None:
    both = [table(tmp_path / name, [HEADING]) for name in ("n.csv", "e.csv")]
    assert not compare_rows(*both).within(FP32_TOLERANCE)
