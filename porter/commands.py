"""What the commands do, once their options are parsed."""

from __future__ import annotations

import difflib
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from porter import cache
from porter.atomic import write_atomic
from porter.cli_options import Given
from porter.engine import Event
from porter.errors import (
    GateFailedError,
    IncompleteError,
    PorterError,
    SettingError,
    UsageError,
    WorkspaceError,
)
from porter.records.base import Task, digest
from porter.records.journal import PhaseRecord
from porter.records.options import PortOptions
from porter.records.reference import Repo, Strategy
from porter.records.sandbox import EngineChoice
from porter.renew import changes, renew
from porter.session import PortSession
from porter.ui import Ui
from porter.workspace import Workspace


def port(given: Given, *, dry_run: bool = False) -> None:
    """Make or open the workspace and walk the phases."""
    options = _options(given)
    root = Path(given.workspace) if given.workspace else Path(f"porter-{_slug(options.source)}")
    there = Workspace(root) if Workspace(root).options_file.exists() else None
    if not (dry_run or given.dry_run):
        _walk(there or Workspace.create(root, options), given, dry_run=False, options=options)
        return
    if there is not None:
        options = renew(there, options)
    # A dry run has a workspace and a clone of its own: its records must not pass for those of a port.
    plan = cache.root() / "plans" / f"{_slug(options.source)}-{digest(options)[:12]}"
    shutil.rmtree(plan, ignore_errors=True)
    _walk(Workspace.create(plan, options), given, dry_run=True, against=there)
    shutil.rmtree(plan, ignore_errors=True)


def resume(given: Given) -> None:
    """Open the workspace and walk the phases."""
    _walk(Workspace.open(Path(given.port_or_run)), given, dry_run=False)


def undo(given: Given) -> None:
    """Take the port out of the clones, after showing what that does."""
    from porter import undo
    from porter.report import undone

    workspace = Workspace.open(given.folder)
    ui = Ui(assume_yes=given.yes, quiet=given.json)
    with workspace.lock():
        planned = undo.undo(workspace, dry_run=True)
        if given.dry_run or not planned.repos:
            undone.show(planned, as_json=given.json)
            return
        if ui.interactive:
            undone.show(planned, as_json=False)
        if not ui.confirm("Take the port out of the clones like this?"):
            raise UsageError("Nothing was changed.", next_step="porter undo, and say yes")
        undone.show(undo.undo(workspace), as_json=given.json)
        ui.info(f"porter resume {shlex.quote(str(workspace.root))} makes the port again.")


def status(root: Path, *, as_json: bool) -> None:
    """Show what is recorded; runs nothing."""
    from porter.report import terminal

    terminal.show_status(Workspace.open(root), as_json=as_json)


def gates(root: Path, *, as_json: bool) -> None:
    """List every gate; runs nothing."""
    from porter.report import terminal

    terminal.show_catalogue(Workspace.open(root), as_json=as_json)


def gate(given: Given) -> None:
    """Run one gate again and show how it ended."""
    from porter.gates.catalogue import BY_ID
    from porter.report import terminal

    chosen = BY_ID.get(given.gate)
    if chosen is None:
        near = difflib.get_close_matches(given.gate, BY_ID, n=3, cutoff=0.5)
        raise UsageError(
            f"There is no gate {given.gate!r}.",
            why=f"near it: {', '.join(near)}" if near else "",
            next_step="porter gates lists them all",
        )
    workspace = Workspace.open(given.folder)
    ui = Ui(assume_yes=given.yes, quiet=given.json)
    results = []

    def on_event(event: Event) -> None:
        if event.kind != "gate" or event.gate is None:
            ui.event(event)
        elif event.gate.gate == chosen.id:
            results.append(event.gate)
        elif event.gate.state == "failed":
            ui.event(event)

    with workspace.lock():
        _shut(workspace, ui)
        session = PortSession(workspace, ui)
        session.journal.forget_steps(chosen.phase, chosen.steps)
        try:
            _walk_phases(session, chosen.phase, on_event)
        finally:
            terminal.show_gates(results, as_json=given.json)


def shell(runtime: str, root: Path) -> int:
    """Give the person a terminal where the gates of a repository run; return its exit code."""
    from porter import shell as opened

    workspace = Workspace.open(root)
    session = PortSession(workspace, Ui())
    return opened.run(session, runtime)


def review(given: Given) -> None:
    """Write the page of a port and say what is unproven; runs nothing."""
    from porter.phases.table import PHASES
    from porter.report import summary, terminal
    from porter.report.page import render
    from porter.report.review import PhaseNow, build_review
    from porter.report.unproven import refusal

    workspace = Workspace.open(given.folder)
    session = PortSession(workspace, Ui(quiet=True))
    now = [
        PhaseNow(phase.number, phase.title, session.changed(phase.number, phase.needs)) for phase in PHASES
    ]
    found = build_review(workspace, now)
    page = None
    if given.output or not given.json:
        page = Path(given.output).expanduser() if given.output else workspace.results / "review.html"
        _write(page, render(found))
    if given.json:
        terminal.emit(found)
    else:
        summary.show(found, page)
    if given.check and (error := refusal(found)):
        raise error


