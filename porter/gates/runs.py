"""Gates of phase 3 that run the generated code: the Lightning module, the scripts, the entrypoint."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from porter.gates.metrics import metric_problem
from porter.gates.predictions import predictions_gate
from porter.gates.results import blocked, failed, log_tail, passed
from porter.generate.fileplan import SPEC
from porter.generate.values import PortContext
from porter.records.gates import GateResult
from porter.records.inspection import DatasetFacts
from porter.records.reference import Reference
from porter.records.runs import (
    ModuleFacts,
    ModuleRequest,
    ScriptOutcome,
    ScriptsOutcome,
    ScriptsRequest,
    ScriptStep,
)
from porter.records.sandbox import Limits
from porter.records.weights import Conversion
from porter.session import PortSession
from porter.views import View, write_classes

_HOURS = 3600
_ROUNDING = 1e-5
"""Sums of many floats are not equal to the last bit in two processes, whose memory lies differently."""

_MODES = ("train", "evaluate", "inference", "export")


def view_of(session: PortSession) -> View:
    """Make the gates' dataset root; it costs nothing, so it is made anew."""
    dataset = session.journal.made("dataset", DatasetFacts)
    return session.family.view(dataset, session.reference, session.workspace.state / "view")


def small_run(session: PortSession, context: PortContext, view: View, *more: str) -> tuple[str, ...]:
    """Return what a gate changes in the shipped spec: the dataset root, and sizes for a quick run.

    Args:
        session: its dataset is used.
        context: of the generated network.
        view: the gates' dataset root.
        more: further entries of the dotlist.
    """
    dataset = session.journal.made("dataset", DatasetFacts)
    overrides = [
        *context.dataset(view.root, dataset.classes),
        *context.loading(min(2, *view.images.values())),
        "train.num_epochs=1",
        *more,
    ]
    # What --set made of these keys is for the user's machine and data, not for a quick run here.
    settings = session.options.settings
    overrides += [f"{key}={_NEUTRAL[key].replace('@', context.name)}" for key in settings if key in _NEUTRAL]
    return tuple(overrides)


_LATEST = "${results_dir}/train/@_model_latest.pth"
_NEUTRAL = {
    "train.checkpoint_interval": "1",
    "train.validation_interval": "1",
    "train.num_gpus": "1",
    "train.gpu_ids": "[0]",
    "train.num_nodes": "1",
    "train.precision": "fp32",
    "train.resume_training_checkpoint_path": "null",
    "train.results_dir": "null",
    "evaluate.results_dir": "null",
    "inference.results_dir": "null",
    "export.results_dir": "null",
    "evaluate.checkpoint": _LATEST,
    "inference.checkpoint": _LATEST,
    "export.checkpoint": _LATEST,
    "export.onnx_file": "${results_dir}/export/@.onnx",
    "export.batch_size": "-1",
    "dataset.segment.train_split": "train",
    "dataset.segment.validation_split": "val",
    "dataset.segment.test_split": "val",
    "dataset.segment.predict_split": "test",
    "train.pretrained_model_path": "null",
    "dataset.train_dataset.images_dir": "${dataset.root_dir}/train",
    "dataset.val_dataset.images_dir": "${dataset.root_dir}/val",
    "dataset.test_dataset.images_dir": "${dataset.root_dir}/test",
    "dataset.classes_file": "''",
}


def module_gates(session: PortSession, context: PortContext) -> Iterator[GateResult]:
    """Look at the Lightning module's optimizer, and at what a GPU machine's Trainer would get."""
    view = view_of(session)
    request = ModuleRequest(
        name=context.name,
        prefix=context.prefix,
        config_root=context.config_root,
        reference=session.reference.package,
        generated=session.reference.generated,
        hooks=session.reference.hooks,
        spec=str(session.worktree / SPEC.format(name=context.name)),
        overrides=small_run(
            session, context, view, f"results_dir={session.workspace.state / 'work' / 'module'}"
        ),
    )
    facts = session.prove(
        "pl-module",
        {"request": request, "dataset": view.images},
        ModuleFacts,
        lambda: session.probe(
            "pl_module",
            request,
            ModuleFacts,
            read=[*_readable(session), view.root],
            packages=[session.worktree],
        ),
    )
    yield _module_gate(session.reference, facts, context)
    yield _arguments_gate(facts)


