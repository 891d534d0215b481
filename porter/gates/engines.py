"""Gates of phase 4 that run the deploy scripts: engines of every precision, inference, evaluation.

Without TensorRT they run on stand-ins and end as rehearsed; where it is there, the same gates pass.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from porter.gates.metrics import metric_problem
from porter.gates.outputs import METRIC_TOLERANCE, Compared, compare_outputs
from porter.gates.results import blocked, failed, log_tail, passed, rehearsed
from porter.gates.rows import FP16_TOLERANCE, FP32_TOLERANCE
from porter.gates.runs import view_of
from porter.generate.values import PortContext
from porter.records.engines import DeployAnswer, DeployOutcome, DeployRequest, DeployStep
from porter.records.gates import GateResult
from porter.records.inspection import DatasetFacts
from porter.records.reference import DeployReference
from porter.records.sandbox import Limits
from porter.session import PortSession
from porter.views import View

MODES = ("gen_trt_engine", "inference", "evaluate")
KINDS = ("fp32", "fp16", "int8", "qdq")
BATCHES = (1, 3, 5)
"""Batch sizes of inference and evaluation: one image, and two that leave a partial last batch."""

PROFILE = (1, 4, 6)
"""Smallest, best and largest batch of the engines that the gates build."""

ONE_SIZE = "The engine takes images of "
"""So a script refuses an image whose size depends on its ratio where the graph has one size."""

_COMPARED = f"inference-{BATCHES[0]}"
"""The run whose tensors the calibration has to see."""

_PACKAGE = "nvidia_tao_deploy.cv.{name}"
_HOURS = 3600
_CALIBRATION_BATCH = 2


def schema_of(session: PortSession) -> str:
    """Return ``module:class`` of the schema that the deploy package uses."""
    package = session.journal.made("deploy-reference", DeployReference).config_package
    root = package.rpartition(".")[0]
    return f"{root}.{session.options.name}.default_config:ExperimentConfig"


def specs_of(session: PortSession) -> dict[str, str]:
    """Return the path of each deploy spec, by mode."""
    folder = session.deploy_worktree / "nvidia_tao_deploy" / "cv" / session.options.name / "specs"
    return {mode: str(folder / f"{mode}.yaml") for mode in MODES}


@dataclass(frozen=True)
class _Bench:
    """Where the deploy scripts run: folders, the exported graph, the images, what the trainer wrote."""

    session: PortSession
    context: PortContext
    view: View
    classes: tuple[str, ...]

    @property
    def trained(self) -> Path:
        return self.session.workspace.results / "gates"

    @property
    def results(self) -> Path:
        return self.session.workspace.results / "deploy"

    @property
    def onnx(self) -> Path:
        return self.trained / "export" / f"{self.context.name}.onnx"

    def engine(self, kind: str) -> Path:
        return self.results / "engines" / f"{kind}.engine"

    def data(self) -> list[str]:
        return self.context.dataset(self.view.root, self.classes)


def engine_gates(session: PortSession, context: PortContext) -> Iterator[GateResult]:
    """Build engines, run inference and evaluation, and hold what they write against the trainer's."""
    classes = session.journal.made("dataset", DatasetFacts).classes
    bench = _Bench(session, context, view_of(session), classes)
    answer = _run(bench)
    outcomes = {outcome.label: outcome for outcome in answer.steps}
    runtime = {"runtime": answer.runtime}
    for kind in KINDS:
        if kind == "int8" and not session.family.calibrated:
            yield blocked("engine-int8", f"TAO calibrates no engine of {session.reference.name} for INT8")
        else:
            yield _engine_gate(bench, kind, outcomes, runtime)
    yield _scripts_gate(bench, "inference", outcomes, runtime)
    yield _scripts_gate(bench, "evaluate", outcomes, runtime)


def ran(session: PortSession, gate: str, summary: str, **evidence: Any) -> GateResult:
    """Return the gate as passed where TensorRT is, and as rehearsed where it is stood in for."""
    return (rehearsed if session.runtimes.rehearses else passed)(gate, summary, **evidence)


