"""The drawings of a training and of a search, as a reader of XML sees them."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from porter.records.progress import Best, Points, Progress
from porter.records.trials import Trial, Trials
from porter.report.curves import curves_svg, trials_svg, write_curves
from tests.report.runs import UNDER_WAY

SVG = "{http://www.w3.org/2000/svg}"


def drawn(data: bytes) -> ElementTree.Element:
    """Return a drawing whose marks all lie in it, and that asks for nothing from elsewhere."""
    root = ElementTree.fromstring(data)
    assert root.tag == f"{SVG}svg"
    text = data.decode()
    assert "nan" not in re.sub(r"<(title|text).*?</\1>", "", text, flags=re.DOTALL)
    assert not re.search(r"(href|src|url\(|@import|<script|<foreignObject)", re.sub(r"&lt;", "", text))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for group in root.iter(f"{SVG}g"):
        left, top = map(float, re.findall(r"-?[\d.]+", group.attrib["transform"])[:2])
        for mark in group.iter(f"{SVG}circle"):
            assert 0 <= left + float(mark.attrib["cx"]) <= width
            assert 0 <= top + float(mark.attrib["cy"]) <= height
    return root


def series(**values: Points) -> Progress:
    return Progress(series=values, by="epoch")


def texts(root: ElementTree.Element, kind: str = "") -> list[str]:
    found = [item for item in root.iter(f"{SVG}text") if not kind or item.attrib.get("class") == kind]
    return [item.text or "" for item in found]


def marks(root: ElementTree.Element, kind: str, tag: str = "circle") -> list[ElementTree.Element]:
    return [item for item in root.iter(f"{SVG}{tag}") if item.attrib.get("class") == kind]


def title(item: ElementTree.Element) -> str:
    return item.findtext(f"{SVG}title") or ""


def test_a_panel_per_metric_with_the_networks_own_first_and_its_best_marked() -> None:
    both = Progress(
        series={"a_loss": ((1, 3.0), (2, 1.0)), **UNDER_WAY.series},
        metric="val_mAP50",
        best=UNDER_WAY.best,
        by="epoch",
    )
    root = drawn(curves_svg(both, "dino-1: train"))
    assert texts(root, "title") == ["dino-1: train"]
    assert texts(root, "name") == ["val_mAP50", "a_loss"]
    assert [title(mark) for mark in marks(root, "best")] == ["best 0.437 at 2"]
    assert texts(root, "said-best") == ["best 0.437 at 2"]
    assert "last 1" in texts(root)
    assert texts(root).count("epoch") == 2
    assert [title(mark) for mark in marks(root, "dot")] == ["1: 0.2", "2: 0.437", "3: 0.412", "1: 3", "2: 1"]


def test_the_best_lies_above_the_others() -> None:
    root = drawn(curves_svg(UNDER_WAY, "t"))
    best = float(marks(root, "best")[0].attrib["cy"])
    assert best == min(float(mark.attrib["cy"]) for mark in marks(root, "dot"))


def test_the_same_records_give_the_same_bytes() -> None:
    assert curves_svg(UNDER_WAY, "t") == curves_svg(UNDER_WAY, "t")
    backwards = Progress(series={"b": ((1, 1.0),), "a": ((1, 2.0),)})
    assert curves_svg(backwards, "t") == curves_svg(
        Progress(series={"a": ((1, 2.0),), "b": ((1, 1.0),)}), "t"
    )


@pytest.mark.parametrize(
    "name",
    [
        '<script>alert("x")</script>',
        "a\"b'c&d",
        "]]>",
        "\x00\x1b[31m",
        "\ufffe\uffff\ud800",
        "a\nb",
        "W" * 300,
        "",
    ],
)
def test_a_hostile_name_is_only_text(name: str) -> None:
    root = drawn(curves_svg(series(**{name: ((1, 1.0),)}), name))
    assert len(texts(root, "name")) == 1
    assert {item.tag for item in root.iter()} <= {
        f"{SVG}{tag}" for tag in ("svg", "title", "style", "rect", "text", "g", "line", "path", "circle")
    }
    drawn(trials_svg(Trials(metric=name, direction="minimize"), name))


def test_a_name_that_is_too_long_is_whole_where_it_is_pointed_at() -> None:
    name = "metric_" * 30
    root = drawn(curves_svg(series(**{name: ((1, 1.0),)}), "t"))
    shown = next(item for item in root.iter(f"{SVG}text") if item.attrib.get("class") == "name")
    assert len(shown.text or "") < 60
    assert title(shown) == name


@pytest.mark.parametrize("points", [((1, 0.4),), ((1, 0.4), (2, 0.4), (3, 0.4)), ((7, -1e308), (9, 1e308))])
def test_one_epoch_constant_values_and_giants_are_drawn(points: Points) -> None:
    root = drawn(curves_svg(series(a=points), "t"))
    assert len(marks(root, "dot")) == len(points)
    assert str(points[0][0]) in texts(root)


def test_many_points_are_thinned_and_no_epoch_is_written_that_there_is_not() -> None:
    data = curves_svg(series(a=tuple((at, 1.0 / at) for at in range(1, 10_001))), "t")
    root = drawn(data)
    assert len(data) < 12_000
    assert 300 < marks(root, "curve", "path")[0].attrib["d"].count("L") < 400
    assert "10000" in texts(root)
    assert not marks(root, "dot")
    below = [text for text in texts(root) if text.isdigit() and int(text) > 1]
    assert below == ["2000", "4000", "6000", "8000", "10000"]


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    assert "No metric has been reported." in texts(drawn(curves_svg(Progress(), "t")))
    assert write_curves(tmp_path, Progress(), "t") is None
    assert list(tmp_path.iterdir()) == []
    assert write_curves(tmp_path, UNDER_WAY, "t") == tmp_path / "curves.svg"
    assert (tmp_path / "curves.svg").read_bytes() == curves_svg(UNDER_WAY, "t")


def test_both_grounds_have_their_colours() -> None:
    style = curves_svg(UNDER_WAY, "t").decode()
    light, dark = style.split("prefers-color-scheme: dark")
    for name in ("--ground", "--line", "--text", "--muted", "--curve", "--best", "--failed"):
        assert f"{name}:" in light
        assert f"{name}:" in dark.partition("</style>")[0]


TRIALS = Trials(
    metric="val_mAP50",
    direction="maximize",
    best=3,
    trials=(
        Trial(number=1, name="trial-1", state="complete", metric=0.3),
        Trial(number=2, name="trial-2", state="error"),
        Trial(number=3, name="trial-3", state="complete", metric=0.5),
        Trial(number=4, name="trial-4", state="complete", metric=0.4),
        Trial(number=5, name="trial-5", state="running"),
    ),
)


def heights(root: ElementTree.Element) -> list[float]:
    return [
        float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", marks(root, "sofar", "path")[-1].attrib["d"])
    ]


def test_trials_are_dots_failed_ones_crosses_and_the_line_is_the_best_so_far() -> None:
    root = drawn(trials_svg(TRIALS, "dino-1"))
    assert [title(mark) for mark in marks(root, "dot") if title(mark)] == [
        "trial 1: 0.3",
        "trial 3: 0.5",
        "trial 4: 0.4",
    ]
    assert [title(mark) for mark in marks(root, "cross", "path") if title(mark)] == ["trial 2: error"]
    assert [title(mark) for mark in marks(root, "best")] == ["best, trial 3: 0.5"]
    line = heights(root)
    assert line == sorted(line, reverse=True)
    assert len(set(line)) == 2
    assert root.findtext(f"{SVG}title") == "dino-1: 3 trials with a metric, 1 without"


def test_where_less_is_better_the_line_goes_down() -> None:
    least = Trials(metric="loss", direction="minimize", best=1, trials=TRIALS.trials)
    assert len(set(heights(drawn(trials_svg(least, "t"))))) == 1


def test_a_search_without_results_is_drawn() -> None:
    none = Trials(metric="m", direction="maximize")
    assert "No trial has ended yet." in texts(drawn(trials_svg(none, "t")))
    failed = Trials(metric="m", direction="maximize", trials=TRIALS.trials[1:2])
    assert len([mark for mark in marks(drawn(trials_svg(failed, "t")), "cross", "path") if title(mark)]) == 1


def test_a_best_without_points_is_no_error() -> None:
    best = Best(value=1.0, at=1)
    picture = drawn(curves_svg(Progress(series={"a": ((1, 1.0),)}, metric="b", best=best), "t"))
    assert "a" in texts(picture)
    assert not [text for text in texts(picture) if text.startswith("best")]
