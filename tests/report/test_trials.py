"""The table of trials, for people and for programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.records.base import from_json
from porter.records.training import SearchRoute
from porter.records.trials import Trials
from porter.report.trials import aligned, exact, markdown, seconds_of, span, table, trials_of, write_trials
from tests.report.runs import ROUTE, job, searched


def found() -> Trials:
    return trials_of(searched().jobs, ROUTE)


def test_trials_are_found_among_the_jobs_by_number_and_the_best_is_the_first_of_equals() -> None:
    assert [trial.number for trial in found().trials] == [1, 2, 3, 10]
    assert found().best == 3
    assert found().trials[1].reason == "the GPU's memory does not hold a batch"
    assert found().trials[0].seconds == 3600.0
    least = SearchRoute(on=True, reason="", metric="val_loss", direction="minimize")
    assert trials_of(searched().jobs, least).best == 1
    assert trials_of((job("train"), job("trial-x")), ROUTE) == Trials(
        metric="val_mAP50", direction="maximize", parameters=ROUTE.parameters
    )


def test_the_terminal_shows_every_trial_with_what_it_varied_and_why_it_failed() -> None:
    lines = aligned(table(found()))
    assert lines[0].split() == [
        *("TRIAL", "STATE", "val_mAP50", "train.optim.lr", "model.dropout_ratio", "TOOK", "REASON"),
    ]
    assert lines[1].split() == ["1", "complete", "0.41", "0.0002", "0.1", "60", "min"]
    assert lines[2].split()[:3] == ["2", "error", "0.001"]
    assert lines[2].endswith("the GPU's memory does not hold a batch")
    assert lines[3].startswith("3 *")
    assert sum("*" in line for line in lines) == 1


def test_a_value_that_was_not_planned_has_a_column_too() -> None:
    jobs = (job("trial-1", values={"train.batch_size": 4, "a": "b", "c": [1, True]}),)
    rows = table(trials_of(jobs, ROUTE))
    assert rows[0][3:8] == ["train.optim.lr", "model.dropout_ratio", "train.batch_size", "a", "c"]
    assert rows[1][3:8] == ["", "", "4", "b", "[1, true]"]


def test_all_three_files_are_written(tmp_path: Path) -> None:
    paths = write_trials(tmp_path, found(), "dino-1")
    assert [path.name for path in paths] == ["trials.md", "trials.json", "trials.svg"]
    assert from_json((tmp_path / "trials.json").read_bytes(), Trials) == found()
    text = (tmp_path / "trials.md").read_text()
    assert "The best is trial 3" in text
    assert "| 3 \\* | complete | 0.437 | 5e-05 | 0 | 60 min |  |" in text
    assert paths == write_trials(tmp_path, found(), "dino-1")
    assert (tmp_path / "trials.md").read_text() == text


@pytest.mark.parametrize("text", ["a|b", "<script>alert(1)</script>", "a\nb", "`x`", "[l](http://x)", "&lt;"])
def test_markdown_shows_hostile_text_as_it_is(text: str) -> None:
    jobs = (job("trial-1", "error", reason=text, values={text: text}),)
    made = markdown(trials_of(jobs, ROUTE), text)
    rows = [line for line in made.splitlines() if line.startswith("|")]
    unescaped = [row.replace("\\\\", "").replace("\\|", "").count("|") for row in rows]
    assert len(rows) == 3
    assert len(set(unescaped)) == 1
    assert "<script" not in made.replace("\\<", "")
    assert "](" not in made.replace("\\]", "")


def test_reasons_have_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "c4nary-of-a-token")
    made = trials_of((job("trial-1", "error", reason="token c4nary-of-a-token"),), ROUTE)
    assert made.trials[0].reason == "token (not shown)"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (720, "12 min"),
        (3600, "60 min"),
        (5400, "1 h 30 min"),
        (7200, "2 h"),
        (86400 * 2 + 3600 * 5, "2 d 5 h"),
        (86400 * 3, "3 d"),
    ],
)
def test_a_time_is_told_in_the_units_that_matter(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_times_that_are_no_times_have_no_length() -> None:
    assert seconds_of(job("a", "running")) is None
    assert seconds_of(job("a", started="soon")) is None
    assert seconds_of(job("a", started="2026-03-01T10:00:00")) is None
    assert seconds_of(job("a", started="2026-03-01T10:00:00Z", ended="2026-03-01T12:00:00+02:00")) == 0.0


def test_metrics_have_four_digits() -> None:
    assert [exact(value) for value in (0.43712, 0.0, 12345.6, 0.00012)] == [
        "0.4371",
        "0",
        "1.235e+04",
        "1.2e-4",
    ]


def test_the_best_is_the_one_that_the_search_has_chosen() -> None:
    # Of hyperband: a trial with few epochs may measure more than those that were given all.
    found = trials_of(searched().jobs, ROUTE)
    other = next(trial for trial in found.trials if trial.number != found.best and trial.metric is not None)
    assert trials_of(searched().jobs, ROUTE, other.name).best == other.number
