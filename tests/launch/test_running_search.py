"""`porter train` as a search: NVIDIA's own, real jobs, and a stub of a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from porter.errors import PorterError
from porter.launch.drivers.virtualenv import VirtualEnvDriver
from porter.launch.runs import RunFolder
from porter.records.jobs import Job, Run
from tests.launch.fields import coco
from tests.launch.led import (
    CHECKPOINT,
    SEARCH,
    Killed,
    job,
    left,
    porter,
    run,
    run_there,
    spec_of,
    train,
    training,
    until,
)
from tests.launch.stub_tao import StubTao


def test_a_search_keeps_the_best_trial_and_hands_on_its_values(stub: StubTao) -> None:
    code, said = train(stub, *SEARCH, "--eval-data", str(coco(Path("other"))))
    assert code == 0, said
    *trials, evaluate = run().jobs
    assert [trial.name for trial in trials] == ["trial-1", "trial-2", "trial-3", "trial-4"]
    assert all(1e-4 <= trial.values["train.optim.lr"] <= 1e-2 for trial in trials)
    best = max(trials, key=lambda trial: trial.metric or 0)
    assert run().best == best.name
    assert spec_of(evaluate)["train"]["optim"]["lr"] == best.values["train.optim.lr"]
    assert spec_of(evaluate)["evaluate"]["checkpoint"].startswith(best.results)
    # Ten trials of a detector would fill a disk: only the best keeps its checkpoints.
    assert [trial.name for trial in trials if CHECKPOINT in left(trial)] == [best.name]
    assert all("status.json" in left(trial) for trial in trials)


def test_a_search_takes_no_values_but_those_that_were_asked_for(stub: StubTao) -> None:
    options = (
        "--vary",
        "batch_size=2,7",
        "--vary",
        "train.checkpoint_interval=1..3",
        "--vary",
        "backbone=fan_tiny",
    )
    code, said = train(stub, "--trials", "5", *options)
    assert code == 0, said
    tried = [trial.values for trial in run().jobs]
    assert {values["dataset.batch_size"] for values in tried} <= {2, 7}
    assert {values["train.checkpoint_interval"] for values in tried} <= {1, 2, 3}
    assert {values["model.backbone"] for values in tried} == {"fan_tiny"}
    assert all(type(values["dataset.batch_size"]) is int for values in tried)


def test_a_failed_trial_is_told_and_the_search_goes_on(stub: StubTao) -> None:
    stub.set(fails={"train": [2]})
    code, said = train(stub, *SEARCH)
    assert code == 0, said
    assert [trial.state for trial in run().jobs] == ["complete", "error", "complete", "complete"]
    failed = job("trial-2")
    assert "the GPU's memory does not hold a batch: lower dataset.batch_size" in failed.reason
    assert failed.metric is None
    assert run().best != "trial-2"


def test_a_search_ends_when_one_trial_after_the_other_fails(stub: StubTao) -> None:
    stub.set(fails={"train": []})
    code, said = train(stub, *SEARCH)
    assert (code, len(run().jobs)) == (1, 3)
    assert "3 trials of dino-1 failed one after the other" in said
    assert "the GPU's memory does not hold a batch" in said
    stub.set(fails={})
    assert porter("resume", "dino-1")[0] == 0
    assert [trial.state for trial in run().jobs] == ["error"] * 3 + ["complete"]
    assert run().best == "trial-4"


def test_a_trial_that_measures_nothing_has_failed(stub: StubTao) -> None:
    stub.set(measures=False)
    code, said = train(stub, *SEARCH)
    assert code == 1
    assert "it has not measured val_mAP50" in said


def test_a_search_goes_on_after_a_kill_without_trying_a_trial_twice(stub: StubTao) -> None:
    stub.set(seconds=0.3)
    led = Killed(training(stub, *SEARCH, "--set", "epochs=2"))
    until(lambda: bool(run_there() and len(run().jobs) == 2 and job("trial-2").id))
    led.kill()
    before = [trial.id for trial in run().jobs]
    stub.set(seconds=0.0)
    assert porter("resume", "dino-1")[0] == 0
    assert [trial.id for trial in run().jobs][:2] == before
    assert [(trial.name, trial.state) for trial in run().jobs] == [
        (f"trial-{number}", "complete") for number in range(1, 5)
    ]
    assert all(trial.attempt == 1 for trial in run().jobs)


@pytest.mark.parametrize("algorithm", ["bfbo", "hyperband", "asha", "pbt"])
def test_other_algorithms_search_too(stub: StubTao, algorithm: str) -> None:
    counted = ("--trials", "3") if algorithm == "bfbo" else ()
    options = ("--algorithm", algorithm, "--vary", "lr=1e-4..1e-2", "--set", "epochs=3", *counted)
    code, said = train(stub, *options)
    assert code == 0, said
    trials = run().jobs
    assert {trial.state for trial in trials} == {"complete"}
    assert all(trial.values.get("train.num_epochs", 3) <= 3 for trial in trials)
    assert [trial.name for trial in trials if CHECKPOINT in left(trial)] == [run().best]


def test_an_algorithm_that_goes_on_with_a_good_trial_hands_it_its_checkpoint(stub: StubTao) -> None:
    options = ("--algorithm", "hyperband", "--vary", "lr=1e-4..1e-2", "--set", "epochs=9")
    code, said = train(stub, *options)
    assert code == 0, said
    further = [trial for trial in run().jobs if trial.parent]
    assert further
    for trial in further:
        assert trial.start.endswith(CHECKPOINT)
        assert f"resumed from {trial.start}" in porter("logs", "dino-1", "--job", trial.name)[1]


def test_options_of_a_search_are_values_of_their_field(stub: StubTao) -> None:
    code, said = train(stub, "--trials", "3", "--vary", "lr=1e-4,1e-3", "--vary", "model.aux_loss=true,false")
    assert code == 0, said
    for trial in run().jobs:
        assert trial.values["train.optim.lr"] in (1e-4, 1e-3)
        assert type(spec_of(trial)["train"]["optim"]["lr"]) is float
        assert type(trial.values["model.aux_loss"]) is bool


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ("lr=high,low", "lr does not take 'high'"),
        ("lr=[1,2],[3,4]", "lr does not take '[1'"),
        ("batch_size=2.5,3", "batch_size does not take '2.5'"),
        ("batch_size=1.5..4", "it takes whole numbers"),
        ("lr=-1,1", "lr=-1.0 is out of range"),
        ("lr=1..0", "the lower one first"),
        ("backbone=1..3", "it takes resnet_50, fan_tiny"),
        ("backbone=resnet", "it takes resnet_50, fan_tiny"),
        ("train.optim.lr_steps", "it has the type list"),
        ("train.num_gpus=1..4", "is no matter of a search"),
        ("dataset.train_data_sources", "is no matter of a search"),
    ],
)
def test_what_a_search_cannot_vary_is_refused_before_a_run_is_made(
    stub: StubTao, vary: str, said: str
) -> None:
    code, told = train(stub, "--trials", "2", "--vary", vary)
    assert (code, said in told, "next: --vary" in told or "next: leave" in told) == (2, True, True), told
    assert not Path("porter-runs").exists()


@pytest.mark.parametrize(
    ("algorithm", "number"),
    [("bayesian", 1), ("bayesian", 2), ("bfbo", 1), ("asha", 2), ("hyperband", 2), ("pbt", 2)],
)
def test_a_search_remembers_what_it_has_proposed_when_porter_is_killed(
    stub: StubTao, algorithm: str, number: int
) -> None:
    stub.set(seconds=0.4)
    counted = ("--trials", "4") if algorithm in ("bayesian", "bfbo") else ()
    options = ("--algorithm", algorithm, "--vary", "lr=1e-4..1e-2", "--set", "epochs=3", *counted)
    led = Killed(training(stub, *options))
    until(lambda: bool(run_there() and len(run().jobs) == number and job(f"trial-{number}").id))
    led.kill()
    before = [trial.id for trial in run().jobs]
    stub.set(seconds=0.0)
    code, said = porter("resume", "dino-1")
    assert code == 0, said
    assert [trial.id for trial in run().jobs][:number] == before
    assert {(trial.state, trial.attempt) for trial in run().jobs} == {("complete", 1)}
    if counted:
        # Each measurement belongs to the point that was tried: none is missing, and none is moved.
        (path,) = Path("porter-runs/dino-1/search/.automl/brain").glob("*.json")
        points = json.loads(path.read_text())["Xs"]
        rates = [trial.values["train.optim.lr"] for trial in run().jobs]
        assert [1e-4 + point[0] * (1e-2 - 1e-4) for point in points] == pytest.approx(rates, rel=0.2)


def test_a_failed_trial_is_not_tried_again_when_porter_was_killed_before_it_was_reported(
    stub: StubTao, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.set(fails={"train": []})
    put = RunFolder.put

    def killed(self: RunFolder, job: Job) -> Run:
        made = put(self, job)
        if job.state == "error":
            raise KeyboardInterrupt
        return made

    monkeypatch.setattr(RunFolder, "put", killed)
    assert train(stub, *SEARCH)[0] == 130
    monkeypatch.setattr(RunFolder, "put", put)
    stub.set(fails={})
    assert porter("resume", "dino-1")[0] == 0
    assert [(trial.state, trial.attempt) for trial in run().jobs] == [("error", 1), *[("complete", 1)] * 3]


def test_a_trial_whose_results_cannot_be_read_now_is_not_lost(
    stub: StubTao, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(self: VirtualEnvDriver, results: str, path: str) -> bytes | None:
        raise PorterError("S3 does not answer.", next_step="check the network")

    with monkeypatch.context() as away:
        away.setattr(VirtualEnvDriver, "read", silent)
        code, said = train(stub, *SEARCH)
    assert (code, "S3 does not answer" in said) == (1, True), said
    assert [(trial.state, trial.metric) for trial in run().jobs] == [("complete", None)]
    assert porter("resume", "dino-1")[0] == 0
    assert [(trial.state, trial.attempt) for trial in run().jobs] == [("complete", 1)] * 4
    assert None not in [trial.metric for trial in run().jobs]


def test_a_search_without_its_schema_is_no_bug(stub: StubTao) -> None:
    stub.set(fails={"train": []})
    assert train(stub, *SEARCH)[0] == 1
    for broken in ("{", None):
        schema = Path("porter-runs/dino-1/schema.json")
        schema.write_text(broken) if broken else schema.unlink()
        code, said = porter("resume", "dino-1")
        assert (code, "schema.json cannot be read" in said) == (4, True), said


def test_a_narrow_range_is_not_left(stub: StubTao) -> None:
    options = ("--algorithm", "bfbo", "--trials", "6", "--vary", "lr=1e-4..1.05e-4")
    assert train(stub, *options)[0] == 0
    rates = [trial.values["train.optim.lr"] for trial in run().jobs]
    assert all(1e-4 <= rate <= 1.05e-4 for rate in rates), rates
    assert [spec_of(trial)["train"]["optim"]["lr"] for trial in run().jobs] == rates
