"""`porter train` on this machine: real jobs of NVIDIA's SDK and a real search of a stub of a network."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.testing
import yaml

from porter import secrets
from porter.cli import app
from porter.errors import PorterError
from porter.launch import build, overview
from porter.launch.drivers.virtualenv import VirtualEnvDriver
from porter.launch.routing import credentials
from porter.launch.runs import RunFolder
from porter.records.base import from_json, to_json
from porter.records.jobs import Interpreter, Job, JobRequest, Run, Started
from porter.records.training import Credential
from tests.launch.answers import SOURCE
from tests.launch.fields import coco, dino_answer
from tests.launch.stub_tao import StubTao
from tests.launch.test_plan import dino

CHECKPOINT = "dino_model_latest.pth"
PLAIN = ("--automl", "off")
SEARCH = ("--trials", "4", "--vary", "lr=1e-4..1e-2")


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> StubTao:
    return StubTao(tmp_path_factory.mktemp("stub") / "venv", "dino", "val_mAP50", CHECKPOINT)


@pytest.fixture
def stub(environment: StubTao) -> StubTao:
    environment.set(seconds=0.0, fails={}, measures=True)
    return environment


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "ask", lambda found, given, ui: (dino_answer(), SOURCE))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "start.pth").write_text("0")


def porter(*arguments: str) -> tuple[int, str]:
    """Run a command in this process; return its exit code, and all that it said."""
    done = typer.testing.CliRunner().invoke(app, list(arguments))
    if isinstance(done.exception, PorterError):
        return done.exception.exit_code, f"{done.output}{done.exception}"
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def training(stub: StubTao, *more: str) -> list[str]:
    """Return the arguments of a training on small data."""
    if not Path("data").is_dir():
        coco(Path("data"))
    start = (
        "train",
        "dino",
        "--train-data",
        "data",
        "--set",
        "num_classes=5",
        "--base-checkpoint",
        "start.pth",
    )
    return [*start, "--platform", "virtualenv", "--venv", str(stub.prefix), "--gpus", "0", "--yes", *more]


def train(stub: StubTao, *more: str) -> tuple[int, str]:
    return porter(*training(stub, *more))


def run(name: str = "dino-1") -> Run:
    return from_json((Path("porter-runs") / name / "run.json").read_bytes(), Run)


def job(name: str, of: str = "dino-1") -> Job:
    return next(job for job in run(of).jobs if job.name == name)


def spec_of(job: Job) -> Any:
    (path,) = (Path(job.results).parents[1] / "spec").iterdir()
    return yaml.safe_load(path.read_text())


def left(job: Job) -> set[str]:
    return {path.name for path in Path(job.results).rglob("*") if path.is_file()}


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it has not come to pass"
        time.sleep(0.05)


class Killed:
    """A `porter train` in a process of its own, that a test kills."""

    def __init__(self, arguments: list[str]) -> None:
        code = (
            "import sys; from porter.launch import build; from tests.launch.answers import SOURCE; "
            "from tests.launch.fields import dino_answer; from porter.cli import main; "
            "build.ask = lambda found, given, ui: (dino_answer(), SOURCE); main()"
        )
        root = str(Path(__file__).parents[2])
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, "PYTHONPATH": root},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self, number: int = signal.SIGKILL) -> int:
        self._process.send_signal(number)
        return self._process.wait(timeout=60)


def test_training_is_followed_by_evaluation_and_export_of_what_it_has_left(stub: StubTao) -> None:
    coco(Path("other"))
    code, said = train(stub, *PLAIN, "--export", "--eval-data", "other", "--set", "epochs=2")
    assert code == 0, said
    assert [(done.name, done.state) for done in run().jobs] == [
        ("train", "complete"),
        ("evaluate", "complete"),
        ("export", "complete"),
    ]
    trained = spec_of(job("train"))
    assert trained["train"]["pretrained_model_path"].endswith("/start.pth")
    assert trained["dataset"]["val_data_sources"][0]["json_file"].endswith("/other/annotations.json")
    evaluated = spec_of(job("evaluate"))
    assert evaluated["evaluate"]["checkpoint"] == f"{job('train').results}/train/{CHECKPOINT}"
    assert evaluated["dataset"]["test_data_sources"]["json_file"].endswith("/other/annotations.json")
    assert evaluated["dataset"]["num_classes"] == 5
    # What training started from is no matter of a trained model.
    assert "pretrained_model_path" not in evaluated["train"]
    exported = Path(job("export").results) / "export" / "dino.onnx"
    assert exported.read_text() == "onnx of 2"


def test_the_secrets_of_a_shell_do_not_reach_a_job(stub: StubTao, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "NGC_KEY", "ACCESS_KEY"):
        monkeypatch.setenv(name, "not-for-jobs")
    assert train(stub, *PLAIN)[0] == 0
    assert os.environ["NGC_KEY"] == "not-for-jobs"
    assert porter("logs", "dino-1") == (0, "secrets: []\ntelemetry: yes\n")
    kept = [path for path in Path("porter-runs").rglob("*") if path.is_file()]
    assert not [path for path in kept if b"not-for-jobs" in path.read_bytes()]


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
    import numpy

    numpy.random.seed(5)
    stub.set(fails={"train": 0.006})
    code, said = train(stub, *SEARCH)
    assert code == 0, said
    ends = {trial.values["train.optim.lr"] > 0.006: trial for trial in run().jobs}
    assert ends[True].state == "error"
    assert "the GPU's memory does not hold a batch: lower dataset.batch_size" in ends[True].reason
    assert ends[True].metric is None
    assert ends[False].state == "complete"
    assert job(run().best).state == "complete"


def test_a_search_ends_when_one_trial_after_the_other_fails(stub: StubTao) -> None:
    stub.set(fails={"train": 0})
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


def test_a_failed_training_says_why_and_what_to_do(stub: StubTao) -> None:
    stub.set(fails={"train": 0})
    code, said = train(stub, *PLAIN, "--export")
    assert code == 1
    assert "train of dino-1 failed" in said
    assert "the GPU's memory does not hold a batch: lower dataset.batch_size" in said
    assert "porter resume dino-1" in said
    assert [done.name for done in run().jobs] == ["train"]
    assert "Traceback" in porter("logs", "dino-1", "--tail", "2")[1]


def test_a_canceled_training_goes_on_from_its_checkpoint(stub: StubTao) -> None:
    stub.set(seconds=0.5)
    led = Killed(training(stub, *PLAIN, "--set", "epochs=4"))
    until(lambda: bool(run_there() and run().jobs and CHECKPOINT in left_of("train")))
    assert "canceled: train" in porter("cancel", "dino-1")[1]
    assert led.kill(0) == 1
    assert job("train").state == "canceled"
    first = job("train").results
    stub.set(seconds=0.0)
    assert porter("resume", "dino-1")[0] == 0
    assert (job("train").state, job("train").attempt) == ("complete", 2)
    assert f"resumed from {first}/train/{CHECKPOINT}" in porter("logs", "dino-1")[1]
    assert "pretrained_model_path" not in spec_of(job("train"))["train"]


def test_a_training_outlives_a_killed_porter_and_is_found_again(stub: StubTao) -> None:
    stub.set(seconds=0.4)
    led = Killed(training(stub, *PLAIN, "--export", "--set", "epochs=4"))
    until(lambda: bool(run_there() and run().jobs and job("train").id))
    # One porter leads a run: another one is told so.
    code, said = porter("resume", "dino-1")
    assert (code, "porter watch dino-1" in said) == (8, True)
    led.kill()
    started = job("train").id
    assert porter("resume", "dino-1")[0] == 0
    assert (job("train").id, job("train").state, job("train").attempt) == (started, "complete", 1)
    assert job("export").state == "complete"


def test_a_job_that_a_killed_porter_did_not_note_is_found_again(stub: StubTao) -> None:
    assert train(stub, *PLAIN, "--no-monitor")[0] == 0
    started = job("train")
    unsure = msgspec.structs.replace(started, state="starting", id="", results="")
    record = Path("porter-runs/dino-1/run.json")
    record.write_bytes(to_json(msgspec.structs.replace(run(), jobs=(unsure,))))
    assert porter("resume", "dino-1")[0] == 0
    assert (job("train").id, job("train").results) == (started.id, started.results)


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


def test_a_job_that_was_killed_with_its_launcher_has_failed(stub: StubTao) -> None:
    stub.set(seconds=30)
    assert train(stub, *PLAIN, "--no-monitor")[0] == 0
    launcher = Path(job("train").results).parents[1] / "launcher_status.json"
    until(launcher.exists)
    os.killpg(json.loads(launcher.read_text())["pid"], signal.SIGKILL)
    assert porter("watch", "dino-1")[0] == 0
    stub.set(seconds=0.0)
    code, said = porter("resume", "dino-1")
    assert (code, "train of dino-1 failed" in said) == (1, True)
    assert porter("resume", "dino-1")[0] == 0
    assert job("train").attempt == 2


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


def test_interrupting_porter_leaves_the_job_running(stub: StubTao) -> None:
    stub.set(seconds=0.5)
    led = Killed(training(stub, *PLAIN, "--set", "epochs=3"))
    until(lambda: bool(run_there() and run().jobs and job("train").id))
    assert led.kill(signal.SIGINT) == 130
    assert porter("watch", "dino-1")[0] == 0
    assert json.loads(porter("jobs", "dino-1", "--format", "json")[1])


def test_a_run_that_is_left_alone_goes_on_when_it_is_asked_to(stub: StubTao) -> None:
    stub.set(seconds=0.2)
    assert train(stub, *PLAIN, "--no-monitor", "--export")[0] == 0
    assert [done.name for done in run().jobs] == ["train"]
    assert porter("watch", "dino-1")[0] == 0
    assert [done.name for done in run().jobs] == ["train"]
    assert porter("resume", "dino-1")[0] == 0
    assert [(done.name, done.state) for done in run().jobs] == [("train", "complete"), ("export", "complete")]


def test_a_trained_model_is_evaluated_exported_and_used_again(stub: StubTao) -> None:
    assert train(stub, *PLAIN)[0] == 0
    coco(Path("other"))
    assert porter("evaluate", "dino-1", "--eval-data", "other")[0] == 0
    assert porter("evaluate", "dino-1", "--eval-data", "data")[0] == 0
    assert spec_of(job("evaluate"))["dataset"]["test_data_sources"]["json_file"].endswith(
        "/other/annotations.json"
    )
    assert spec_of(job("evaluate-2"))["dataset"]["test_data_sources"]["json_file"].endswith(
        "/data/annotations.json"
    )
    assert porter("export", "dino-1", "--set", "export.input_channel=1")[0] == 0
    assert spec_of(job("export"))["export"]["input_channel"] == 1
    Path("other/label_map.txt").write_text("cat\n")
    assert porter("infer", "dino-1", "--data", "other")[0] == 0
    assert spec_of(job("inference"))["dataset"]["infer_data_sources"]["image_dir"] == [
        str(Path("other/images").absolute())
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["evaluate", "dino-1"], 2, "No validation set was given"),
        (["infer", "dino-1"], 2, "No inference set was given"),
        (["infer", "dino-1", "--data", "data"], 9, "lacks label_map.txt"),
        (["evaluate", "dino-1", "--eval-data", "nowhere"], 9, "no folder"),
        (["export", "dino-1", "--set", "export.input_chanel=1"], 2, "near it: export.input_channel"),
        (["export", "dino-7"], 2, "There is no run dino-7"),
        (["logs", "dino-1", "--job", "trial-1"], 2, "it has: train"),
        (["jobs", "dino-7"], 2, "porter jobs lists them"),
    ],
)
def test_what_cannot_be_done_with_a_run_is_said(
    stub: StubTao, arguments: list[str], code: int, said: str
) -> None:
    assert train(stub, *PLAIN)[0] == 0
    ended, told = porter(*arguments)
    assert (ended, said in told) == (code, True), told
    assert len(run().jobs) == 1


def test_nothing_is_handed_on_before_it_is_trained(stub: StubTao) -> None:
    stub.set(fails={"train": 0})
    train(stub, *PLAIN)
    code, said = porter("export", "dino-1")
    assert (code, "has no trained model yet" in said) == (2, True)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--no-monitor"], "a search is led by porter"),
        (["--runs", "my runs"], "TAO's launcher splits paths at blanks"),
        (["--venv", "data"], "is no virtual environment"),
        (["--every", "0"], "expected minutes"),
        (["--trials", "0"], "expected a number from 1 on"),
    ],
)
def test_a_run_that_cannot_be_is_not_made(stub: StubTao, more: list[str], said: str) -> None:
    code, told = train(stub, *more)
    assert (code, said in told) == (2, True), told
    assert not list(Path.cwd().rglob("run.json"))


def run_there() -> bool:
    return (Path("porter-runs") / "dino-1" / "run.json").is_file()


def left_of(name: str) -> set[str]:
    found = [known for known in run().jobs if known.name == name and known.results]
    return left(found[0]) if found else set()


def test_a_training_that_could_not_be_started_anew_keeps_its_checkpoint(stub: StubTao) -> None:
    first = _canceled(stub)
    command, away = stub.prefix / "bin" / "dino", stub.prefix / "bin" / "dino.away"
    command.rename(away)
    try:
        code, said = porter("resume", "dino-1")
    finally:
        away.rename(command)
    assert (code, "could not be started" in said) == (1, True), said
    assert porter("resume", "dino-1")[0] == 0
    assert f"resumed from {first}/train/{CHECKPOINT}" in porter("logs", "dino-1")[1]
    assert job("train").attempt == 2


def test_an_attempt_that_fails_at_once_loses_no_checkpoint_of_those_before(stub: StubTao) -> None:
    first = _canceled(stub)
    stub.set(fails={"train": 0})
    assert porter("resume", "dino-1")[0] == 1
    stub.set(fails={})
    assert porter("resume", "dino-1")[0] == 0
    assert (job("train").state, job("train").attempt) == ("complete", 3)
    assert f"resumed from {first}/train/{CHECKPOINT}" in porter("logs", "dino-1")[1]


@pytest.mark.parametrize("begun", [False, True])
def test_what_porter_was_starting_when_it_was_stopped_is_not_taken_for_an_older_attempt(
    stub: StubTao, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    stub.set(fails={"train": 0})
    assert train(stub, *PLAIN)[0] == 1
    first = job("train").id
    stub.set(fails={})
    start = VirtualEnvDriver.start

    def stopped(self: VirtualEnvDriver, request: JobRequest) -> Started:
        if begun:
            start(self, request)
        raise KeyboardInterrupt

    monkeypatch.setattr(VirtualEnvDriver, "start", stopped)
    assert porter("resume", "dino-1")[0] == 130
    monkeypatch.setattr(VirtualEnvDriver, "start", start)
    code, said = porter("resume", "dino-1")
    assert code == 0, said
    assert job("train").id != first
    assert len(list(Path("porter-runs/dino-1/jobs").iterdir())) == 2


def _canceled(stub: StubTao) -> str:
    """Cancel a training after its first checkpoint; return where its results are."""
    stub.set(seconds=0.3)
    assert train(stub, *PLAIN, "--no-monitor", "--set", "epochs=4")[0] == 0
    until(lambda: CHECKPOINT in left_of("train"))
    assert "canceled: train" in porter("cancel", "dino-1")[1]
    stub.set(seconds=0.0)
    return job("train").results


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


def test_a_record_that_cannot_be_read_hides_no_other_run(stub: StubTao) -> None:
    assert train(stub, *PLAIN)[0] == 0
    assert train(stub, *PLAIN)[0] == 0
    Path("porter-runs/dino-1/run.json").write_text('{"name": "dino-1", "of_a_later_porter": 1}')
    code, said = porter("jobs")
    assert (code, "dino-2" in said) == (0, True), said
    assert "porter-runs/dino-1/run.json cannot be read" in said
    code, said = porter("jobs", "dino-1")
    assert (code, "cannot be read" in said) == (4, True)


def test_a_search_is_not_left_alone_by_resume_either(stub: StubTao) -> None:
    stub.set(fails={"train": 0})
    assert train(stub, *SEARCH)[0] == 1
    before = run()
    code, said = porter("resume", "dino-1", "--no-monitor")
    assert (code, "a search is led by porter" in said) == (2, True), said
    assert run() == before


def test_an_action_that_failed_is_repeated_by_its_own_command(stub: StubTao) -> None:
    assert train(stub, *PLAIN)[0] == 0
    coco(Path("other"))
    stub.set(fails={"evaluate": 0})
    code, said = porter("evaluate", "dino-1", "--eval-data", "other")
    assert (code, "evaluate of dino-1 failed" in said) == (1, True)
    assert "porter resume" not in said
    assert "repeat the command" in said


def test_an_action_that_porter_left_running_is_followed_by_resume(stub: StubTao) -> None:
    assert train(stub, *PLAIN)[0] == 0
    coco(Path("other"))
    assert porter("evaluate", "dino-1", "--eval-data", "other", "--no-monitor")[0] == 0
    assert job("evaluate").state == "pending"
    assert porter("resume", "dino-1")[0] == 0
    assert (job("evaluate").state, bool(job("evaluate").ended)) == ("complete", True)


def test_data_that_does_not_fit_a_trained_model_is_refused(stub: StubTao) -> None:
    assert train(stub, *PLAIN)[0] == 0
    coco(Path("other"), ids=(1, 9))
    code, said = porter("evaluate", "dino-1", "--eval-data", "other")
    assert (code, "dataset.num_classes=5 is too low" in said) == (2, True), said
    assert [done.name for done in run().jobs] == ["train"]


@pytest.mark.parametrize("command", ["resume", "watch", "evaluate", "export"])
def test_minutes_are_minutes_for_every_command(stub: StubTao, command: str) -> None:
    assert train(stub, *PLAIN)[0] == 0
    for every in ("0", "nan", "-1"):
        code, said = porter(command, "dino-1", "--every", every)
        assert (code, "expected minutes" in said) == (2, True), said


def test_no_key_of_porters_own_downloads_reaches_a_job(
    stub: StubTao, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*secrets.NAMES, *secrets.JOBS):
        monkeypatch.setenv(name, f"canary-of-{name}")
    assert train(stub, *PLAIN)[0] == 0
    plan = run().plan
    key = Credential(name="NGC_KEY", others=("NGC_API_KEY",), purpose="checkpoint", where="NGC", present=True)
    record = Path("porter-runs/dino-1/run.json")
    left = msgspec.structs.replace(plan, credentials=(key,))
    record.write_bytes(to_json(msgspec.structs.replace(run(), plan=left)))
    assert porter("export", "dino-1")[0] == 0
    assert porter("logs", "dino-1", "--job", "export")[1].startswith("secrets: []")
    kept = [path for path in Path("porter-runs").rglob("*") if path.is_file()]
    assert not [path for path in kept if b"canary-of" in path.read_bytes()]


def test_a_broken_virtual_environment_makes_no_run(stub: StubTao, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "bin").mkdir(parents=True)
    (broken / "pyvenv.cfg").touch()
    (broken / "bin" / "dino").touch()
    (broken / "bin" / "python").symlink_to("/nowhere/python3")
    code, said = train(stub, *PLAIN, "--venv", str(broken))
    assert (code, "has no Python that runs" in said) == (2, True), said
    assert not Path("porter-runs").exists()


def test_a_run_that_is_removed_while_it_is_followed_is_told(stub: StubTao) -> None:
    stub.set(seconds=0.5)
    assert train(stub, *PLAIN, "--no-monitor", "--set", "epochs=6")[0] == 0
    led = Killed(["resume", "dino-1", "--runs", "porter-runs"])
    until(Path("porter-runs/dino-1/.holder").is_file)
    until(lambda: job("train").state == "pending")
    time.sleep(1)
    porter("cancel", "dino-1")
    shutil.rmtree("porter-runs/dino-1")
    assert led.kill(0) in (1, 4)


def test_a_setting_that_makes_another_network_is_told(stub: StubTao) -> None:
    assert train(stub, *PLAIN)[0] == 0
    code, said = porter("export", "dino-1", "--set", "backbone=fan_tiny", "--set", "export.input_channel=1")
    assert code == 0, said
    assert "model.backbone=fan_tiny: dino-1 was trained with resnet_50" in said
    assert "export.input_channel" not in said


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
    stub.set(fails={"train": 0})
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


def test_a_full_disk_leaves_no_half_of_a_run(stub: StubTao, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: RunFolder, run: Run) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunFolder, "save", full)
    code, said = train(stub, *PLAIN)
    assert (code, "A run cannot be made" in said) == (1, True)
    assert not list(Path("porter-runs").iterdir())


def test_looking_at_a_run_keeps_no_porter_from_it(stub: StubTao) -> None:
    assert train(stub, *PLAIN)[0] == 0
    folder = RunFolder(Path("porter-runs/dino-1").absolute())
    looked = threading.Event()

    def look() -> None:
        with folder.held():
            looked.set()
            time.sleep(0.1)

    thread = threading.Thread(target=look)
    thread.start()
    looked.wait()
    assert porter("export", "dino-1")[0] == 0
    thread.join()


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


@pytest.mark.parametrize("command", ["resume", "export", "logs", "cancel"])
def test_a_run_whose_files_are_broken_is_no_bug(stub: StubTao, command: str) -> None:
    assert train(stub, *PLAIN)[0] == 0
    for path in Path("porter-runs/dino-1/sdk").glob("tao_session.db*"):
        path.unlink()
    Path("porter-runs/dino-1/sdk/tao_session.db").write_bytes(b"no database" * 99)
    code, said = porter(command, "dino-1")
    assert (code, "The SDK cannot be opened" in said, "next: " in said) == (1, True, True), said
    assert "dino-1" in porter("jobs")[1]


def test_a_search_without_its_schema_is_no_bug(stub: StubTao) -> None:
    stub.set(fails={"train": 0})
    assert train(stub, *SEARCH)[0] == 1
    for broken in ("{", None):
        schema = Path("porter-runs/dino-1/schema.json")
        schema.write_text(broken) if broken else schema.unlink()
        code, said = porter("resume", "dino-1")
        assert (code, "schema.json cannot be read" in said) == (4, True), said


def test_a_lost_environment_is_told_with_what_can_be_done(stub: StubTao, tmp_path: Path) -> None:
    assert train(stub, *PLAIN)[0] == 0
    record = Path("porter-runs/dino-1/run.json")
    lost = Interpreter(prefix=str(tmp_path / "lost"))
    record.write_bytes(to_json(msgspec.structs.replace(run(), interpreter=lost)))
    code, said = porter("export", "dino-1")
    assert (code, f"put {tmp_path / 'lost'} back" in said) == (1, True), said


def test_a_run_is_not_led_with_another_network_of_its_name(stub: StubTao) -> None:
    assert train(stub, *PLAIN)[0] == 0
    record = Path("porter-runs/dino-1/run.json")
    plan = msgspec.structs.replace(run().plan, workspace="/home/me/port")
    record.write_bytes(to_json(msgspec.structs.replace(run(), plan=plan)))
    for command in ("resume", "export"):
        code, said = porter(command, "dino-1")
        assert (code, "is another network now" in said) == (4, True), said


def test_a_run_without_a_job_yet_is_not_said_to_be_canceled(stub: StubTao) -> None:
    assert train(stub, *PLAIN)[0] == 0
    assert "no job of dino-1 runs" in porter("cancel", "dino-1")[1]
    with RunFolder(Path("porter-runs/dino-1").absolute()).held():
        assert f"a porter leads it and may start one: process {os.getpid()}" in porter("cancel", "dino-1")[1]


def test_a_platform_that_answers_no_more_ends_the_watching(
    stub: StubTao, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.set(seconds=30)
    assert train(stub, *PLAIN, "--no-monitor")[0] == 0

    def silent(self: VirtualEnvDriver, job: str) -> str:
        raise PorterError("The engine does not answer.")

    monkeypatch.setattr(overview, "_PAUSE", 0.01)
    with monkeypatch.context() as away:
        away.setattr(VirtualEnvDriver, "state", silent)
        code, said = porter("watch", "dino-1")
    assert (code, "dino-1 cannot be followed any more" in said) == (1, True), said
    porter("cancel", "dino-1")


def test_a_narrow_range_is_not_left(stub: StubTao) -> None:
    options = ("--algorithm", "bfbo", "--trials", "6", "--vary", "lr=1e-4..1.05e-4")
    assert train(stub, *options)[0] == 0
    rates = [trial.values["train.optim.lr"] for trial in run().jobs]
    assert all(1e-4 <= rate <= 1.05e-4 for rate in rates), rates
    assert [spec_of(trial)["train"]["optim"]["lr"] for trial in run().jobs] == rates


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), True),
        # It belongs to other keys than these.
        (("ACCESS_KEY", "SECRET_KEY", "AWS_SESSION_TOKEN"), False),
    ],
)
def test_a_job_elsewhere_sees_the_session_of_its_keys(
    monkeypatch: pytest.MonkeyPatch, variables: tuple[str, ...], shown: bool
) -> None:
    for name in secrets.JOBS:
        monkeypatch.delenv(name, raising=False)
    for name in variables:
        monkeypatch.setenv(name, "canary")
    there = credentials("kubernetes", "", ("s3://bucket/data",), variables)
    plan = msgspec.structs.replace(dino(platform="kubernetes"), credentials=there)
    made = overview.shown_secrets(Run(name="dino-1", made="", plan=plan))
    assert set(variables[:2]) < set(made)
    assert ("AWS_SESSION_TOKEN" in made) is shown
