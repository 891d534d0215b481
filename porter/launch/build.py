"""Writing a network's package: the probe, then a folder that appears whole."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import msgspec

from porter import cache, clones, git
from porter.errors import ConflictError, PorterError, SandboxError, WorkspaceError
from porter.launch import catalog, skills
from porter.records.catalog import CatalogEntry
from porter.records.options import PortOptions
from porter.records.reference import Release, Repo
from porter.records.skills import BuiltSkill, DeploySchema, SchemaAnswer, SchemaRequest, SkillSource
from porter.reference.release import read_release
from porter.runtimes import Runtimes
from porter.sandbox.base import run_probe
from porter.tao_clones import TaoClones
from porter.ui import Ui
from porter.workspace import Workspace

_NEW, _REPLACED = "new", "replaced"


def build(name: str, given: Mapping[Repo, str], output: str, ui: Ui) -> BuiltSkill:
    """Write the package of a network into a folder.

    Args:
        name: of the network, as the catalog has it.
        given: clones of tao-pytorch, tao-deploy and tao-core; without one of the first two, that in porter's
            cache is taken. The last is needed where the release has its dataclasses there, and porter knows
            no wheel of it.
        output: where the package goes; empty for a folder that is named like it.
        ui: where progress goes.

    Raises:
        ConflictError: the folder holds what porter did not write, or what was changed since.
        PorterError: there is no such network, clone or dataclass, or the probe failed.
    """
    found = catalog.entry(name)
    folder = Path(output or found.skill).expanduser().absolute()
    _refuse_foreign(folder)
    answer, source = ask(found, given, ui)
    deploy = ask_deploy(found, given, ui)
    files = skills.package(found, answer, source, deploy)
    write(folder, files)
    train = json.loads(files["schemas/train.schema.json"])
    return BuiltSkill(
        model=found.name,
        folder=str(folder),
        source=source,
        files={path: skills.digest(data) for path, data in files.items()},
        searched=tuple(train["automl_default_parameters"]),
        differences=answer.differences,
        notes=(f"no spec templates for tao-deploy: {deploy.missing}",) if deploy and deploy.missing else (),
    )


def ask(found: CatalogEntry, given: Mapping[Repo, str], ui: Ui) -> tuple[SchemaAnswer, SkillSource]:
    """Have the environment of the clone's release make the schema, in a sandbox of its own.

    A ported network's is made of the worktrees of its port, where no clone is given.

    Raises:
        PorterError: there is no such clone or dataclass, or the probe failed.
    """
    given = with_worktrees(found, given)
    clone = clones.locate("tao-pytorch", given.get("tao-pytorch"))
    release = read_release("tao-pytorch", clone)
    with _probing(found, given, clone, release, ui) as desk:
        return desk.ask(catalog.config_of(found, release.layout), clone, release)


def ask_deploy(found: CatalogEntry, given: Mapping[Repo, str], ui: Ui) -> DeploySchema | None:
    """Have the schema made likewise of what tao-deploy has; None for a network without an action of it.

    Where no clone is given and none is at hand, or the one at hand does not have the network, the answer
    says so.

    Raises:
        PorterError: the clone that was given does not have the network, or the probe failed.
    """
    if not skills.deploy_actions(found):
        return None
    given = with_worktrees(found, given)
    if "tao-deploy" not in given and not clones.is_at_hand("tao-deploy"):
        return DeploySchema(missing="there is no clone of tao-deploy; --tao-deploy PATH names one")
    try:
        clone = clones.locate("tao-deploy", given.get("tao-deploy"))
        release = read_release("tao-deploy", clone)
        trainer = clones.locate("tao-pytorch", given.get("tao-pytorch"))
        # Its own environment lacks the converter, and the dataclasses of both need the same.
        with _probing(found, given, trainer, read_release("tao-pytorch", trainer), ui) as desk:
            answer, source = desk.ask(catalog.config_of(found, release.layout, "tao-deploy"), clone, release)
    except WorkspaceError as error:
        if "tao-deploy" in given:
            raise
        return DeploySchema(missing=f"{error.what} {error.why}".strip())
    return DeploySchema(answer=answer, source=source)


class _Desk:
    """A sandbox in which a clone's dataclasses are asked for their schema."""

    def __init__(self, runtimes: Runtimes, tao: TaoClones, given: Mapping[Repo, str], ui: Ui) -> None:
        self._runtimes = runtimes
        self._tao = tao
        self._given = given
        self._ui = ui

    def ask(self, config: str, clone: Path, release: Release) -> tuple[SchemaAnswer, SkillSource]:
        """Return the schema of *config* in a clone, and where that comes from."""
        inside = release.layout == "in-repo"
        packages = [clone] if inside else [_core(self._tao, self._given), clone]
        with self._ui.working(f"making the schema of {config}"):
            answer = run_probe(
                self._runtimes.sandbox("tao-pytorch", "inspect"),
                "make_schema",
                SchemaRequest(config=config),
                SchemaAnswer,
                python_path=packages,
                # The clone is the user's: nothing is compiled into it, even where it is not shown read-only.
                variables={"PYTHONDONTWRITEBYTECODE": "1"},
                error=WorkspaceError,
            )
        source = SkillSource(
            config=config,
            repository=release.repo if inside else "tao-core",
            version=release.version,
            commit=_commit(packages[0], config),
        )
        return answer, source


