"""`porter train` where something goes wrong: kills, refusals, full disks, broken files."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import msgspec
import pytest

from porter.errors import PorterError
from porter.launch import overview
from porter.launch.drivers.virtualenv import VirtualEnvDriver
from porter.launch.runs import RunFolder
from porter.records.base import to_json
from porter.records.jobs import Interpreter, JobRequest, Run, Started
from tests.launch.led import (
    CHECKPOINT,
    PLAIN,
    Killed,
    job,
    left_of,
    porter,
    run,
    run_there,
    spec_of,
    train,
    training,
    until,
)
from tests.launch.stub_tao import StubTao


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


def test_interrupting_porter_leaves_the_job_running(stub: StubTao) -> None:
    stub.set(seconds=0.5)
    led = Killed(training(stub, *PLAIN, "--set", "epochs=3"))
    until(lambda: bool(run_there() and run().jobs and job("train").id))
    assert led.kill(signal.SIGINT) == 130
    assert porter("watch", "dino-1")[0] == 0
    assert json.loads(porter("jobs", "dino-1", "--format", "json")[1])


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
    stub.set(fails={"train": []})
    assert porter("resume", "dino-1")[0] == 1
    stub.set(fails={})
    assert porter("resume", "dino-1")[0] == 0
    assert (job("train").state, job("train").attempt) == ("complete", 3)
    assert f"resumed from {first}/train/{CHECKPOINT}" in porter("logs", "dino-1")[1]


@pytest.mark.parametrize("begun", [False, True])
def test_what_porter_was_starting_when_it_was_stopped_is_not_taken_for_an_older_attempt(
    stub: StubTao, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    stub.set(fails={"train": []})
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


def test_a_record_that_cannot_be_read_hides_no_other_run(stub: StubTao) -> None:
    assert train(stub, *PLAIN)[0] == 0
    assert train(stub, *PLAIN)[0] == 0
    Path("porter-runs/dino-1/run.json").write_text('{"name": "dino-1", "of_a_later_porter": 1}')
    code, said = porter("jobs")
    assert (code, "dino-2" in said) == (0, True), said
    assert "porter-runs/dino-1/run.json cannot be read" in said
    code, said = porter("jobs", "dino-1")
    assert (code, "cannot be read" in said) == (4, True)


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


@pytest.mark.parametrize("command", ["resume", "export", "logs", "cancel"])
def test_a_run_whose_files_are_broken_is_no_bug(stub: StubTao, command: str) -> None:
    assert train(stub, *PLAIN)[0] == 0
    for path in Path("porter-runs/dino-1/sdk").glob("tao_session.db*"):
        path.unlink()
    Path("porter-runs/dino-1/sdk/tao_session.db").write_bytes(b"no database" * 99)
    code, said = porter(command, "dino-1")
    assert (code, "The SDK cannot be opened" in said, "next: " in said) == (1, True, True), said
    assert "dino-1" in porter("jobs")[1]


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


def test_a_log_that_cannot_be_kept_is_no_bug(stub: StubTao, capfd: pytest.CaptureFixture[str]) -> None:
    assert train(stub, *PLAIN)[0] == 0
    log = Path("porter-runs/dino-1/sdk/sdk.log")
    log.unlink()
    log.symlink_to("/dev/full")
    assert porter("export", "dino-1")[0] == 0
    assert "Logging error" not in capfd.readouterr().err
    shutil.rmtree(log.parent)
    log.parent.write_text("no folder")
    code, said = porter("logs", "dino-1")
    assert (code, "sdk cannot be made" in said) == (1, True), said
    assert porter("jobs")[0] == 0