def _write(path: Path, data: bytes) -> None:
    try:
        write_atomic(path, data)
    except OSError as error:
        raise WorkspaceError(
            f"{path} cannot be written", why=str(error), next_step="choose another file: --output FILE"
        ) from error


def inspect(given: Given) -> None:
    """Show a model's facts."""
    from porter import hub, inspection
    from porter.report import terminal

    ui = Ui(quiet=True)

    source = hub.resolve(given.source, revision=given.revision)
    facts = inspection.inspect(source, task=_task(given.task), ask=ui.ask_task)
    terminal.show_inspection(facts, as_json=given.json)


def fetch(given: Given) -> None:
    """Make an offline bundle."""
    from porter import fetching
    from porter.report import terminal

    options = _options(given)
    folder = Path(given.into or f"porter-bundle-{_slug(given.source)}").expanduser()
    made = fetching.fetch(given, options, folder)
    terminal.show_bundle(made, folder, as_json=given.json)


def matrix(given: Given) -> None:
    """Run the rows of a list and write the matrix; fail when one did not end as the list expects."""
    from porter.matrix.command import run
    from porter.report import terminal

    options = _settled(given)
    ui = Ui(quiet=given.json)
    ran = run(given, options, ui)
    if given.json:
        terminal.emit(ran.matrix)
    if ran.missed:
        raise GateFailedError(
            f"{len(ran.missed)} of {ran.asked} rows did not end as the list expects: "
            f"{', '.join(ran.missed)}.",
            why=f"the reasons are in {ran.folder / 'matrix.md'}",
            next_step=f"porter review {ran.folder}/rows/NAME/port shows one port; the same command tries "
            "these rows again",
        )


def doctor(given: Given) -> None:
    """Show the machine's checks; fail when one failed."""
    from porter import doctor as checks
    from porter.report import terminal

    with Ui(quiet=given.json).working("looking at this machine"):
        results = checks.checks(engine_choice(given.engine), _images(given), folder=cache.root() / "images")
    terminal.show_gates(results, as_json=given.json)
    worst = [result for result in results if result.state == "failed"]
    if worst:
        raise PorterError(worst[0].summary, why=worst[0].cause, next_step=worst[0].fix)


def images_build(given: Given) -> None:
    """Build images of requirement sets."""
    from porter import rehearsal_images
    from porter.report import terminal
    from porter.sandbox import engines

    engine = engines.choose(engine_choice(given.engine))
    if engine is None:
        raise UsageError(
            "The host sandbox runs no images.",
            why="no container engine was found, or --engine host was given",
            next_step="install Docker or Podman; porter doctor says what is missing",
        )
    known = rehearsal_images.set_names()
    names = given.sets or known
    if unknown := [name for name in names if name not in known]:
        raise UsageError(
            f"There is no requirement set {unknown[0]}.", next_step=f"one of: {', '.join(known)}"
        )
    ui = Ui(quiet=given.json)
    for name in names:
        with ui.working(f"building the image of {name} with {engine.name}"):
            built = rehearsal_images.build(engine, name, given.image_base, ui.progress)
        if given.json:
            terminal.emit(built)
        else:
            ui.info(f"{name} is in {engine.name}'s image {built.image}; gates use it from now on")


def _walk_phases(
    session: PortSession, last: int, on_event: Callable[[Event], None]
) -> tuple[PhaseRecord, ...]:
    from porter.engine import walk
    from porter.gates.results import stopped_gate
    from porter.phases.table import PHASES

    session.runtimes.sweep()
    _restore(session)
    try:
        return walk(
            PHASES,
            session,
            last=last,
            on_event=on_event,
            failure=lambda *stop: session.with_command(stopped_gate(*stop)),
        )
    finally:
        session.runtimes.close()


def _restore(session: PortSession) -> None:
    """Have phase 1 run again where a worktree that it made is gone: it makes it anew."""
    from porter import clones

    for repo in session.tao.repos:
        record = clones.read_record(session.workspace, repo)
        if record is not None and record.state == "ready" and not Path(record.worktree).exists():
            session.ui.warn(f"the worktree of {repo} is gone; it is made again")
            session.journal.forget_steps(1, ())