def _module_gate(reference: Reference, facts: ModuleFacts, context: PortContext) -> GateResult:
    builder = reference.hooks[0]
    owner = facts.hooks.get(builder, "")
    problems = []
    if facts.model_class != facts.built_class:
        problems.append(f"pl.model is a {facts.model_class}, not the generated {facts.built_class}")
    if not owner.endswith(f"{context.prefix}PlModel"):
        problems.append(f"{builder} is {owner}'s, not the generated class's")
    if facts.checkpoint_filename != f"{context.name}_model":
        problems.append(f"checkpoint_filename is {facts.checkpoint_filename}")
    for names, what in (
        (facts.in_no_group, "in no optimizer group"),
        (facts.in_two_groups, "in two optimizer groups"),
        (facts.frozen_in_group, "frozen, yet in an optimizer group"),
    ):
        if names:
            problems.append(f"{', '.join(names[:3])} {what}")
    freezes = bool(reference.generated.freeze)
    if freezes and (not facts.head or facts.trainable_when_frozen != facts.head):
        left = ", ".join(facts.trainable_when_frozen[:3]) or "nothing"
        problems.append(f"with a frozen backbone {left} trains, not the head alone")
    if problems:
        return failed("pl-module", "; ".join(problems))
    return passed(
        "pl-module",
        f"{facts.model_class.rpartition('.')[2]} built by the generated hook; {facts.trainable} trainable "
        "parameters, each in one optimizer group",
        model_class=facts.model_class,
        hooks=facts.hooks,
        checkpoint_filename=facts.checkpoint_filename,
    )


def _arguments_gate(facts: ModuleFacts) -> GateResult:
    pairs = {} if facts.reference_error else {"train": (facts.trainer, facts.reference_trainer)}
    pairs |= {mode: (task.trainer, task.expected) for mode, task in facts.tasks.items()}
    problems = [
        f"{mode}: {key} is {ours.get(key, 'absent')}, the reference's {theirs.get(key, 'absent')}"
        for mode, (ours, theirs) in pairs.items()
        for key in sorted({*ours, *theirs})
        if ours.get(key) != theirs.get(key)
    ]
    if problems:
        return failed("trainer-arguments", "; ".join(problems[:3]), trainer=facts.trainer)
    if facts.reference_error:
        return blocked(
            "trainer-arguments",
            f"the reference's own train script fails on the schema at hand ({facts.reference_error}); those "
            "of evaluate and inference are equal to TAO's; unblock: install the nvidia-tao-core that the "
            "clone was made with",
            trainer=facts.trainer,
        )
    return passed(
        "trainer-arguments",
        f"equal to the reference's on two GPUs: {len(facts.trainer)} of train, and those of evaluate "
        "and inference",
        trainer=facts.trainer,
    )


def _readable(session: PortSession) -> list[Path]:
    """Return what a script reads: code, checkpoint, and the images that the view links to."""
    dataset = session.journal.made("dataset", DatasetFacts)
    return [session.worktree, session.workspace.results / "checkpoint", Path(dataset.root)]


def script_gates(session: PortSession, context: PortContext, conversion: Conversion) -> Iterator[GateResult]:
    """Run the four scripts on the CPU, then inference once more with the converted checkpoint."""
    results = session.workspace.results / "gates"
    view = view_of(session)
    labels = session.workspace.state / "labels"
    write_classes(labels, session.classes)
    weights = session.reference.generated.weights
    start = small_run(session, context, view, f"{weights}={conversion.checkpoint}")
    converted = (
        *session.family.predicting(context, view, labels),
        *context.loading(2),
        f"inference.checkpoint={conversion.checkpoint}",
    )
    steps = [ScriptStep(mode=mode, results_dir=str(results), overrides=start) for mode in _MODES]
    steps.append(ScriptStep(mode="inference", results_dir=str(results / "converted"), overrides=converted))
    request = ScriptsRequest(
        name=context.name,
        config_root=context.config_root,
        spec=str(session.worktree / SPEC.format(name=context.name)),
        steps=tuple(steps),
    )

    def execute() -> ScriptsOutcome:
        shutil.rmtree(results, ignore_errors=True)
        results.mkdir(parents=True)
        return session.probe(
            "run_scripts",
            request,
            ScriptsOutcome,
            read=[*_readable(session), view.root, labels],
            write=[results],
            packages=[session.worktree],
            limits=Limits(seconds=_HOURS),
        )

    outcome = session.prove(
        "scripts",
        {"request": request, "conversion": conversion.sha256, "images": view.images},
        ScriptsOutcome,
        execute,
        outputs=lambda done: _kept(results) if all(step.ok for step in done.steps) else [],
    )
    for step in outcome.steps[: len(_MODES)]:
        yield _script_gate(step, needed_files(session, step.mode), results, outcome.core)
    if len(outcome.steps) > len(_MODES):
        yield predictions_gate(session, outcome.steps[-1], view, results / "converted", conversion)


