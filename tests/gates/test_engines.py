"""What the gates of the deploy scripts make of the answers of a run, and of the files that it left."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from porter.families import FAMILIES
from porter.gates.engines import BATCHES, PROFILE, _Bench, _engine_gate, _engine_problems, _scripts_gate
from porter.gates.metrics import metric_problem
from porter.records.engines import DeployOutcome
from porter.records.gates import GateResult
from porter.records.options import PortOptions
from porter.records.reference import Reference
from porter.runtimes import Runtimes
from porter.session import PortSession
from porter.ui import Ui
from porter.views import View
from porter.workspace import Workspace
from tests.generate.test_render import context, inspection

FAMILY = FAMILIES["image-classification"]
FLAGS = {"fp32": [], "fp16": ["FP16"], "int8": ["FP16", "INT8"], "qdq": ["STRONGLY_TYPED"]}
IMAGES = tuple(f"{number:016x}" for number in range(8))
CLASSES = ("zebra", "ant", "bee")
RUNTIME = {"runtime": "tensorrt 0"}


def outcome(label: str, **more: Any) -> DeployOutcome:
    """Return a script that ended well."""
    mode = "gen_trt_engine" if label.startswith("engine") else label.partition("-")[0]
    usual: dict[str, Any] = {"ok": True, "error": "", "seconds": 0.1, "status": "SUCCESS", "message": ""}
    return DeployOutcome(label=label, mode=mode, **{**usual, "files": {}, **more})


def engine_file(kind: str, **more: Any) -> dict[str, Any]:
    """Return what the rehearsal's engine file says of a good engine."""
    profiles = {"input": [[batch, 3, 8, 8] for batch in PROFILE]}
    return {"flags": FLAGS[kind], "profiles": profiles, **more}


def built(kind: str, **more: Any) -> DeployOutcome:
    images = IMAGES if kind == "int8" else ()
    return outcome(f"engine-{kind}", **{"engine": engine_file(kind), "inputs": images, **more})


INFERRED = {"inference-1": outcome("inference-1", inputs=IMAGES)}


def problems(kind: str, **more: Any) -> str:
    return "; ".join(_engine_problems(kind, built(kind, **more), INFERRED)[0])


@pytest.mark.parametrize("kind", FLAGS)
def test_a_good_engine_has_no_problem(kind: str) -> None:
    assert problems(kind) == ""


@pytest.mark.parametrize("kind", FLAGS)
def test_a_real_engine_tells_nothing_of_itself(kind: str) -> None:
    assert problems(kind, engine={}) == ""


@pytest.mark.parametrize(
    ("kind", "flags", "said"),
    [
        ("fp32", ["FP16"], "asked for FP16 as well"),
        ("fp32", ["BF16"], "asked for BF16 as well"),
        ("fp16", [], "asked for no precision"),
        ("int8", ["FP16"], "asked for FP16"),
        ("qdq", [], "asked for no precision"),
        ("qdq", ["FP16"], "asked for FP16"),
        ("qdq", ["STRONGLY_TYPED", "FP16"], "asked for FP16, STRONGLY_TYPED as well"),
        ("qdq", ["INT8"], ""),
    ],
)
def test_the_precision_is_the_one_that_was_asked_for(kind: str, flags: list[str], said: str) -> None:
    found = problems(kind, engine=engine_file(kind, flags=flags))
    assert said in found
    assert bool(found) == bool(said)


def test_a_quantised_graph_is_not_calibrated() -> None:
    assert "asked for" in problems("qdq", engine=engine_file("qdq", flags=["INT8"]), inputs=IMAGES)


@pytest.mark.parametrize(
    "profiles",
    [
        {},
        {"input": [[4, 3, 8, 8]] * 3},
        {"input": [[1, 3, 8, 8], [4, 3, 8, 8], [4, 3, 8, 8]]},
        {"input": [[b, 3, 8, 8] for b in PROFILE], "mask": [[1, 1], [1, 1], [1, 1]]},
    ],
    ids=["none", "static", "another", "of one input"],
)
def test_the_profile_is_the_one_that_was_asked_for(profiles: dict[str, Any]) -> None:
    assert "its profile is" in problems("fp32", engine=engine_file("fp32", profiles=profiles))


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ((), "no image reached the calibrator"),
        ((*IMAGES[:3], "other"), "1 of 4 calibration tensors are not those of inference"),
        (IMAGES[:4], ""),
    ],
)
def test_calibration_sees_the_tensors_of_inference(images: tuple[str, ...], said: str) -> None:
    assert problems("int8", inputs=images) == said


@pytest.fixture
def bench(tmp_path: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch) -> _Bench:
    """Folders as a good run leaves them, on a machine without TensorRT."""
    monkeypatch.setattr(Runtimes, "rehearses", True)
    monkeypatch.setattr(PortSession, "family", FAMILY)
    session = PortSession(Workspace.create(tmp_path / "port", PortOptions(source="a/b")), Ui(quiet=True))
    made = _Bench(
        session, context(reference, inspection()), View(root="/view", images={"test": 8}), ("a", "b", "c")
    )
    for mode in ("inference", "evaluate"):
        write_rows(made.trained / mode, mode)
        for batch in BATCHES:
            write_rows(made.results / f"{mode}-{batch}" / f"trt_{mode}", mode)
    write_rows(made.results / "inference-fp16" / "trt_inference", "inference")
    return made


