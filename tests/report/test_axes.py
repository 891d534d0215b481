"""Where values lie in a drawing, and what is written beside its axes."""

from __future__ import annotations

import itertools
import random
import sys

import pytest

from porter.report.axes import Scale, around, fitted, thinned

LARGEST = sys.float_info.max


@pytest.mark.parametrize(
    "values",
    [
        [0.2, 0.437],
        [1.0],
        [0.0, 0.0],
        [-5.0, -5.0],
        [],
        [-LARGEST, LARGEST],
        [LARGEST],
        [5e-324, 1e-323],
        [1e-320, 1.0],
        [100000.00001, 100000.00002],
        [-1e-7, 3e-7],
        [1e9, 7e12],
    ],
)
def test_every_value_lies_on_its_axis_and_the_labels_differ(values: list[float]) -> None:
    low, high = around(values)
    scale = Scale(low, high, 180, 40)
    assert low < high
    assert all(40 <= scale.place(value) <= 180 for value in values)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 7
    assert len({tick.label for tick in ticks}) == len(ticks)
    assert all(39.9 <= tick.at <= 180.1 for tick in ticks)
    assert max(len(tick.label) for tick in ticks) < 12


def test_equal_values_lie_in_the_middle() -> None:
    assert Scale(*around([0.5, 0.5]), 100, 0).place(0.5) == 50


def test_labels_are_round_and_count_whole_things_in_whole_numbers() -> None:
    assert [tick.label for tick in Scale(0.07, 0.55, 1, 0).ticks()] == ["0.1", "0.2", "0.3", "0.4", "0.5"]
    assert [tick.label for tick in Scale(0.5, 3.5, 0, 1).ticks(whole=True)] == ["1", "2", "3"]
    assert [tick.label for tick in Scale(0, 1e-5, 0, 1).ticks()][1] == "2e-06"


def test_thinning_keeps_ends_order_and_extremes() -> None:
    chance = random.Random(1)
    points = [(at, chance.gauss(0, 1)) for at in range(10_000)]
    points[5000], points[7777] = (5000, 99.0), (7777, -99.0)
    kept = thinned(points, 400)
    assert 200 < len(kept) <= 400
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert {(5000, 99.0), (7777, -99.0)} <= set(kept)
    assert all(one[0] < other[0] for one, other in itertools.pairwise(kept))
    assert thinned(points[:400], 400) == points[:400]


def test_text_is_cut_in_its_middle_where_it_does_not_fit() -> None:
    assert fitted("val_mAP50", 200, 13) == "val_mAP50"
    cut = fitted("begin" + "W" * 100 + "end", 200, 13)
    assert cut.startswith("be")
    assert cut.endswith("d")
    assert "\N{HORIZONTAL ELLIPSIS}" in cut
    assert len(fitted("\N{CJK UNIFIED IDEOGRAPH-4E00}" * 100, 200, 13)) < len(fitted("i" * 100, 200, 13))
    assert fitted("", 10, 13) == ""
