"""The options of `port` and its relatives, once, as data."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import typer

Given = SimpleNamespace
"""The options that a command was given, by name."""

_TASKS = (
    "image-classification, object-detection, semantic-segmentation, instance-segmentation, "
    "panoptic-segmentation, zero-shot-object-detection or depth-estimation"
)
_REQUIRED = inspect.Parameter.empty


def _option(kind: Any, default: Any, *names: str, text: str, metavar: str | None = None) -> tuple[Any, Any]:
    return Annotated[kind, typer.Option(*names, help=text, metavar=metavar)], default


_OPTIONS: dict[str, tuple[Any, Any]] = {
    "source": (
        Annotated[str, typer.Argument(help="Hub id, hub URL or local folder of the model.")],
        "",
    ),
    "folder": (Annotated[Path, typer.Argument(help="Folder of the port.", metavar="WORKSPACE")], Path()),
    "port_or_run": (
        Annotated[str, typer.Argument(help="Folder of the port, or a run.", metavar="WORKSPACE|RUN")],
        ".",
    ),
    "gate": (Annotated[str, typer.Argument(help="Name of the gate; `porter gates` lists them.")], _REQUIRED),
    "name": _option(
        str, "", "--name", text="Network name in TAO, snake_case. [asked; else from the model's name]"
    ),
    "task": _option(str | None, None, "--task", text=f"{_TASKS}. [read from the model]", metavar="TASK"),
    "strategy": _option(
        str | None,
        None,
        "--strategy",
        text="native, timm, transplant or compose; refused where it does not fit. [the first that fits]",
        metavar="STRATEGY",
    ),
    "revision": _option(str | None, None, "--revision", text="Branch, tag or commit on the hub."),
    "workspace": _option(
        str, "", "--workspace", text="Folder of the port. [./porter-<model>]", metavar="DIR"
    ),
    "tao_pytorch": _option(str | None, None, "--tao-pytorch", text="Your clone of it.", metavar="PATH"),
    "tao_deploy": _option(str | None, None, "--tao-deploy", text="Your clone of it.", metavar="PATH"),
    "tao_core": _option(str | None, None, "--tao-core", text="Your clone of it.", metavar="PATH"),
    "tao_dataservices": _option(
        str | None, None, "--tao-dataservices", text="Your clone of it.", metavar="PATH"
    ),
    "embedded": _option(bool, False, "--embedded", text="Use porter's embedded kit instead of clones."),
    "bundle": _option(
        str, "", "--bundle", text="Use this offline bundle alone, and no network.", metavar="DIR"
    ),
    "into": _option(
        str, "", "--output", text="Folder of the bundle. [./porter-bundle-<model>]", metavar="DIR"
    ),
    "engine": _option(
        str | None,
        None,
        "--engine",
        text="Where models and gates run: auto, docker, podman or host. [auto: docker, podman, host]",
        metavar="ENGINE",
    ),
    **{
        f"image_{name}": _option(
            str | None,
            None,
            f"--image-{name}",
            text=f"NVIDIA's image that tao-{name} runs in; pulled where it is not there.",
            metavar="REF",
        )
        for name in ("pytorch", "deploy", "dataservices")
    },
    "sets": (
        Annotated[list[str] | None, typer.Argument(help="Requirement sets. [all]", metavar="SET")],
        None,
    ),
    "image_base": _option(
        str, "", "--base", text="Image with Python to build on. [made of this machine's]", metavar="REF"
    ),
    "branch": _option(str, "", "--branch", text="Local branch to make. [feature/add-<name>]"),
    "base": _option(
        list[str] | None,
        None,
        "--base",
        text="Branch, tag or commit that it starts from: of every clone, or REPO=REF. [main]",
        metavar="REF",
    ),
    "data": _option(str | None, None, "--data", text="Class-folder dataset for the gates.", metavar="PATH"),
    "first": _option(int, 0, "--from", text="Run this phase and those after it again.", metavar="PHASE"),
    "last": _option(int, 6, "--until", text="Stop after this phase.", metavar="PHASE"),
    "settings": _option(
        list[str] | None,
        None,
        "--set",
        text="Default of the shipped spec, by schema key.",
        metavar="KEY=VALUE",
    ),
    "dry_run": _option(
        bool, False, "--dry-run", text="Show what would become of the clones' files; change none."
    ),
    "yes": _option(bool, False, "--yes", text="Take every suggestion without asking."),
    "strict": _option(
        bool,
        False,
        "--strict",
        text="Blocked or rehearsed gates count as failure.",
    ),
    "json": _option(bool, False, "--json", text="Print one JSON document."),
    "check": _option(bool, False, "--check", text="Fail when anything is unproven, and name it."),
    "list": (
        Annotated[Path | None, typer.Argument(help="TOML file with the rows. [porter's own]")],
        None,
    ),
    "book": _option(
        str, "porter-matrix", "--workspace", text="Folder of the matrix. [./porter-matrix]", metavar="DIR"
    ),
    "only": _option(
        list[str] | None,
        None,
        "--only",
        text="Run this row alone, or those that fit a pattern: 'timm-*'. [all]",
        metavar="NAME",
    ),
    "jobs": _option(
        int,
        0,
        "--jobs",
        text="Rows side by side, at most. [as many as processors, within memory]",
        metavar="N",
    ),
    "again": _option(bool, False, "--again", text="Run rows again that are done and unchanged."),
    "output": _option(
        str, "", "--output", text="Where the page goes. [WORKSPACE/results/review.html]", metavar="FILE"
    ),
    "model": (
        Annotated[
            str,
            typer.Argument(help="Network, or a port's folder; `porter models` lists them.", metavar="MODEL"),
        ],
        _REQUIRED,
    ),
    "scope": _option(
        str, "all", "--scope", text="Which networks: all, or automl for those that can be searched."
    ),
    "action": _option(
        str, _REQUIRED, "--action", text="What is run; `porter models` lists it by network.", metavar="ACTION"
    ),
    "format": _option(str, "text", "--format", text="text or json."),
    "train_data": _option(
        str, "", "--train-data", text="Training set: a local folder, or s3://BUCKET/PATH.", metavar="URI"
    ),
    "eval_data": _option(
        str, "", "--eval-data", text="Validation set. [the training set, where its files do]", metavar="URI"
    ),
    "base_checkpoint": _option(
        str,
        "",
        "--base-checkpoint",
        text="Weights to start from: a file, s3://BUCKET/PATH, or NGC's ORG/TEAM/NAME:VERSION. [NGC's]",
        metavar="URI",
    ),
    "platform": _option(
        str,
        "docker",
        "--platform",
        text="Where it runs: docker, kubernetes, slurm, brev or virtualenv.",
        metavar="PLATFORM",
    ),
    "gpus": _option(
        int | None, None, "--gpus", text="GPUs of every node; 0 runs on the CPU. [1]", metavar="N"
    ),
    "one_platform": _option(
        str,
        "",
        "--platform",
        text="Only this one: docker, kubernetes, slurm, brev or virtualenv. [all]",
        metavar="PLATFORM",
    ),
    "nodes": _option(
        int | None, None, "--nodes", text="Nodes; kubernetes and slurm have several. [1]", metavar="N"
    ),
    "automl": _option(
        str | None,
        None,
        "--automl",
        text="on searches hyperparameters, off trains once. [on where the network has a search]",
        metavar="on|off",
    ),
    "image": _option(str, "", "--image", text="Image to run in. [`porter image` shows it]", metavar="REF"),
    "spec": _option(
        list[str] | None,
        None,
        "--set",
        text="A value of the spec, by key or by the network's short name for it.",
        metavar="KEY=VALUE",
    ),
    "plan_only": _option(bool, False, "--dry-run", text="Show the plan, and start nothing."),
    "algorithm": _option(
        str,
        "",
        "--algorithm",
        text="Of the search: bayesian, bfbo, hyperband, bohb, asha, pbt, dehb or hyperband_es. [bayesian]",
        metavar="NAME",
    ),
    "trials": _option(
        int | None, None, "--trials", text="How many, where the algorithm does not know it. [20]", metavar="N"
    ),
    "metric": _option(
        str,
        "",
        "--metric",
        text="What the search is for; of another one than the network's say what is better. [the network's]",
        metavar="KEY[:maximize|:minimize]",
    ),
    "vary": _option(
        list[str] | None,
        None,
        "--vary",
        text="A field that the search varies, and how. [those that the schema marks, as it says]",
        metavar="KEY[=LEAST..MOST|=A,B]",
    ),
    "export": _option(bool, False, "--export", text="Export the trained model to ONNX in the end."),
    "venv": _option(
        str,
        "",
        "--venv",
        text="Virtual environment with TAO, for --platform virtualenv. [porter's own, with the clone's code]",
        metavar="DIR",
    ),
    "monitor": _option(
        bool,
        True,
        "--monitor/--no-monitor",
        text="Follow the run to its end, or start it and leave it.",
    ),
    "every": _option(float, 5.0, "--every", text="Minutes between two lines of progress.", metavar="MINUTES"),
    "go": _option(bool, False, "--yes", text="Start without asking."),
    "runs": _option(
        str, "", "--runs", text="Folder of all runs. [$PORTER_RUNS, else ./porter-runs]", metavar="DIR"
    ),
    "run": (
        Annotated[
            str, typer.Argument(help="Name or folder of a run; `porter jobs` lists them.", metavar="RUN")
        ],
        _REQUIRED,
    ),
    "one_run": (
        Annotated[str, typer.Argument(help="Name or folder of a run. [all]", metavar="RUN")],
        "",
    ),
    "job": _option(
        str, "", "--job", text="Job of the run: train, trial-3, evaluate. [the last]", metavar="NAME"
    ),
    "tail": _option(int, 0, "--tail", text="Last lines alone. [all]", metavar="N"),
    "infer_data": _option(
        str, "", "--data", text="Images: a local folder, or s3://BUCKET/PATH.", metavar="URI"
    ),
    "skill": _option(
        str, "", "--output", text="Folder of the package. [./<its name in the skill bank>]", metavar="DIR"
    ),
}

_OTHERS = {
    *("folder", "gate", "check", "output", "into", "list", "book", "only", "jobs", "again"),
    *("model", "scope", "action", "format", "skill"),
    *("train_data", "eval_data", "base_checkpoint", "platform", "gpus", "nodes", "automl", "image", "spec"),
    *("plan_only", "algorithm", "trials", "metric", "vary", "export", "venv", "monitor", "every", "go"),
    *("runs", "run", "one_run", "port_or_run", "job", "tail", "infer_data"),
    "one_platform",
}

PORT: tuple[str, ...] = tuple(name for name in _OPTIONS if name not in _OTHERS)


def with_options(*names: str) -> Callable[[Callable[[Given], None]], Callable[..., None]]:
    """Give a command the named options; it receives them as one namespace.

    An option that the command does not take is in the namespace with its default.
    """

    def decorate(command: Callable[[Given], None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapper(**given: Any) -> None:
            defaults = {name: default for name, (_, default) in _OPTIONS.items()}
            command(Given(**{**defaults, **given}))

        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [
            inspect.Parameter(name, kind, default=_OPTIONS[name][1], annotation=_OPTIONS[name][0])
            for name in names
        ]
        del wrapper.__wrapped__
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {name: _OPTIONS[name][0] for name in names}
        return wrapper

    return decorate