def write_rows(folder: Path, mode: str, shift: float = 0.0, names: Sequence[str] = "abc") -> None:
    """Write what a script writes of three images; *shift* moves probability from one class to another."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = mode == "evaluate"
    with (folder / "result.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["img_name", *CLASSES, "pred_label", "pred_score", *["gt_label"][: int(truth)]])
        for name in names:
            row = [0.7 - shift, 0.2 + shift, 0.1]
            writer.writerow([name, *row, CLASSES[0], row[0], *["ant"][: int(truth)]])
    if truth:
        (folder / "results.json").write_text(json.dumps({"top_1_accuracy": 0.25}))


def ran_well() -> dict[str, DeployOutcome]:
    """Return the outcomes of a run without a fault."""
    made = {f"engine-{kind}": built(kind) for kind in FLAGS}
    for mode in ("inference", "evaluate"):
        files = dict.fromkeys(FAMILY.deployed[mode], 100)
        labels = [f"{mode}-{batch}" for batch in BATCHES] + ["inference-fp16"] * (mode == "inference")
        made |= {label: outcome(label, files=files, inputs=IMAGES) for label in labels}
    refused = "ValueError: choose another gen_trt_engine.tensorrt.max_batch_size"
    made["inference-refused"] = outcome("inference-refused", ok=False, error=refused)
    return made


def scripts(bench: _Bench, mode: str, **changed: DeployOutcome) -> GateResult:
    changes = {label.replace("_", "-"): step for label, step in changed.items()}
    return _scripts_gate(bench, mode, {**ran_well(), **changes}, RUNTIME)


@pytest.mark.parametrize("mode", ["inference", "evaluate"])
@pytest.mark.parametrize(("rehearses", "state"), [(True, "rehearsed"), (False, "passed")])
def test_a_run_without_a_fault(
    bench: _Bench, monkeypatch: pytest.MonkeyPatch, mode: str, rehearses: bool, state: str
) -> None:
    monkeypatch.setattr(Runtimes, "rehearses", rehearses)
    gate = scripts(bench, mode)
    assert gate.state == state
    assert "at batches 1, 3, 5 as the trainer: 3 rows" in gate.summary
    assert gate.evidence["images"]["evaluate-5" if mode == "evaluate" else "inference-fp16"] == 3
    assert ("stand_in" in gate.evidence) == rehearses


@pytest.mark.parametrize("kind", FLAGS)
def test_an_engine_without_a_fault(bench: _Bench, kind: str) -> None:
    gate = _engine_gate(bench, kind, ran_well(), RUNTIME)
    assert gate.state == "rehearsed"
    assert "profile 1-4-6" in gate.summary
    assert gate.evidence["engine"]["flags"] == FLAGS[kind]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ok": False, "error": "Traceback\nValueError: no profile\n"}, "failed: ValueError: no profile"),
        ({"ok": False, "error": " \n"}, "failed: no reason given"),
        ({"status": "FAILURE", "message": "out of memory"}, "ends with FAILURE 'out of memory'"),
        ({"status": "RUNNING", "message": "Starting."}, "ends with RUNNING 'Starting.'"),
        ({"status": ""}, "ends with nothing"),
    ],
)
def test_a_script_that_does_not_end_well(bench: _Bench, change: dict[str, Any], said: str) -> None:
    engine = {**ran_well(), "engine-fp16": built("fp16", **change)}
    gates = [
        _engine_gate(bench, "fp16", engine, RUNTIME),
        scripts(bench, "inference", inference_3=outcome("inference-3", **change)),
        scripts(bench, "inference", inference_fp16=outcome("inference-fp16", **change)),
        scripts(bench, "evaluate", evaluate_5=outcome("evaluate-5", **change)),
    ]
    for gate, label in zip(
        gates, ("engine-fp16", "inference-3", "inference-fp16", "evaluate-5"), strict=True
    ):
        assert gate.state == "failed"
        assert label in gate.summary
        assert said in gate.summary


def test_calibration_is_not_judged_where_inference_failed(bench: _Bench) -> None:
    broken = outcome("inference-1", ok=False, error="ValueError: no such folder")
    gate = _engine_gate(bench, "int8", {**ran_well(), "inference-1": broken}, RUNTIME)
    assert gate.state == "failed"
    assert gate.gate == "engine-int8"
    assert gate.summary == "inference (inference-1) failed: ValueError: no such folder"


def test_a_wrong_engine_fails_its_gate(bench: _Bench) -> None:
    wrong = built("int8", engine=engine_file("int8", flags=[], profiles={}), inputs=())
    gate = _engine_gate(bench, "int8", {**ran_well(), "engine-int8": wrong}, RUNTIME)
    assert gate.state == "failed"
    assert gate.summary.split("; ") == [
        "the builder was asked for no precision",
        f"its profile is [], asked for was {PROFILE}",
        "no image reached the calibrator",
    ]


@pytest.mark.parametrize("size", [None, 0])
def test_a_missing_or_empty_file_is_named(bench: _Bench, size: int | None) -> None:
    files = {"trt_evaluate/result.csv": 10} | ({} if size is None else {"trt_evaluate/results.json": size})
    gate = scripts(bench, "evaluate", evaluate_3=outcome("evaluate-3", files=files))
    assert gate.state == "failed"
    assert gate.summary == "evaluate-3 left no trt_evaluate/results.json"


@pytest.mark.parametrize(
    ("label", "shift", "fails"),
    [
        ("inference-3", 2e-4, False),
        ("inference-3", 2e-3, True),
        ("inference-fp16", 2e-3, False),
        ("inference-fp16", 2e-2, True),
    ],
)
def test_probabilities_stay_within_the_bound_of_their_precision(
    bench: _Bench, label: str, shift: float, fails: bool
) -> None:
    write_rows(bench.results / label / "trt_inference", "inference", shift)
    gate = scripts(bench, "inference")
    assert (gate.state == "failed") == fails
    if fails:
        assert gate.summary.startswith(f"{label}: relative ")
        assert "top-1 equal on 100%" in gate.summary


def test_rows_of_every_batch_size_are_compared(bench: _Bench) -> None:
    write_rows(bench.results / "evaluate-5" / "trt_evaluate", "evaluate", names="ab")
    gate = scripts(bench, "evaluate")
    assert gate.summary.startswith("evaluate-5: 1 images have no row")


def test_metrics_of_every_batch_size_are_compared(bench: _Bench) -> None:
    path = bench.results / "evaluate-5" / "trt_evaluate" / "results.json"
    path.write_text('{"top_1_accuracy": 0.5}')
    gate = scripts(bench, "evaluate")
    assert gate.state == "failed"
    assert gate.summary == "evaluate-5: top_1_accuracy is 0.5, the trainer's 0.25"


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (outcome("inference-refused"), "a batch above the engine's profile was taken"),
        (
            outcome("inference-refused", ok=False, error="RuntimeError: invalid dimensions"),
            "fails without a word on tensorrt.max_batch_size",
        ),
    ],
)
def test_a_batch_above_the_profile_has_to_be_refused(
    bench: _Bench, refused: DeployOutcome, said: str
) -> None:
    gate = scripts(bench, "inference", inference_refused=refused)
    assert gate.state == "failed"
    assert said in gate.summary
    assert scripts(bench, "evaluate", inference_refused=refused).state == "rehearsed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"top_1_accuracy": 0.25, "top_5_accuracy": 1.0}', ""),
        ('{"top_5_accuracy": 1, "top_1_accuracy": 0.2500000001}', ""),
        ('{"top_1_accuracy": 0.25}', "results.json has top_1_accuracy, the trainer's top_1"),
        ('{"top1": 0.25, "top5": 1.0}', "results.json has top1, top5"),
        ('{"top_1_accuracy": "0.25", "top_5_accuracy": 1.0}', "top_1_accuracy is '0.25'"),
        ('{"top_1_accuracy": null, "top_5_accuracy": 1.0}', "top_1_accuracy is None"),
        ('{"top_1_accuracy": NaN, "top_5_accuracy": 1.0}', "top_1_accuracy is nan"),
        ('{"top_1_accuracy": 0.25, "top_5_accuracy": true}', "top_5_accuracy is True"),
        ('{"top_1_accuracy": 0.5, "top_5_accuracy": 0.5}', "0.25; top_5_accuracy is 0.5"),
        ("{'top_1_accuracy': np.float32(0.25)}", 'is no JSON: "{'),
        ('"0.25"', "holds no metrics: '\"0.25\"'"),
        ("[0.25, 1.0]", "holds no metrics"),
        ("{}", "holds no metrics"),
        ("", "is no JSON: ''"),
        (None, "trt_evaluate/results.json is missing"),
    ],
)
def test_metrics_are_the_trainers_keys_and_numbers(tmp_path: Path, text: str | None, said: str) -> None:
    native, engine = tmp_path / "evaluate" / "results.json", tmp_path / "trt_evaluate" / "results.json"
    for path in (native, engine):
        path.parent.mkdir()
    native.write_text('{"top_1_accuracy": 0.25, "top_5_accuracy": 1.0}')
    if text is not None:
        engine.write_text(text)
    found = metric_problem(native, engine, tolerance=1e-6)
    assert said in found
    assert bool(found) == bool(said)


def test_metrics_of_the_trainer_may_be_the_problem(tmp_path: Path) -> None:
    engine = tmp_path / "trt_evaluate" / "results.json"
    engine.parent.mkdir()
    engine.write_text("{}")
    problem = metric_problem(tmp_path / "evaluate" / "results.json", engine, tolerance=1e-6)
    assert problem == "the trainer's evaluate/results.json is missing"
