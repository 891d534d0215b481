"""What a person sees of runs and jobs."""

from __future__ import annotations

import datetime
import json

import pytest

from porter.records.jobs import Job, JobState, Run
from porter.records.progress import Progress
from porter.report.jobs import progress_line, show_end, show_jobs, show_progress, show_run, state_of
from tests.report.runs import ROUTE, UNDER_WAY, job, run, searched

NOW = datetime.datetime(2026, 3, 1, 14, 5, 59, tzinfo=datetime.timezone.utc)
LOCAL = f"{datetime.datetime(2026, 3, 1, 10, tzinfo=datetime.timezone.utc).astimezone():%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("jobs", "state"),
    [
        ((), "planned"),
        ((job("train", "running"),), "running"),
        ((job("train"), job("evaluate", "pending")), "pending"),
        ((job("train"), job("evaluate", "error")), "error"),
        ((job("train"), job("evaluate")), "complete"),
        ((job("trial-1"), job("trial-2", "error")), "complete"),
    ],
)
def test_the_state_of_a_run_comes_of_its_jobs(jobs: tuple[Job, ...], state: JobState) -> None:
    assert state_of(run(*jobs)) == state


@pytest.mark.parametrize(
    ("jobs", "state"),
    [
        ((job("train"),), "planned"),
        ((job("trial-1"), job("trial-2")), "planned"),
        ((job("train", "error"),), "error"),
        ((job("trial-1", "error"), job("trial-2", "error")), "error"),
        ((job("trial-1"), job("trial-2", "canceled")), "canceled"),
    ],
)
def test_a_run_is_complete_when_nothing_is_left_of_it(jobs: tuple[Job, ...], state: JobState) -> None:
    assert state_of(run(*jobs, finished=False)) == state


def test_all_runs_are_listed_with_what_they_do(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run(job("train", "running")), run(name="mal-1"), searched()]
    show_jobs(runs, {"dino-1": UNDER_WAY}, as_json=False)
    head, one, two, three = capsys.readouterr().out.splitlines()
    assert head.split() == ["RUN", "MODEL", "PLATFORM", "STATE", "PROGRESS", "METRIC", "LEFT", "STARTED"]
    for text in ("dino-1  dino   docker    running   epoch 3/10", "val_mAP50 0.412", "12 min", LOCAL):
        assert text in one
    assert "planned" in two
    assert "4/4 trials" in three
    assert "val_mAP50 0.437" in three


def test_no_runs_say_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    show_jobs([], {}, as_json=False)
    assert "porter train" in capsys.readouterr().out
    show_jobs([], {}, as_json=True)
    assert json.loads(capsys.readouterr().out) == []


def test_the_list_is_one_document_without_spec_and_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    show_jobs([run(job("train", "running")), searched()], {"dino-1": UNDER_WAY}, as_json=True)
    out = capsys.readouterr().out
    first, second = json.loads(out)
    assert first["job"]["epoch"] == 3
    assert (first["job"]["eta"], first["value"], first["state"]) == (720.0, 0.412, "running")
    assert (second["trials"], second["of"], second["value"]) == (4, 4, 0.437)
    assert "c4nary" not in out


