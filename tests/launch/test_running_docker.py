"""`porter train --platform docker` on real engines: a port in containers, from search to export."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from porter.launch import build, catalog, remembered
from porter.records.base import from_json
from porter.records.jobs import Job, Run
from porter.records.sandbox import Engine
from tests.launch.answers import SOURCE
from tests.launch.drivers import engines
from tests.launch.fields import CLASSIFIER, class_folders, schema_of
from tests.launch.led import porter
from tests.launch.workspaces import CLASSIFIER_KEYS, finished

NAME = "tiny_vit"
CHECKPOINT = f"{NAME}_model_latest.pth"

_PROGRAM = """\
import json, os, sys
from pathlib import Path


def main():
    action, path = sys.argv[1], sys.argv[3]
    lines = [line.strip() for line in Path(path).read_text().splitlines()]
    values = dict(line.split(": ", 1) for line in lines if ": " in line)
    out = Path(values["results_dir"], action)
    out.mkdir()
    print(sys.argv[0], "runs", __file__, "telemetry", os.environ["TELEMETRY_OPT_OUT"])
    if action == "train":
        images = list(Path(values["images_dir"]).rglob("*.PNG"))
        print(len(images), "images")
        accuracy = 1 - abs(float(values["lr"]) - 0.005)
        status = {"kpi": {"val_acc_1": accuracy}, "message": "Eval metrics generated.", "status": "RUNNING"}
        (out / "status.json").write_text(json.dumps(status))
        (out / "CHECKPOINT").write_text(str(accuracy))
    else:
        (out / "made").write_text(action + Path(values["checkpoint"]).read_text())
"""


@pytest.fixture
def served(
    engine: Engine, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    with engines.offered(engine, request, tmp_path, monkeypatch):
        yield engine
        engines.remove(engine, [job.id for job in run().jobs] if _record().is_file() else [])


@pytest.fixture
def port(served: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A port whose network is a stub, and NVIDIA's image one with a bare Python."""
    fields = {**{key: {"type": "string", "default": ""} for key in CLASSIFIER_KEYS}, **CLASSIFIER}
    answer = schema_of(fields, searched={"train.optim.lr"})
    monkeypatch.setattr(build, "ask", lambda found, given, ui: (answer, SOURCE))
    monkeypatch.setenv("PORTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    workspace = finished(tmp_path / "port", NAME)
    entry = remembered.entry_of(workspace, NAME)
    images = {"pytorch": engines.image(served)}
    catalog.write(entry, msgspec.structs.replace(catalog.read(entry), images=images))
    worktree = workspace.root / "tao-pytorch"
    place = worktree / "nvidia_tao_pytorch" / "cv" / NAME / "entrypoint"
    place.mkdir()
    (place / f"{NAME}.py").write_text(_PROGRAM.replace("CHECKPOINT", CHECKPOINT))
    target = f"nvidia_tao_pytorch.cv.{NAME}.entrypoint.{NAME}:main"
    (worktree / "setup.py").write_text(
        f"from setuptools import setup\nsetup(entry_points={{'console_scripts': ['{NAME}={target}']}})\n"
    )
    return workspace.root


def _record() -> Path:
    return Path("porter-runs") / f"{NAME}-1" / "run.json"


def run() -> Run:
    return from_json(_record().read_bytes(), Run)


def made(job: Job, path: str) -> Path:
    return Path(job.results) / path


def test_a_port_is_searched_evaluated_and_exported_in_containers(
    port: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGC_KEY", "nothing-for-this-image")
    train = class_folders(tmp_path / "train", {"cat": 2, "dog": 2})
    val = class_folders(tmp_path / "val", {"cat": 1, "dog": 1}, split="val")
    data = ("--train-data", str(train), "--eval-data", str(val), "--set", "num_classes=2")
    search = ("--trials", "2", "--vary", "train.optim.lr=1e-3..1e-2", "--export", "--gpus", "0", "--yes")
    code, said = porter("train", NAME, *data, *search)
    assert code == 0, said
    one, two, evaluate, export = run().jobs
    assert [job.state for job in (one, two, evaluate, export)] == ["complete"] * 4
    best = max((one, two), key=lambda job: job.metric or 0)
    assert run().best == best.name
    accuracy = made(best, f"train/{CHECKPOINT}").read_text()
    assert made(evaluate, "evaluate/made").read_text() == f"evaluate{accuracy}"
    assert made(export, "export/made").read_text() == f"export{accuracy}"
    assert {path.stat().st_uid for path in (tmp_path / "porter-runs").rglob("*")} == {os.getuid()}
    printed = porter("logs", f"{NAME}-1", "--job", one.name)[1]
    assert f"{NAME} runs /code/tao-pytorch/nvidia_tao_pytorch" in printed
    assert "2 images" in printed
    assert "telemetry yes" in printed
    assert not list(port.rglob("__pycache__"))
