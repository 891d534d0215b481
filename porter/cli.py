"""The command line: parse, call, show. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from porter import __version__
from porter.cli_help import MATRIX
from porter.cli_options import PORT, Given, with_options

app = typer.Typer(
    name="porter",
    help="Port a Hugging Face computer-vision model into the NVIDIA TAO Toolkit, exactly and reviewably.",
    epilog="Exit codes: 0 done, 1 a gate failed, 2 usage, 3 model rejected, 4 workspace or clone, "
    "5 hub or network, 6 sandbox, 7 conflict with an edit, 8 locked, 9 dataset, "
    "10 not all proven, 70 a bug in porter, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

WorkspaceArgument = Annotated[Path, typer.Argument(help="Folder of the port.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"porter {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take options that belong to no command."""


@app.command()
@with_options(*PORT)
def port(given: Given) -> None:
    """Port a model: hub id, hub URL or local folder. Resumes where an earlier run stopped."""
    from porter import commands

    commands.port(given)


@app.command()
@with_options(*(name for name in PORT if name not in {"dry_run", "strict", "first", "last"}))
def plan(given: Given) -> None:
    """Show what `porter port` would write into the clones, without writing it there."""
    from porter import commands

    commands.port(given, dry_run=True)


@app.command()
@with_options("port_or_run", "first", "last", "yes", "strict", "json", "monitor", "every", "runs")
def resume(given: Given) -> None:
    """Go on with a port, or with a run of `porter train`, where it stopped."""
    from porter import commands, running

    if running.is_run(given):
        running.resume(given)
    else:
        commands.resume(given)


@app.command()
@with_options("folder", "dry_run", "yes", "json")
def undo(given: Given) -> None:
    """Take a port out of the clones again; what people wrote there stays, and so does the workspace."""
    from porter import commands

    commands.undo(given)


@app.command()
def status(workspace: WorkspaceArgument = Path(), as_json: Json = False) -> None:
    """Show phases, gates and paths of a port."""
    from porter import commands

    commands.status(workspace, as_json=as_json)


@app.command()
@with_options("gate", "folder", "yes", "json")
def gate(given: Given) -> None:
    """Run one gate again, whatever its record says, and those before it that are open."""
    from porter import commands

    commands.gate(given)


@app.command()
def shell(
    repo: Annotated[str, typer.Argument(help="tao-pytorch or tao-deploy.")],
    workspace: WorkspaceArgument = Path(),
) -> None:
    """Open a shell in the same environment as the gates of a repository."""
    from porter import commands

    raise typer.Exit(commands.shell(repo, workspace))


@app.command()
def gates(workspace: WorkspaceArgument = Path(), as_json: Json = False) -> None:
    """List every gate with its state and the command that runs it."""
    from porter import commands

    commands.gates(workspace, as_json=as_json)


@app.command()
@with_options("folder", "check", "output", "json")
def review(given: Given) -> None:
    """Write a page that shows a port whole; --check fails while anything is unproven."""
    from porter import commands

    commands.review(given)


@app.command()
@with_options(
    *("source", "into", "revision", "tao_pytorch", "tao_deploy", "tao_core", "tao_dataservices"),
    *("embedded", "base", "json"),
)
def fetch(given: Given) -> None:
    """Put model, clones and environments' wheels into one folder, for `porter port --bundle`."""
    from porter import commands

    commands.fetch(given)


@app.command(help=MATRIX)
@with_options(
    *("list", "book", "only", "last", "tao_pytorch", "tao_deploy", "tao_core", "embedded", "base", "engine"),
    *("jobs", "again", "json"),
)
def matrix(given: Given) -> None:
    """Port a list of models, each by itself, and write what became of them as one table."""
    from porter import commands

    commands.matrix(given)


@app.command()
@with_options("source", "task", "revision", "json")
def inspect(given: Given) -> None:
    """Show what a model is, from its config and tensor headers alone; loads no weights."""
    from porter import commands

    commands.inspect(given)


