"""Gates of phase 6 that run the whole chain as a user would: one results folder, the shipped specs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from porter.gates.engines import ONE_SIZE, one_size, ran, specs_of
from porter.gates.metrics import metric_problem, read_metrics
from porter.gates.outputs import METRIC_TOLERANCE, compare_outputs
from porter.gates.results import blocked, failed, log_tail, passed
from porter.gates.rows import FP32_TOLERANCE, read_rows
from porter.gates.runs import needed_files, script_problem, small_run, view_of
from porter.generate.fileplan import SPEC
from porter.generate.values import PortContext
from porter.records.gates import GateResult
from porter.records.inspection import DatasetFacts
from porter.records.runs import ScriptsOutcome, ScriptsRequest, ScriptStep
from porter.records.sandbox import Limits
from porter.session import PortSession

_HOURS = 3600
_MODES = ("train", "evaluate", "inference", "export")
_DEPLOY_MODES = ("gen_trt_engine", "inference", "evaluate")


def folder_of(session: PortSession) -> Path:
    """Return the one results folder of the chain."""
    return session.workspace.results / "chain"


def chain_gates(session: PortSession, context: PortContext) -> Iterator[GateResult]:
    """Train, evaluate, infer, export; build the engine, infer, evaluate; compare; look at every file."""
    trained = _train_gate(session, context)
    yield trained
    if not session.tao.has_deploy:
        yield from (
            blocked(gate, session.tao.why_no_deploy) for gate in ("chain-deploy", "native-engine", "done")
        )
        return
    deployed = _deploy_gate(session, context)
    yield deployed
    if deployed.state == "blocked":
        yield from (blocked(gate, deployed.summary) for gate in ("native-engine", "done"))
        return
    yield _native_gate(session)
    yield _done_gate(session, context)


def _train_gate(session: PortSession, context: PortContext) -> GateResult:
    results, view = folder_of(session), view_of(session)
    checkpoint = session.workspace.results / "checkpoint"
    start = small_run(
        session,
        context,
        view,
        f"{session.reference.generated.weights}={checkpoint / f'{context.name}.pth'}",
    )
    request = ScriptsRequest(
        name=context.name,
        config_root=context.config_root,
        spec=str(session.worktree / SPEC.format(name=context.name)),
        steps=tuple(ScriptStep(mode=mode, results_dir=str(results), overrides=start) for mode in _MODES),
    )
    dataset = Path(session.journal.made("dataset", DatasetFacts).root)

    def execute() -> ScriptsOutcome:
        shutil.rmtree(results, ignore_errors=True)
        results.mkdir(parents=True)
        return session.probe(
            "run_scripts",
            request,
            ScriptsOutcome,
            read=[session.worktree, checkpoint, dataset, Path(view.root)],
            write=[results],
            packages=[session.worktree],
            limits=Limits(seconds=_HOURS),
        )

    outcome = session.prove(
        "chain-train",
        {"request": request, "images": view.images},
        ScriptsOutcome,
        execute,
        outputs=lambda done: _small_files(results) if all(step.ok for step in done.steps) else [],
    )
    for step in outcome.steps:
        problem = script_problem(step, needed_files(session, step.mode))
        if problem:
            return failed("chain-train", f"{step.mode}: {problem}", text=step.error, traceback=step.error)
    seconds = ", ".join(f"{step.mode} {step.seconds:.1f} s" for step in outcome.steps)
    return passed(
        "chain-train",
        f"the shipped spec, given results_dir and data, runs to export/{context.name}.onnx ({seconds})",
        folder=str(results),
        nvidia_tao_core=outcome.core,
    )


def _small_files(results: Path) -> list[Path]:
    return sorted(path for suffix in ("*.csv", "*.json", "*.onnx") for path in results.rglob(suffix))


def _deploy_gate(session: PortSession, context: PortContext) -> GateResult:
    """Run the deploy console command three times in the folder that the trainer left."""
    gate = "chain-deploy"
    if " " in str(session.workspace.root):
        return blocked(
            gate,
            f"TAO's launcher splits paths at blanks, and {session.workspace.root} has one; unblock: port "
            "into a --workspace without blanks",
        )
    results, view = folder_of(session), view_of(session)
    for left in ("trt", "gen_trt_engine", "trt_inference", "trt_evaluate"):
        shutil.rmtree(results / left, ignore_errors=True)
    dataset = session.journal.made("dataset", DatasetFacts)
    module = f"nvidia_tao_deploy.cv.{context.name}.entrypoint.{context.name}"
    seconds = []
    for mode in _DEPLOY_MODES:
        result = session.command(
            f"chain-{mode}".replace("_", "-"),
            [
                "-c",
                f"from {module} import main; main()",
                mode,
                "-e",
                specs_of(session)[mode],
                f"results_dir={results}",
                *context.arguments(view.root, dataset.classes),
            ],
            read=[Path(view.root), Path(dataset.root), session.deploy_worktree],
            write=[results],
            packages=[session.deploy_worktree],
            runtime="tao-deploy",
        )
        if result.exit_code != 0:
            log = log_tail(result.log)
            if ONE_SIZE in log:
                return blocked(gate, one_size(log))
            return failed(gate, f"`{context.name} {mode}` ended with {result.exit_code}", text=log)
        seconds.append(f"{mode} {result.seconds:.1f} s")
    return ran(
        session,
        gate,
        f"`{context.name}` took up where export left off, on the shipped specs ({', '.join(seconds)})",
        folder=str(results),
        runtime=session.runtimes.deploy.name,
    )


def _native_gate(session: PortSession) -> GateResult:
    results, gate = folder_of(session), "native-engine"
    said, evidence = [], {}
    worst = None
    for task in ("inference", "evaluate"):
        found = compare_outputs(
            session,
            task,
            results / task,
            results / f"trt_{task}",
            precision="fp32",
            tolerance=FP32_TOLERANCE,
        )
        if found.problem:
            return failed(gate, f"{task}: {found.problem}")
        worst = found if worst is None or (found.relative or 0) > (worst.relative or 0) else worst
        evidence[f"images of {task}"] = found.images
        said.append(f"{task}: {found.said}")
    native, engine = (results / folder / "results.json" for folder in ("evaluate", "trt_evaluate"))
    apart = metric_problem(native, engine, tolerance=METRIC_TOLERANCE[session.family.task])
    if apart:
        return failed(gate, apart)
    metrics = ", ".join(f"{key} {value:.3g}" for key, value in read_metrics(native)[0].items() if value)
    return ran(
        session,
        gate,
        f"{'; '.join(said)}; {metrics} on both",
        hop="native -> engine",
        relative=worst.relative if worst else None,
        per_input=worst.per_image if worst else {},
        tolerance=FP32_TOLERANCE,
        **evidence,
    )


def _done_gate(session: PortSession, context: PortContext) -> GateResult:
    results, name = folder_of(session), context.name
    wanted = (
        f"train/{name}_model_latest.pth",
        f"export/{name}.onnx",
        f"trt/{name}.engine",
        "evaluate/results.json",
        "trt_evaluate/results.json",
        "inference/result.csv",
        "trt_inference/result.csv",
    )
    sizes = {path: (results / path).stat().st_size if (results / path).is_file() else 0 for path in wanted}
    empty = [path for path, size in sizes.items() if not size or not _holds_something(results / path)]
    if empty:
        return failed("done", f"missing or empty: {', '.join(empty)}", folder=str(results))
    return ran(
        session, "done", f"{len(wanted)} files of the chain, none empty", files=sizes, folder=str(results)
    )


def _holds_something(path: Path) -> bool:
    """Return whether a table has rows and a file of metrics has metrics."""
    if path.suffix == ".csv":
        return bool(read_rows(path)[1])
    return path.suffix != ".json" or bool(read_metrics(path)[0])
