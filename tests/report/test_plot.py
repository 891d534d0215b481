"""Where marks lie on the axis of a parity plot."""

from __future__ import annotations

import itertools

import pytest

from porter.records.review import ReviewHop, ReviewSeries
from porter.report.plot import WORST, Axis, axis_of, plot_of, shown


def hop(*values: float, tolerance: float | None = 1e-5, control: bool = False) -> ReviewHop:
    series = ReviewSeries(label="s", values=values, control=control)
    return ReviewHop(
        gate="g", state="passed", name="n", tolerance=tolerance, relative=None, max_abs=None, series=(series,)
    )


def test_the_axis_is_logarithmic_and_holds_every_value_and_tolerance() -> None:
    axis = axis_of([hop(3e-8, 2e-7), hop(0.02, tolerance=1e-3)])
    assert (axis.low, axis.high) == (-8, -1)
    places = [axis.place(10.0**power) for power in range(-8, 0)]
    steps = {round(other - one, 1) for one, other in itertools.pairwise(places)}
    assert len(steps) == 1
    assert axis.place(0) < places[0] < places[-1] < axis.place(WORST) < 100
    assert axis.place(float("nan")) == axis.place(WORST)


def test_values_beyond_all_reason_stay_on_the_axis() -> None:
    axis = axis_of([hop(1e-300, 1e300)])
    assert (axis.low, axis.high) == (-16, 4)
    assert 0 < axis.place(1e-300) < axis.place(1e300) < 100
    assert axis_of([]).low < axis_of([]).high
    assert axis_of([hop(1e9, tolerance=None)]).low < 4


@pytest.mark.parametrize("low", [-16, -9, -3])
def test_labels_have_room_on_a_phone(low: int) -> None:
    ticks = Axis(low, 2).ticks
    assert 2 <= len(ticks) <= 7
    assert min(b.x - a.x for a, b in itertools.pairwise(ticks)) > 10


def test_a_mark_is_good_on_the_side_where_it_belongs() -> None:
    axis = Axis(-8, 0)
    measured = plot_of(hop(1e-5, 1.1e-5, WORST, 0.0), axis).strips[0]
    assert [mark.good for mark in measured.marks] == [True, False, False, True]
    assert measured.said == "s: 4 values from 0 to no number; 2 beyond the bound"
    assert [mark.text for mark in measured.marks][2:] == ["input 3: no number", "input 4: 0"]
    damaged = plot_of(hop(1e-5, 1.1e-5, control=True), axis).strips[0]
    assert [mark.good for mark in damaged.marks] == [False, True]
    assert damaged.said.endswith("; 1 not seen")
    assert plot_of(hop(0.5, tolerance=None), axis).strips[0].marks[0].good


def test_equal_values_do_not_hide_each_other() -> None:
    marks = plot_of(hop(0.0, 0.0, 0.0, 0.0), Axis(-8, 0)).strips[0].marks
    assert len({mark.y for mark in marks}) == 4
    assert all(4.5 <= mark.y <= 26 - 4.5 for mark in marks)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1e-5, "1e-5"),
        (8.512e-7, "8.51e-7"),
        (1.2e-10, "1.2e-10"),
        (0.0123456, "0.0123"),
        (1.5, "1.5"),
    ],
)
def test_values_are_shown_without_digits_that_say_nothing(value: float, text: str) -> None:
    assert shown(value) == text
