"""`porter train` of a classifier that is ported into real tao-pytorch: search, failures, kills."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import typer.testing

from porter.cli import app
from porter.demo import make_model
from porter.launch import requests
from porter.records.jobs import JobRequest
from tests.conftest import REAL_CACHE
from tests.e2e.clones import CONFIG, private_clone
from tests.e2e.conftest import LABELS, SMALL_PROCESSOR, run_porter
from tests.e2e.trainings import Trainings, file
from tests.real_clones import real_clone

pytestmark = [pytest.mark.torch_env, pytest.mark.real_tao]

CHECKPOINT = "train/small_vit_model_latest.pth"


@pytest.fixture(scope="module")
def trainings(e2e_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainings:
    """A small ViT, ported up to phase 5, and data for it."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTER_CACHE", str(REAL_CACHE))
        model = make_model(folder / "small-vit", config=CONFIG, processor=SMALL_PROCESSOR, labels=LABELS)
    clones = [
        part
        for repo in ("tao-pytorch", "tao-deploy")
        for part in (f"--{repo}", private_clone(real_clone(repo), folder / repo))
    ]
    arguments = (*clones, "--name", "small_vit", "--until", "5", "--yes", "--json")
    done = run_porter(e2e_cache, "port", model, *arguments, "--workspace", folder / "port")
    assert done.code == 0, done.err
    place = folder / "runs"
    place.mkdir()
    return Trainings("small_vit", place, e2e_cache)


def test_training_evaluation_and_export(trainings: Trainings) -> None:
    done = trainings.porter(*trainings.arguments("--automl", "off", "--set", "epochs=2", "--export"))
    assert done.code == 0, done.err
    assert [(job.name, job.state) for job in trainings.run(1).jobs] == [
        ("train", "complete"),
        ("evaluate", "complete"),
        ("export", "complete"),
    ]
    assert file(trainings.job(1, "train"), CHECKPOINT).is_file()
    assert file(trainings.job(1, "evaluate"), "evaluate/results.json").is_file()
    assert file(trainings.job(1, "export"), "export/small_vit.onnx").is_file()
    assert "val_acc_1" in done.out


def test_a_search_of_four_trials_one_of_which_fails(
    trainings: Trainings, e2e_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = requests.train

    def too_large(*arguments: Any, **named: Any) -> JobRequest:
        # A batch of 64 is more than the data has: TAO refuses it.
        values = {**named["values"], "dataset.batch_size": 64 if named["name"] == "trial-2" else 8}
        return asked(*arguments, **{**named, "values": values})

    monkeypatch.setattr(requests, "train", too_large)
    monkeypatch.setenv("PORTER_CACHE", str(e2e_cache))
    monkeypatch.chdir(trainings.folder)
    search = ("--vary", "train.optim.lr=1e-4..1e-2", "--trials", "4", "--set", "epochs=1")
    done = typer.testing.CliRunner().invoke(app, trainings.arguments(*search))
    assert done.exit_code == 0, done.output
    run = trainings.run(2)
    trials = [job for job in run.jobs if job.name.startswith("trial-")]
    assert [trial.state for trial in trials] == ["complete", "error", "complete", "complete"]
    assert "fewer images than one batch on every GPU: lower dataset.batch_size" in trials[1].reason
    best = trainings.job(2, run.best)
    assert best is not None
    assert best.metric == max(trial.metric or 0 for trial in trials)
    assert [trial.name for trial in trials if file(trial, CHECKPOINT).exists()] == [run.best]
    assert file(trainings.job(2, "evaluate"), "evaluate/results.json").is_file()


def test_a_killed_porter_finds_its_job_again(trainings: Trainings) -> None:
    def running() -> bool:
        job = trainings.job(3, "train")
        return bool(job and job.id)

    trainings.killed(running, *trainings.arguments("--automl", "off", "--set", "epochs=2"))
    before = trainings.job(3, "train")
    done = trainings.porter("resume", "small_vit-3")
    assert done.code == 0, done.err
    after = trainings.job(3, "train")
    assert before is not None
    assert after is not None
    assert (after.id, after.state, after.attempt) == (before.id, "complete", 1)
    assert trainings.run(3).jobs[-1].name == "evaluate"


def test_a_canceled_training_goes_on_where_it_was(trainings: Trainings) -> None:
    started = trainings.porter(*trainings.arguments("--automl", "off", "--set", "epochs=40", "--no-monitor"))
    assert started.code == 0, started.err
    while not file(trainings.job(4, "train"), CHECKPOINT).exists():
        time.sleep(0.2)
    assert trainings.porter("cancel", "small_vit-4").code == 0
    first = trainings.job(4, "train")
    assert first is not None
    assert first.state == "canceled"
    done = trainings.porter("resume", "small_vit-4")
    assert done.code == 0, done.err
    again = trainings.job(4, "train")
    assert again is not None
    assert (again.state, again.attempt) == ("complete", 2)
    listed = trainings.porter("logs", "small_vit-4", "--job", "train").out
    assert "epochs 40" in listed or "max_epochs=40" in listed
    assert f"Restoring states from the checkpoint path at {first.results}/{CHECKPOINT}" in listed
