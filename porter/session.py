"""A port in progress: what its phases share."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from porter import resources
from porter.errors import PorterError, SandboxError
from porter.journal import Journal
from porter.records.base import Record, digest
from porter.records.gates import GateResult
from porter.records.inspection import DatasetFacts, FromPickles, Inspection, Source, WithHead
from porter.records.options import PortOptions
from porter.records.reference import Layout, Reference, ReferenceChoice, Repo
from porter.records.sandbox import Limits, Mount, Profile, RunResult, RunSpec
from porter.runtimes import Runtime, Runtimes
from porter.tao_clones import TaoClones
from porter.ui import Ui
from porter.workspace import Workspace

if TYPE_CHECKING:
    from porter.families import Family

T = TypeVar("T")


class PortSession:
    """Workspace, records and sandbox of one port. Use it under the workspace's lock.

    Args:
        workspace: the port's folder.
        ui: where it speaks and asks.
        dry_run: compute everything, write nothing into the clones.
        against: the port that a dry run is compared with, where there is one.
    """

    def __init__(
        self, workspace: Workspace, ui: Ui, *, dry_run: bool = False, against: Workspace | None = None
    ) -> None:
        self.workspace = workspace
        self.ui = ui
        self.dry_run = dry_run
        self.against = against
        self.journal = Journal(workspace, say=ui.info)
        self.tao = TaoClones(workspace, ui, self._read_layout)
        self.runtimes = Runtimes(workspace, ui, self.tao, lambda: self.references[0].release)
        self._last_run: Path | None = None
        self._profile: Profile = "gate"

    @property
    def options(self) -> PortOptions:
        """The options as they stand now; answers are written back into them."""
        return self.workspace.load()

    def settle(self, **answers: Any) -> None:
        """Keep answers in ``porter.toml``, so that nothing is asked twice."""
        import msgspec

        self.workspace.save(msgspec.structs.replace(self.options, **answers))

    def inputs(self, number: int) -> Mapping[str, Any]:
        """Return what a phase depends on beside the steps of earlier phases."""
        from porter import dataset

        options = self.options
        if number == 1:
            names = (
                "source",
                "name",
                "task",
                "revision",
                "clones",
                "embedded",
                "branch",
                "base",
                "bases",
                "data",
            )
            return {name: getattr(options, name) for name in names} | {
                "files": _listing(options.source),
                "images": dataset.listing(options.data),
                "classes": options.settings.get(dataset.CLASS_COUNT, ""),
                "repos": self.tao.repos,
            }
        if number == 2:
            return {"dataservices": self.tao.dataservices_commit, "strategy": options.strategy}
        if number == 3:
            return {
                "settings": options.settings,
                "templates": templates_digest(),
                "year": options.year,
                "worktree": self.code(),
            }
        if number > 3:
            implemented = self.journal.phase(3)
            return {
                "settings": options.settings,
                "templates": templates_digest(),
                "worktrees": {repo: self.code(repo) for repo in self.tao.repos},
                # A dry run has neither trained nor converted anything.
                "proven": {
                    step: implemented.made.get(step, "") if implemented else ""
                    for step in ("conversion", "preprocessing", "scripts")
                },
            }
        return {}

    def changed(self, number: int, needs: Sequence[str]) -> str:
        """Say why a phase's record is not of what is there now; empty where it is, or there is none."""
        try:
            return self.journal.outdated(number, self.inputs(number), needs)
        except PorterError as error:
            return f"{error.what}: {error.why}" if self.journal.phase(number) else ""

    def with_command(self, gate: GateResult) -> GateResult:
        """Return the gate with what repeats the sandboxed run that it rests on, where one just ran."""
        import msgspec

        run, self._last_run = self._last_run, None
        if run is None or gate.command:
            return gate
        command = f"sh {shlex.quote(str(run / 'command.sh'))}"
        return msgspec.structs.replace(gate, command=command, log=str(run / "log.txt"))

    @property
    def worktree(self) -> Path:
        """The port's own worktree of tao-pytorch."""
        return self.workspace.clone_path("tao-pytorch")

    @property
    def deploy_worktree(self) -> Path:
        """The port's own worktree of tao-deploy."""
        return self.workspace.clone_path("tao-deploy")

    @property
    def source(self) -> Source:
        """The model's source, pinned by phase 1."""
        return self.journal.made("source", Source)

    @property
    def inspection(self) -> Inspection:
        """Phase 1's result; has what came of pickles that were read, and the head of a bare network."""
        from porter.inspection import HEAD_STEP, PICKLES_STEP, completed

        found = self.journal.made("inspection", Inspection)
        read = None if found.tensors else self._made(PICKLES_STEP, FromPickles)
        return completed(found, read, self._made(HEAD_STEP, WithHead) if found.bare else None)

    @property
    def new_tensors(self) -> tuple[str, ...]:
        """Tensors of the source that a bare network did not have: its head."""
        from porter.inspection import HEAD_STEP

        made = self._made(HEAD_STEP, WithHead) if self.inspection.bare else None
        return made.new if made else ()

    @property
    def family(self) -> Family:
        """What the model's task decides."""
        from porter.families import FAMILIES

        return FAMILIES[self.inspection.task.task]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that the converted head has rows for: the model's, or the number that was asked for."""
        from porter import dataset

        labels = self.inspection.labels
        if dataset.asked_classes(self.options.settings, labels) is None:
            return self.family.class_names(labels)
        return self.journal.made("dataset", DatasetFacts).classes

    def _made(self, name: str, kind: type[T]) -> T | None:
        try:
            return self.journal.made(name, kind)
        except LookupError:
            return None

    def _read_layout(self) -> Layout | None:
        try:
            return self.references[0].release.layout
        except LookupError:
            return None

    @property
    def references(self) -> tuple[Reference, ...]:
        """The networks for the model's task, as phase 1 read them from the base commit."""
        return self.journal.made("references", tuple[Reference, ...])

    @property
    def reference(self) -> Reference:
        """The network that phase 2 chose."""
        return self.choice.reference

    @property
    def choice(self) -> ReferenceChoice:
        """Phase 2's result."""
        return self.journal.made("choice", ReferenceChoice)

    @contextlib.contextmanager
    def inspecting(self) -> Iterator[None]:
        """Run everything as what opens files that nobody vouches for, in containers that end with it."""
        self._profile = "inspect"
        try:
            yield
        finally:
            self._profile = "gate"
            self.runtimes.close("inspect")

    def probe(
        self,
        name: str,
        request: Record,
        answer: type[T],
        *,
        read: Sequence[Path | str] = (),
        write: Sequence[Path | str] = (),
        packages: Sequence[Path | str] = (),
        limits: Limits | None = None,
        error: type[PorterError] = SandboxError,
        runtime: Runtime = "tao-pytorch",
    ) -> T:
        """Run a probe in the sandbox and return its checked answer.

        Args:
            name: module under ``porter/probes``.
            request: what it is asked.
            answer: the schema of what it says.
            read: paths that it may see.
            write: paths that it may change.
            packages: folders that go on PYTHONPATH; readable.
            limits: bounds other than the usual ones.
            error: family of the failures that the probe expects.
            runtime: whose environment it runs in.
        """
        from porter.sandbox.base import run_probe

        mounts = [Mount(path=str(path)) for path in (*read, *packages)]
        mounts += [Mount(path=str(path), writable=True) for path in write]
        with self.ui.working(f"running {name.replace('_', ' ')} in the sandbox"), self._noting_run():
            return run_probe(
                self.runtimes.sandbox(runtime, self._profile),
                name,
                request,
                answer,
                mounts=tuple(mounts),
                python_path=tuple(Path(path) for path in packages),
                limits=limits or Limits(),
                error=error,
            )

    def command(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        read: Sequence[Path | str] = (),
        write: Sequence[Path | str],
        packages: Sequence[Path | str] = (),
        runtime: Runtime = "tao-pytorch",
        variables: Mapping[str, str] | None = None,
    ) -> RunResult:
        """Run the environment's Python with *arguments* in the sandbox, in the first folder of *write*."""
        mounts = [Mount(path=str(path)) for path in (*read, *packages)]
        mounts += [Mount(path=str(path), writable=True) for path in write]
        spec = RunSpec(
            name=name,
            argv=(self.runtimes.of(runtime).python, *arguments),
            cwd=str(write[0]),
            mounts=tuple(mounts),
            variables={**(variables or {}), "PYTHONPATH": ":".join(str(path) for path in packages)},
        )
        with self.ui.working(f"running {name} in the sandbox"), self._noting_run():
            return self.runtimes.sandbox(runtime, self._profile).run(spec)

    @contextlib.contextmanager
    def _noting_run(self) -> Iterator[None]:
        before = set(self.workspace.runs.glob("*"))
        try:
            yield
        finally:
            new = sorted(set(self.workspace.runs.glob("*")) - before)
            self._last_run = new[-1] if new else None

    def prove(
        self,
        name: str,
        inputs: Mapping[str, Any],
        kind: type[T],
        run: Callable[[], T],
        outputs: Callable[[T], Sequence[Path]] = lambda _result: (),
        *,
        repos: Sequence[Repo] = ("tao-pytorch",),
    ) -> T:
        """Run a step of the journal that also rests on the code of *repos* and on their environments."""
        code: dict[str, Any] = {"model": self.source}
        for repo in repos:
            suffix = "" if repo == "tao-pytorch" else f" of {repo}"
            code |= {f"environment{suffix}": self.runtimes.of(repo).digest, f"code{suffix}": self.code(repo)}
        return self.journal.step(name, {**inputs, **code}, kind, run, outputs)

    def code(self, repo: Repo = "tao-pytorch") -> str:
        """Return a digest of a worktree as it stands: its commit and every change to it.

        In the ``core`` layout the schema in tao-core is a part of the code of every repository.
        """
        own = _code(self.workspace.clone_path(repo))
        if not own or repo == "tao-core" or not self.tao.has_core:
            return own
        return hashlib.sha256(f"{own} {_code(self.workspace.clone_path('tao-core'))}".encode()).hexdigest()

    @staticmethod
    def fingerprint(path: Path) -> str:
        """Return the SHA-256 of a file; empty where there is none."""
        try:
            with path.open("rb") as file:
                checksum = hashlib.sha256()
                while block := file.read(1 << 20):
                    checksum.update(block)
        except OSError:
            return ""
        return checksum.hexdigest()


def _code(worktree: Path) -> str:
    from porter import git

    if not (worktree / ".git").exists():
        return ""
    head = git.output(worktree, "rev-parse", "HEAD")
    return hashlib.sha256(head + git.output(worktree, "diff", "--binary", "HEAD")).hexdigest()


@functools.cache
def templates_digest() -> str:
    """Return the digest of everything that generated text depends on."""
    root = resources.tree("templates")
    checksum = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file():
            checksum.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return checksum.hexdigest()


def _listing(source: str) -> str:
    """Return a cheap fingerprint of a model folder: names, sizes, times; empty for a hub id."""
    folder = Path(source).expanduser()
    if not folder.is_dir():
        return ""
    stats = [(path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
    return digest([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])