def _walk(
    workspace: Workspace,
    given: Given,
    *,
    dry_run: bool,
    options: PortOptions | None = None,
    against: Workspace | None = None,
) -> None:
    from porter.phases.table import LAST
    from porter.report import terminal

    if not 0 <= given.first <= min(given.last, LAST):
        raise UsageError(
            f"--from {given.first} --until {given.last} names no phases.",
            why=f"this version has the phases 0 to {LAST}",
        )
    ui = Ui(assume_yes=given.yes, quiet=given.json)
    with workspace.lock():
        before = workspace.load()
        if options is not None:
            workspace.save(renew(workspace, options))
            for change in changes(before, workspace.load()):
                ui.info(f"changed  {change}")
        _shut(workspace, ui)
        session = PortSession(workspace, ui, dry_run=dry_run, against=against)
        if given.first:
            session.journal.forget(given.first)
        try:
            records = _walk_phases(session, min(given.last, LAST), ui.event)
        except SettingError as error:
            if options is not None:
                _drop_setting(workspace, before, error.key)
            raise
        except UsageError:
            raise
        except PorterError:
            terminal.show_status(workspace, as_json=given.json)
            raise
        terminal.show_status(workspace, as_json=given.json)
    if dry_run and not given.json:
        terminal.show_files(records)
    open_gates = [gate.gate for record in records for gate in record.gates if gate.state != "passed"]
    if given.strict and open_gates:
        raise IncompleteError(
            f"The port is incomplete: {', '.join(open_gates)}.",
            why="--strict counts blocked and rehearsed gates as failure",
            next_step="porter status says how each is unblocked",
        )


def _options(given: Given) -> PortOptions:
    if not given.source and not given.bundle:
        raise UsageError("No model was given.", next_step="give a hub id, a hub URL or a model folder")
    options = _settled(given)
    if not given.bundle:
        return options
    from porter.fetching import with_bundle

    return with_bundle(options, Path(given.bundle).expanduser().absolute())


def _settled(given: Given) -> PortOptions:
    clones = {
        repo: str(Path(path).expanduser().absolute())
        for repo, path in (
            ("tao-pytorch", given.tao_pytorch),
            ("tao-deploy", given.tao_deploy),
            ("tao-core", given.tao_core),
            ("tao-dataservices", given.tao_dataservices),
        )
        if path
    }
    if given.embedded and clones:
        raise UsageError("--embedded and clones exclude each other.", next_step="leave out one of them")
    local = Path(given.source).expanduser()
    return PortOptions(
        source=str(local.resolve()) if given.source and local.is_dir() else given.source,
        name=given.name,
        task=_task(given.task),
        revision=given.revision,
        clones=clones,
        embedded=given.embedded,
        branch=given.branch,
        **_bases(given.base or []),
        data=str(Path(given.data).expanduser().absolute()) if given.data else None,
        strategy=_strategy(given.strategy),
        settings=_settings(given.settings or []),
        engine=engine_choice(given.engine),
        images=_images(given),
    )


def _images(given: Given) -> dict[str, str]:
    return {
        f"tao-{name}": reference
        for name in ("pytorch", "deploy", "dataservices")
        if (reference := getattr(given, f"image_{name}"))
    }


def _shut(workspace: Workspace, ui: Ui) -> None:
    """Keep a port that lives on a bundle from the network, from its first step on."""
    folder = workspace.load().bundle
    if folder:
        from porter import bundle

        with ui.working(f"using the bundle {folder}"):
            bundle.use(Path(folder), ui.progress)


def _drop_setting(workspace: Workspace, before: PortOptions, key: str) -> None:
    """Keep a setting that was refused out of the options: it would be refused again each time."""
    import msgspec

    options = workspace.load()
    settings = {name: value for name, value in options.settings.items() if name != key}
    if key in before.settings and before.settings[key] != options.settings.get(key):
        settings[key] = before.settings[key]
    workspace.save(msgspec.structs.replace(options, settings=settings))


def _task(text: str | None) -> Task | None:
    if text is None:
        return None
    for task in get_args(Task):
        if text == task:
            return task  # type: ignore[no-any-return]
    raise UsageError(f"--task {text} is not a task.", why=f"tasks: {', '.join(get_args(Task))}")


def engine_choice(text: str | None) -> EngineChoice:
    """Return where runs go."""
    from porter.sandbox import engines

    return engines.parse(text or "auto", "--engine")


def _bases(given: list[str]) -> dict[str, Any]:
    """Return the options *base* and *bases*: a reference for every clone, and those of single ones."""
    bases: dict[str, str] = {}
    everywhere = "main"
    for text in given:
        repo, equals, ref = text.partition("=")
        if not equals:
            everywhere = text
        elif repo in get_args(Repo) and ref:
            bases[repo] = ref
        else:
            raise UsageError(
                f"--base {text}: expected REF or REPO=REF.",
                why=f"repositories: {', '.join(get_args(Repo))}",
                next_step="--base tao-deploy=release/6.26.3",
            )
    return {"base": everywhere, "bases": bases}


def _strategy(text: str | None) -> Strategy | None:
    from porter.reference.choose import AVAILABLE

    for strategy in AVAILABLE:
        if text == strategy:
            return strategy
    if text is None:
        return None
    raise UsageError(
        f"--strategy {text} is not a strategy that this version has.", why=f"it has: {', '.join(AVAILABLE)}"
    )


def _settings(pairs: list[str]) -> dict[str, str]:
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not re.fullmatch(r"\w+(\.\w+)+", key):
            raise UsageError(
                f"--set {pair}: expected section.key=value.", next_step="--set train.num_epochs=5"
            )
        settings[key] = value
    return settings


def _slug(source: str) -> str:
    last = re.split(r"[\\/]", source.rstrip("/\\"))[-1]
    return re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-") or "model"