def _run(bench: _Bench) -> DeployAnswer:
    session, name = bench.session, bench.context.name
    request = DeployRequest(
        package=_PACKAGE.format(name=name),
        prefix=bench.context.prefix,
        schema=schema_of(session),
        specs=specs_of(session),
        onnx=str(bench.onnx),
        quantised=str(bench.results / "engines" / "quantised.onnx"),
        steps=tuple(_steps(bench)),
    )
    dataset = Path(session.journal.made("dataset", DatasetFacts).root)

    def execute() -> DeployAnswer:
        shutil.rmtree(bench.results, ignore_errors=True)
        bench.engine("fp32").parent.mkdir(parents=True)
        try:
            return session.probe(
                "run_deploy",
                request,
                DeployAnswer,
                read=[bench.onnx.parent, Path(bench.view.root), dataset],
                write=[bench.results],
                packages=[session.deploy_worktree],
                limits=Limits(seconds=_HOURS),
                runtime="tao-deploy",
            )
        finally:
            # They are as large as the model, and the chain of phase 6 builds one to keep.
            shutil.rmtree(bench.results / "engines", ignore_errors=True)

    return session.prove(
        "engines",
        {"request": request, "onnx": session.fingerprint(bench.onnx), "images": bench.view.images},
        DeployAnswer,
        execute,
        outputs=lambda done: (
            sorted(bench.results.rglob("*.csv")) if all(step.ok for step in done.steps) else []
        ),
        repos=("tao-deploy",),
    )


def _steps(bench: _Bench) -> Iterator[DeployStep]:
    images = bench.view.images["test"]
    smallest, best, largest = PROFILE
    for kind in KINDS:
        if kind == "int8" and not bench.session.family.calibrated:
            continue
        onnx = bench.onnx if kind != "qdq" else bench.results / "engines" / "quantised.onnx"
        overrides = [
            *bench.data(),
            f"gen_trt_engine.onnx_file={onnx}",
            f"gen_trt_engine.trt_engine={bench.engine(kind)}",
            f"gen_trt_engine.tensorrt.data_type={'FP32' if kind == 'qdq' else kind.upper()}",
            f"gen_trt_engine.tensorrt.min_batch_size={smallest}",
            f"gen_trt_engine.tensorrt.opt_batch_size={best}",
            f"gen_trt_engine.tensorrt.max_batch_size={largest}",
        ]
        if kind == "int8":
            overrides += [
                f"gen_trt_engine.tensorrt.calibration.cal_image_dir=[{bench.session.family.calibration_images(bench.view)}]",
                f"gen_trt_engine.tensorrt.calibration.cal_cache_file={bench.results}/engines/calibration.bin",
                f"gen_trt_engine.tensorrt.calibration.cal_batch_size={min(_CALIBRATION_BATCH, images)}",
                f"gen_trt_engine.tensorrt.calibration.cal_batches={max(1, images // _CALIBRATION_BATCH)}",
            ]
        yield _step(bench, f"engine-{kind}", "gen_trt_engine", overrides)
    for batch in BATCHES:
        for mode in ("inference", "evaluate"):
            yield _step(bench, f"{mode}-{batch}", mode, _reading(bench, mode, "fp32", batch))
    yield _step(bench, "inference-fp16", "inference", _reading(bench, "inference", "fp16", BATCHES[1]))
    too_large = _reading(bench, "inference", "fp32", largest + 1)
    yield _step(bench, "inference-refused", "inference", too_large)


def _reading(bench: _Bench, mode: str, kind: str, batch: int) -> list[str]:
    return [
        *bench.data(),
        f"{mode}.trt_engine={bench.engine(kind)}",
        f"{mode}.batch_size={batch}",
        # No engine of these gates takes it: a script that reads the trainer's batch size is refused.
        *bench.context.loading(PROFILE[-1] + 1),
    ]


def _step(bench: _Bench, label: str, mode: str, overrides: list[str]) -> DeployStep:
    folder = bench.results / label
    return DeployStep(label=label, mode=mode, results_dir=str(folder), overrides=tuple(overrides))