def test_the_jobs_of_a_run_are_listed_with_reasons(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGC_KEY", "memory-is-a-canary")
    made = run(job("train", "running"), job("evaluate", "error", reason="no\nmemory-is-a-canary"))
    show_run(made, {"train": UNDER_WAY}, as_json=False)
    out = capsys.readouterr().out
    title, _, first, second = out.splitlines()
    assert title.startswith("dino-1: dino on docker, running")
    assert first.split()[:4] == ["train", "running", "epoch", "3/10"]
    assert second.endswith("no (not shown)")
    assert "60 min" in second
    show_run(made, {"train": UNDER_WAY}, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in document["jobs"]] == ["train", "evaluate"]
    assert document["run"]["name"] == "dino-1"
    show_run(run(), {}, as_json=False)
    assert "no jobs yet" in capsys.readouterr().out


def progress(**more: object) -> Progress:
    return Progress(**{"metric": "val_mAP50", "epochs": 10, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "shown", "line"),
    [
        (
            "running",
            UNDER_WAY,
            "14:05 train: epoch 3 of 10, val_mAP50 0.412 (best 0.437 at 2), 12 min left",
        ),
        ("running", progress(), "14:05 train: running, no epoch has ended yet"),
        ("pending", Progress(), "14:05 train: pending"),
        ("running", progress(epoch=2, epochs=0), "14:05 train: epoch 2"),
        (
            "running",
            progress(epoch=2, last={"val_mAP50": None}),
            "14:05 train: epoch 2 of 10, val_mAP50 is no number",
        ),
        ("complete", progress(epoch=10, eta=5.0), "14:05 train: epoch 10 of 10"),
    ],
)
def test_a_line_says_what_a_job_does(state: JobState, shown: Progress, line: str) -> None:
    assert progress_line(job("train", state), shown, NOW) == line


def test_the_line_is_printed_without_what_a_terminal_acts_on(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = progress(epoch=1, metric="a\x1b[2J\nb", last={"a\x1b[2J\nb": 1.0})
    show_progress(job("train", "running"), hostile, NOW)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert "\x1b" not in out


def end(made: Run, capsys: pytest.CaptureFixture[str], **more: object) -> list[str]:
    show_end(made, {"train": UNDER_WAY, "trial-3": UNDER_WAY}, **more)  # type: ignore[arg-type]
    return capsys.readouterr().out.splitlines()


def test_the_end_says_what_came_of_it_and_what_can_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    lines = end(
        searched(),
        capsys,
        checkpoint="/runs/dino-1/model.pth",
        files=["/runs/dino-1/curves.svg", "/runs/dino-1/trials.md"],
        actions=("train", "evaluate", "export", "inference"),
    )
    assert lines[0] == "dino-1 ended: complete"
    assert lines[1].split()[:2] == ["evaluate", "complete"]
    assert lines[2:] == [
        "trials      4, 1 of them without a result",
        "best trial  3: train.optim.lr=5e-05, model.dropout_ratio=0.0",
        "metric      val_mAP50 0.437, best 0.437 at 2",
        "checkpoint  /runs/dino-1/model.pth",
        "written     /runs/dino-1/curves.svg",
        "written     /runs/dino-1/trials.md",
        "next        porter evaluate dino-1",
        "next        porter export dino-1",
        "next        porter infer dino-1",
    ]


def test_a_network_without_an_export_is_offered_none(capsys: pytest.CaptureFixture[str]) -> None:
    lines = end(run(job("train")), capsys, actions=("train", "evaluate", "inference"))
    assert [line for line in lines if "porter" in line] == [
        "next        porter evaluate dino-1",
        "next        porter infer dino-1",
    ]
    assert "metric      val_mAP50 0.412, best 0.437 at 2" in lines


def test_a_run_that_failed_points_to_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    lines = end(run(job("train", "error", reason="no GPU")), capsys, actions=("evaluate",))
    assert lines[0] == "dino-1 ended: error"
    assert lines[1].endswith("no GPU")
    assert [line for line in lines if "porter" in line] == ["next        porter logs dino-1"]


def test_the_end_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    show_end(searched(), {}, checkpoint="/c", actions=("evaluate",), as_json=True)
    out = capsys.readouterr().out
    document = json.loads(out)
    assert (document["best_trial"], document["value"], document["checkpoint"]) == (3, 0.437, "/c")
    assert document["next"] == ["porter evaluate dino-1"]
    assert "c4nary" not in out


def test_a_search_without_any_result_has_no_best(capsys: pytest.CaptureFixture[str]) -> None:
    lines = end(run(job("trial-1", "error"), route=ROUTE, finished=False), capsys)
    assert lines == [
        "dino-1 ended: error",
        "trials      1, 1 of them without a result",
        "next        porter logs dino-1",
    ]