@app.command()
@with_options("engine", "image_pytorch", "image_deploy", "image_dataservices", "json")
def doctor(given: Given) -> None:
    """Check what this machine has, and say how to get what is missing."""
    from porter import commands

    commands.doctor(given)


@app.command()
@with_options("scope", "format")
def models(given: Given) -> None:
    """List the TAO networks that can be trained: task, actions, data formats, AutoML."""
    from porter import launching

    launching.models(given)


@app.command()
@with_options("one_platform", "format")
def platforms(given: Given) -> None:
    """Show where trainings can run now: what is missing, the next command, names of credentials."""
    from porter import launching

    launching.platforms(given)


@app.command()
@with_options("model", "action", "format")
def image(given: Given) -> None:
    """Show the image and the command that run an action of a TAO network."""
    from porter import launching

    launching.image(given)


@app.command()
@with_options(
    *("model", "train_data", "eval_data", "export", "base_checkpoint", "platform", "venv", "gpus", "nodes"),
    *("automl", "algorithm", "trials", "metric", "vary", "image", "spec", "monitor", "every", "go"),
    *("runs", "tao_pytorch", "tao_core", "plan_only", "format"),
)
def train(given: Given) -> None:
    """Train a TAO network or a ported one: a search by default, then evaluation and export."""
    from porter import running

    running.train(given)


@app.command()
@with_options(
    "run", "eval_data", "spec", "monitor", "every", "go", "runs", "tao_pytorch", "tao_core", "format"
)
def evaluate(given: Given) -> None:
    """Evaluate what a run has trained; of a search, the best trial."""
    from porter import running

    running.evaluate(given)


@app.command()
@with_options("run", "spec", "monitor", "every", "go", "runs", "tao_pytorch", "tao_core", "format")
def export(given: Given) -> None:
    """Export what a run has trained to ONNX; of a search, the best trial."""
    from porter import running

    running.export(given)


@app.command()
@with_options(
    *("run", "infer_data", "spec", "monitor", "every", "go", "runs", "tao_pytorch", "tao_core", "format")
)
def infer(given: Given) -> None:
    """Predict with what a run has trained; of a search, with the best trial."""
    from porter import running

    running.infer(given)


@app.command()
@with_options("one_run", "runs", "format")
def jobs(given: Given) -> None:
    """List runs, or the jobs of one: state, epoch, metric, time left."""
    from porter import running

    running.jobs(given)


@app.command()
@with_options("run", "job", "tail", "runs")
def logs(given: Given) -> None:
    """Print what a job has printed."""
    from porter import running

    running.logs(given)


@app.command()
@with_options("run", "runs")
def cancel(given: Given) -> None:
    """End the jobs of a run; what they have left stays."""
    from porter import running

    running.cancel(given)


@app.command()
@with_options("run", "every", "runs", "format")
def watch(given: Given) -> None:
    """Follow a run to its end; starts nothing."""
    from porter import running

    running.watch(given)


skills = typer.Typer(
    help="Packages of TAO networks for NVIDIA's skill bank.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(skills, name="skills")


@skills.command("build")
@with_options("model", "tao_pytorch", "tao_deploy", "tao_core", "skill", "format")
def skills_build(given: Given) -> None:
    """Write a network's package from the dataclasses of a clone: schemas, spec templates, skill info."""
    from porter import launching

    launching.skills_build(given)


images = typer.Typer(
    help="Images for containers where NVIDIA's are not at hand.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(images, name="images")


@images.command("build")
@with_options("sets", "image_base", "engine", "json")
def images_build(given: Given) -> None:
    """Build porter's CPU images, from wheels alone; gates use them from then on."""
    from porter import commands

    commands.images_build(given)


def main() -> None:
    """Run the command line; end the process with porter's exit codes."""
    from porter.exits import run

    sys.exit(run(_invoke))


def _invoke() -> Any:
    return app(standalone_mode=False)