@contextlib.contextmanager
def _probing(
    found: CatalogEntry, given: Mapping[Repo, str], clone: Path, release: Release, ui: Ui
) -> Iterator[_Desk]:
    """Make a sandbox with the environment of a clone of tao-pytorch, in a workspace of its own."""
    place = cache.root() / "skills"
    place.mkdir(parents=True, exist_ok=True)
    # The clone's checkout is what runs, whatever its branches are called.
    options = PortOptions(
        source="",
        clones={str(repo): path for repo, path in given.items()} | {"tao-pytorch": str(clone)},
        bases={"tao-pytorch": release.commit},
    )
    if found.workspace:
        ported = Workspace(Path(found.workspace)).load()
        options = msgspec.structs.replace(options, engine=ported.engine, images=ported.images)
    folder = Path(tempfile.mkdtemp(prefix=f"{found.name}-", dir=place))
    # A sandbox may run as a user who owns none of this.
    folder.chmod(0o755)
    workspace = Workspace.create(folder, options)
    tao = TaoClones(workspace, ui, lambda: release.layout)
    runtimes = Runtimes(workspace, ui, tao, lambda: release)
    keep = False
    try:
        yield _Desk(runtimes, tao, given, ui)
    except SandboxError:
        # It names the command in there that repeats the probe.
        keep = True
        raise
    finally:
        runtimes.close()
        if not keep:
            shutil.rmtree(workspace.root, ignore_errors=True)


def with_worktrees(found: CatalogEntry, given: Mapping[Repo, str]) -> Mapping[Repo, str]:
    """Return the clones that were given, and for the others of a ported network the port's worktrees."""
    if not found.workspace:
        return given
    trees = {repo: Path(found.workspace) / repo for repo in get_args(Repo)}
    return {repo: str(path) for repo, path in trees.items() if path.is_dir()} | dict(given)


def _core(tao: TaoClones, given: Mapping[Repo, str]) -> Path:
    """Return the clone of tao-core that was given, or one of the release's wheel, with its files."""
    core = tao.clone("tao-core")
    if "tao-core" not in given:
        git.run(core, "checkout", "--quiet", "main")
        core.chmod(0o755)
    return core


def _commit(clone: Path, config: str) -> str:
    """Return the commit of the configs; says so where they have changed since."""
    commit = git.output(clone, "rev-parse", "HEAD").decode().strip()
    package = "/".join(config.split(".")[:2])
    changed = git.output(clone, "status", "--porcelain", "--", package).strip()
    return f"{commit} with changes" if changed else commit


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder with anything that porter did not write, or that was changed since."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise WorkspaceError(f"{folder} is no folder.", next_step="choose another one: --output DIR")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        made = json.loads((folder / skills.MANIFEST).read_bytes())[skills.MADE]["files"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConflictError(
            f"{folder} holds something that porter did not write.",
            why=f"it has no {skills.MANIFEST} of porter's",
            next_step="choose another folder: --output DIR",
        ) from error
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    foreign = sorted(
        name
        for name, path in there.items()
        if name != skills.MANIFEST and made.get(name) != skills.digest(path.read_bytes())
    )
    if foreign:
        raise ConflictError(
            f"{folder} holds what porter did not write, or what was changed since: {', '.join(foreign)}.",
            why="the package would be written over it",
            next_step=f"take that out of there, or: {shlex.join(['mv', str(folder), f'{folder}.old'])}",
        )


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Fill a folder beside the wanted one and put it in its place.

    Raises:
        ConflictError: it holds what porter did not write, or what was changed since.
        PorterError: it cannot be written.
    """
    _refuse_foreign(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            for name, data in files.items():
                path = draft / _NEW / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            if folder.exists():
                # It was looked at before the probe ran: what came into it since is not porter's to remove.
                _refuse_foreign(folder)
                folder.rename(draft / _REPLACED)
            try:
                (draft / _NEW).rename(folder)
            except BaseException:
                if (draft / _REPLACED).exists():
                    (draft / _REPLACED).rename(folder)
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise PorterError(
            f"The package could not be written to {folder}.",
            why=str(error),
            next_step="choose another folder: --output DIR",
        ) from error