def _kept(results: Path) -> list[Path]:
    """Return the small results; a training checkpoint is too large to be hashed for a resume."""
    return sorted(path for suffix in ("*.csv", "*.json", "*.onnx") for path in results.rglob(suffix))


def script_problem(step: ScriptOutcome, needed: Sequence[str]) -> str:
    """Return what is wrong with a script's run; empty where nothing is.

    Args:
        step: how it ended.
        needed: files that it leaves.
    """
    if not step.ok:
        last = step.error.strip().splitlines()[-1] if step.error.strip() else "no reason given"
        return f"the {step.mode} script failed: {last}"
    missing = [item for item in needed if not step.files.get(item)]
    if missing:
        return f"the {step.mode} script left no {', '.join(missing)}"
    broken = [key for key, value in step.kpi.items() if isinstance(value, str)]
    if broken:
        return f"{', '.join(broken)} is no number"
    finished = f"{step.mode.capitalize()} finished successfully."
    if step.message != finished:
        return f"status.json ends with {step.message!r}, not {finished!r}"
    if step.mode == "train" and not step.logs:
        return "the train script wrote no TensorBoard events"
    return ""


def needed_files(session: PortSession, mode: str) -> list[str]:
    """Return the files that a generated script leaves in its results."""
    return [item.format(name=session.options.name) for item in session.family.needed[mode]]


def _script_gate(
    step: ScriptOutcome, needed: Sequence[str], results: Path, core: dict[str, str]
) -> GateResult:
    gate = f"run-{step.mode}"
    problem = script_problem(step, needed)
    if problem:
        broken = [f"{key} (a loss): {value}" for key, value in step.kpi.items() if isinstance(value, str)]
        text = step.error or (f"loss {' '.join(broken)} nan" if broken else "")
        return failed(gate, problem, text=text, traceback=step.error, kpi=step.kpi, files=step.files)
    kpi = ", ".join(f"{key} {value:.4g}" for key, value in step.kpi.items() if isinstance(value, int | float))
    return passed(
        gate,
        f"{step.seconds:.1f} s; {', '.join(needed[:-1])}{f'; {kpi}' if kpi else ''}",
        kpi=step.kpi,
        files={name: step.files[name] for name in needed},
        folder=str(results / step.mode),
        nvidia_tao_core=core,
    )


def entrypoint_gate(session: PortSession, context: PortContext) -> GateResult:
    """Run evaluate once more through the console command's own function, launcher included."""
    view = view_of(session)
    if " " in str(session.workspace.root):
        return blocked(
            "entrypoint",
            f"TAO's launcher splits paths at blanks, and {session.workspace.root} has one; unblock: port "
            "into a --workspace without blanks",
        )
    results = session.workspace.results / "entrypoint"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    trained = session.workspace.results / "gates"
    checkpoint = trained / "train" / f"{context.name}_model_latest.pth"
    module = f"nvidia_tao_pytorch.cv.{context.name}.entrypoint.{context.name}"
    arguments = [
        "evaluate",
        "-e",
        str(session.worktree / SPEC.format(name=context.name)),
        # The launcher makes one line of its arguments and splits that again.
        *map(shlex.quote, small_run(session, context, view)),
        f"results_dir={results}",
        f"evaluate.checkpoint={checkpoint}",
    ]
    result = session.command(
        "entrypoint",
        ["-c", f"from {module} import main; main()", *arguments],
        read=[*_readable(session), trained, view.root],
        write=[results],
        packages=[session.worktree],
    )
    log = log_tail(result.log)
    ours, first = results / "evaluate" / "results.json", trained / "evaluate" / "results.json"
    if result.exit_code != 0:
        return failed("entrypoint", f"the console command ended with {result.exit_code}", text=log)
    apart = metric_problem(first, ours, tolerance=_ROUNDING, whose="the script's")
    if apart:
        return failed("entrypoint", f"the console command: {apart}", text=log)
    return passed(
        "entrypoint",
        f"`{context.name} evaluate` launched the script in {result.seconds:.0f} s; same results.json",
        command=result.command,
    )
