"""The last gates look at the one folder that the whole chain leaves."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from porter.families import FAMILIES
from porter.gates.chain import _deploy_gate, _done_gate, _native_gate, folder_of
from porter.generate.context import ClassificationContext
from porter.records.gates import GateResult
from porter.records.options import PortOptions
from porter.records.reference import Reference
from porter.runtimes import Runtimes
from porter.session import PortSession
from porter.ui import Ui
from porter.workspace import Workspace
from tests.generate.test_render import context, inspection

FILES = (
    "train/net_model_latest.pth",
    "export/net.onnx",
    "trt/net.engine",
    "evaluate/results.json",
    "trt_evaluate/results.json",
    "inference/result.csv",
    "trt_inference/result.csv",
)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PortSession:
    """A port whose chain ran on a machine without TensorRT."""
    monkeypatch.setattr(Runtimes, "rehearses", True)
    monkeypatch.setattr(PortSession, "family", FAMILIES["image-classification"])
    made = PortSession(Workspace.create(tmp_path / "port", PortOptions(source="a/b")), Ui(quiet=True))
    for path in FILES[:3]:
        (folder_of(made) / path).parent.mkdir(parents=True)
        (folder_of(made) / path).write_bytes(b"\0" * 10)
    for task in ("inference", "evaluate"):
        for folder in (task, f"trt_{task}"):
            write_rows(folder_of(made) / folder, task)
    return made


@pytest.fixture
def net(reference: Reference) -> ClassificationContext:
    """The values of a network by the name of net."""
    return context(reference, inspection(), "net")


def write_rows(
    folder: Path, task: str, shift: float = 0.0, names: str = "abc", truth: str = "ant", accuracy: float = 0.5
) -> None:
    """Write what a script writes of three images; *shift* moves probability from one class to another."""
    folder.mkdir(parents=True, exist_ok=True)
    last = [["gt_label"], [truth]] if task == "evaluate" else [[], []]
    with (folder / "result.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["img_name", "zebra", "ant", "pred_label", "pred_score", *last[0]])
        for name in names:
            writer.writerow([name, 0.7 - shift, 0.3 + shift, "zebra", 0.7 - shift, *last[1]])
    if task == "evaluate":
        (folder / "results.json").write_text(json.dumps({"top_1_accuracy": accuracy}))


@pytest.mark.parametrize(("rehearses", "state"), [(True, "rehearsed"), (False, "passed")])
def test_engine_and_trainer_agree(
    session: PortSession, monkeypatch: pytest.MonkeyPatch, rehearses: bool, state: str
) -> None:
    monkeypatch.setattr(Runtimes, "rehearses", rehearses)
    write_rows(folder_of(session) / "trt_evaluate", "evaluate", shift=1e-5)
    gate = _native_gate(session)
    assert gate.state == state
    assert (
        "inference: 3 rows within 0.0e+00, top-1 equal on 100%; evaluate: 3 rows within 1.0e-05"
        in gate.summary
    )
    assert "top_1_accuracy 0.5 on both" in gate.summary
    assert gate.evidence["relative"] == pytest.approx(1.86e-5, rel=0.01)
    assert set(gate.evidence["per_input"]) == {"a", "b", "c"}
    assert gate.evidence["images of inference"] == gate.evidence["images of evaluate"] == 3


def _gone(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(text: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_text(text)

    return change


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("inference/result.csv", _gone, "inference: result.csv is missing or empty"),
        ("trt_inference/result.csv", _gone, "inference: result.csv is missing or empty"),
        ("trt_evaluate/result.csv", _empty, "evaluate: result.csv is missing or empty"),
        ("trt_evaluate/results.json", _gone, "trt_evaluate/results.json is missing"),
        ("trt_evaluate/results.json", _text("np.float32(0.5)"), "results.json is no JSON"),
        (
            "trt_evaluate/results.json",
            _text('{"top_1": 0.5}'),
            "results.json has top_1, the trainer's top_1_",
        ),
        ("trt_evaluate/results.json", _text('{"top_1_accuracy": 1.0}'), "is 1.0, the trainer's 0.5"),
        ("evaluate/results.json", _gone, "the trainer's evaluate/results.json is missing"),
    ],
)
def test_a_file_that_says_otherwise(
    session: PortSession, file: str, change: Callable[[Path], None], said: str
) -> None:
    change(folder_of(session) / file)
    gate = _native_gate(session)
    assert gate.state == "failed"
    assert said in gate.summary


@pytest.mark.parametrize(
    ("task", "shift", "said"),
    [
        ("inference", 1e-2, "inference: relative 1.9e-02, bound 1e-03, top-1 equal on 100%"),
        ("evaluate", 1e-2, "evaluate: relative 1.9e-02, bound 1e-03, top-1 equal on 100%"),
        ("inference", 0.3, "label zebra, largest probability ant"),
    ],
)
def test_probabilities_beyond_the_bound(session: PortSession, task: str, shift: float, said: str) -> None:
    write_rows(folder_of(session) / f"trt_{task}", task, shift=shift)
    gate = _native_gate(session)
    assert gate.state == "failed"
    assert said in gate.summary


def test_rows_of_fewer_images(session: PortSession) -> None:
    write_rows(folder_of(session) / "trt_inference", "inference", names="ab")
    assert "inference: 1 images have no row" in _native_gate(session).summary


def test_another_truth(session: PortSession) -> None:
    write_rows(folder_of(session) / "trt_evaluate", "evaluate", truth="zebra")
    gate = _native_gate(session)
    assert gate.state == "failed"
    assert "evaluate: relative 0.0e+00" in gate.summary
    assert "top-1 equal on 0%" in gate.summary


def done(session: PortSession, net: ClassificationContext) -> GateResult:
    return _done_gate(session, net)


def test_every_file_of_the_chain_is_there(session: PortSession, net: ClassificationContext) -> None:
    gate = done(session, net)
    assert gate.state == "rehearsed"
    assert set(gate.evidence["files"]) == set(FILES)
    assert gate.evidence["files"]["export/net.onnx"] == 10


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("change", [_gone, _empty])
def test_a_file_that_is_gone_or_empty(
    session: PortSession, net: ClassificationContext, file: str, change: Callable[[Path], None]
) -> None:
    change(folder_of(session) / file)
    gate = done(session, net)
    assert gate.state == "failed"
    assert gate.summary == f"missing or empty: {file}"


def test_a_folder_is_no_file(session: PortSession, net: ClassificationContext) -> None:
    engine = folder_of(session) / "trt" / "net.engine"
    engine.unlink()
    engine.mkdir()
    assert done(session, net).summary == "missing or empty: trt/net.engine"


@pytest.mark.parametrize("folder", ["inference", "trt_inference"])
def test_a_heading_without_rows_is_empty(
    session: PortSession, net: ClassificationContext, folder: str
) -> None:
    write_rows(folder_of(session) / folder, "inference", names="")
    assert done(session, net).summary == f"missing or empty: {folder}/result.csv"


def test_metrics_without_a_number_are_empty(session: PortSession, net: ClassificationContext) -> None:
    (folder_of(session) / "trt_evaluate" / "results.json").write_text("{}")
    assert done(session, net).summary == "missing or empty: trt_evaluate/results.json"


def test_a_path_that_the_launcher_would_split(tmp_path: Path, net: ClassificationContext) -> None:
    blank = tmp_path / "a port"
    session = PortSession(Workspace.create(blank, PortOptions(source="a/b")), Ui(quiet=True))
    gate = _deploy_gate(session, net)
    assert gate.state == "blocked"
    assert str(blank) in gate.summary
    assert "unblock" in gate.summary