def _broken(gate: str, outcome: DeployOutcome) -> GateResult | None:
    """Return the failed gate of a script that did not end as it should."""
    if not outcome.ok:
        last = outcome.error.strip().splitlines()[-1] if outcome.error.strip() else "no reason given"
        return failed(
            gate,
            f"{outcome.mode} ({outcome.label}) failed: {last}",
            text=outcome.error,
            traceback=outcome.error,
        )
    # Releases before 7 never write SUCCESS: the last line of a good run says so in words alone.
    said = outcome.status == "RUNNING" and outcome.message.endswith("finished successfully.")
    if outcome.status != "SUCCESS" and not said:
        return failed(
            gate,
            f"{outcome.label}: status.json ends with {outcome.status or 'nothing'} {outcome.message!r}",
        )
    return None


def _engine_gate(
    bench: _Bench, kind: str, outcomes: dict[str, DeployOutcome], runtime: dict[str, str]
) -> GateResult:
    gate, outcome = f"engine-{kind}", outcomes[f"engine-{kind}"]
    broken = _broken(gate, outcome)
    if broken is not None:
        return broken
    # Without the tensors of inference there is nothing to hold those of the calibration against.
    broken = _broken(gate, outcomes[_COMPARED]) if kind == "int8" else None
    if broken is not None:
        return broken
    problems, said = _engine_problems(kind, outcome, outcomes)
    evidence: dict[str, Any] = {**runtime, "engine": outcome.engine, "seconds": outcome.seconds}
    if problems:
        return failed(gate, "; ".join(problems), **evidence)
    return ran(bench.session, gate, f"{said}, {outcome.seconds:.1f} s", **evidence)


def _engine_problems(
    kind: str, outcome: DeployOutcome, outcomes: dict[str, DeployOutcome]
) -> tuple[list[str], str]:
    """Return what is wrong with an engine, and what to say where nothing is."""
    engine, problems = outcome.engine, []
    flags = {str(flag) for flag in engine.get("flags", ())}
    wanted = {"fp32": set(), "fp16": {"FP16"}, "int8": {"INT8"}, "qdq": {"STRONGLY_TYPED"}}[kind]
    if engine:
        explicit = kind == "qdq" and "INT8" in flags and not outcome.inputs
        if not wanted <= flags and not explicit:
            problems.append(f"the builder was asked for {', '.join(sorted(flags)) or 'no precision'}")
        if not explicit and kind in ("fp32", "qdq") and flags & {"FP16", "BF16", "INT8"}:
            problems.append(f"the builder was asked for {', '.join(sorted(flags))} as well")
        batches = {tuple(shape[0] for shape in profile) for profile in engine.get("profiles", {}).values()}
        if batches != {PROFILE}:
            problems.append(f"its profile is {sorted(batches)}, asked for was {PROFILE}")
    said = f"profile {PROFILE[0]}-{PROFILE[1]}-{PROFILE[2]}"
    if kind == "int8":
        seen = set(outcomes[_COMPARED].inputs)
        strange = [image for image in outcome.inputs if image not in seen]
        if not outcome.inputs:
            problems.append("no image reached the calibrator")
        elif strange:
            problems.append(
                f"{len(strange)} of {len(outcome.inputs)} calibration tensors are not those of inference"
            )
        said += f"; {len(outcome.inputs)} calibration tensors, each bit-equal to inference's"
    if kind == "qdq":
        typed = "STRONGLY_TYPED" in flags
        said += "; strongly typed" if typed else "; explicit quantisation, nothing calibrated"
    return problems, said


