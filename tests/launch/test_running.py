"""`porter train` on this machine: real jobs of NVIDIA's SDK, of a stub of a network."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from porter import secrets
from porter.launch import overview
from porter.launch.routing import credentials
from porter.records.base import to_json
from porter.records.jobs import Run
from porter.records.training import Credential
from tests.launch.fields import coco
from tests.launch.led import (
    CHECKPOINT,
    PLAIN,
    SEARCH,
    job,
    porter,
    run,
    spec_of,
    train,
)
from tests.launch.stub_tao import StubTao
from tests.launch.test_plan import dino


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


def test_a_failed_training_says_why_and_what_to_do(stub: StubTao) -> None:
    stub.set(fails={"train": []})
    code, said = train(stub, *PLAIN, "--export")
    assert code == 1
    assert "train of dino-1 failed" in said
    assert "the GPU's memory does not hold a batch: lower dataset.batch_size" in said
    assert "porter resume dino-1" in said
    assert [done.name for done in run().jobs] == ["train"]
    assert "Traceback" in porter("logs", "dino-1", "--tail", "2")[1]


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
    stub.set(fails={"train": []})
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


def test_a_search_is_not_left_alone_by_resume_either(stub: StubTao) -> None:
    stub.set(fails={"train": []})
    assert train(stub, *SEARCH)[0] == 1
    before = run()
    code, said = porter("resume", "dino-1", "--no-monitor")
    assert (code, "a search is led by porter" in said) == (2, True), said
    assert run() == before


def test_an_action_that_failed_is_repeated_by_its_own_command(stub: StubTao) -> None:
    assert train(stub, *PLAIN)[0] == 0
    coco(Path("other"))
    stub.set(fails={"evaluate": []})
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


def test_a_setting_that_makes_another_network_is_told(stub: StubTao) -> None:
    assert train(stub, *PLAIN)[0] == 0
    code, said = porter("export", "dino-1", "--set", "backbone=fan_tiny", "--set", "export.input_channel=1")
    assert code == 0, said
    assert "model.backbone=fan_tiny: dino-1 was trained with resnet_50" in said
    assert "export.input_channel" not in said


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