def _scripts_gate(
    bench: _Bench, mode: str, outcomes: dict[str, DeployOutcome], runtime: dict[str, str]
) -> GateResult:
    """Hold every batch size's rows and metrics against the trainer's own."""
    gate = f"deploy-{mode}"
    compared: dict[str, Compared] = {}
    labels = [f"{mode}-{batch}" for batch in BATCHES]
    if mode == "inference":
        labels.append("inference-fp16")
    for label in labels:
        outcome = outcomes[label]
        if ONE_SIZE in outcome.error:
            return blocked(gate, one_size(outcome.error))
        broken = _broken(gate, outcome)
        if broken is not None:
            return broken
        absent = [name for name in bench.session.family.deployed[mode] if not outcome.files.get(name)]
        if absent:
            return failed(gate, f"{label} left no {', '.join(absent)}", files=outcome.files)
        half = label.endswith("fp16")
        folder = bench.results / label / f"trt_{mode}"
        found = compared[label] = compare_outputs(
            bench.session,
            mode,
            bench.trained / mode,
            folder,
            precision="fp16" if half else "fp32",
            tolerance=FP16_TOLERANCE if half else FP32_TOLERANCE,
        )
        if found.problem:
            return failed(gate, f"{label}: {found.problem}", folder=str(folder))
        native = bench.trained / "evaluate" / "results.json"
        tolerance = METRIC_TOLERANCE[bench.session.family.task]
        metrics = (
            metric_problem(native, folder / "results.json", tolerance=tolerance) if mode == "evaluate" else ""
        )
        if metrics:
            return failed(gate, f"{label}: {metrics}")
    refusal = _refusal_problem(outcomes["inference-refused"]) if mode == "inference" else ""
    if refusal:
        return failed(gate, refusal, text=outcomes["inference-refused"].error)
    worst = max(
        (compared[f"{mode}-{batch}"] for batch in BATCHES),
        key=lambda item: (item.relative or 0.0, -item.equal),
    )
    evidence = {
        **runtime,
        "hop": f"ONNX -> engine ({mode})",
        "relative": worst.relative,
        "per_input": worst.per_image,
        "max_abs": worst.max_abs,
        "tolerance": FP32_TOLERANCE,
        "equal": worst.equal,
        "images": {label: item.images for label, item in compared.items()},
    }
    sizes = ", ".join(str(batch) for batch in BATCHES)
    return ran(bench.session, gate, f"at batches {sizes} as the trainer: {worst.said}", **evidence)


def one_size(error: str) -> str:
    """Return what a generated script says of an image that its engine cannot take."""
    said = next(line for line in error.splitlines() if ONE_SIZE in line)
    return f"{said[said.index(ONE_SIZE) :]} Unblock: --data with images that all come to that size"


def _refusal_problem(outcome: DeployOutcome) -> str:
    if outcome.ok:
        return "a batch above the engine's profile was taken"
    if "max_batch_size" not in outcome.error:
        return "a batch above the engine's profile fails without a word on tensorrt.max_batch_size"
    return ""


def entrypoint_gate(session: PortSession, context: PortContext) -> GateResult:
    """Ask the console command's own function for its subtasks and have it launch one."""
    gate = "deploy-entrypoint"
    results = session.workspace.results / "deploy" / "entrypoint"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    classes = session.journal.made("dataset", DatasetFacts).classes
    bench = _Bench(session, context, view_of(session), classes)
    module = f"nvidia_tao_deploy.cv.{context.name}.entrypoint.{context.name}"
    engine = results / "trt" / f"{context.name}.engine"
    result = session.command(
        "deploy-entrypoint",
        [
            "-c",
            f"from {module} import main; main()",
            "gen_trt_engine",
            "-e",
            specs_of(session)["gen_trt_engine"],
            *context.arguments(bench.view.root, classes),
            f"results_dir={results}",
            f"gen_trt_engine.onnx_file={bench.onnx}",
        ],
        read=[bench.onnx.parent, Path(bench.view.root), session.deploy_worktree],
        write=[results],
        packages=[session.deploy_worktree],
        runtime="tao-deploy",
    )
    log = log_tail(result.log)
    if result.exit_code != 0:
        return failed(gate, f"the console command ended with {result.exit_code}", text=log)
    if not engine.is_file() or not engine.stat().st_size:
        return failed(gate, f"the console command left no {engine.name}", text=log)
    engine.unlink()
    return ran(
        session,
        gate,
        f"`{context.name} gen_trt_engine` launched the script in {result.seconds:.0f} s",
        command=result.command,
    )
