"""Where the code of a port runs: environments, engines and the sandboxes made of them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from porter.errors import WorkspaceError
from porter.records.base import digest
from porter.records.images import Prepared
from porter.records.reference import Release, Repo
from porter.records.sandbox import Engine, EngineChoice, Environment, Mount, Profile, RunSpec
from porter.tao_clones import TaoClones
from porter.ui import Ui
from porter.workspace import Workspace

if TYPE_CHECKING:
    from porter.sandbox.base import Sandbox

Runtime = Repo | Literal["rehearsal"]
"""Whose environment a run gets: a repository's, or the rehearsal's whatever TensorRT there is."""

REHEARSAL = "tao-deploy-7.0.1"
"""The requirement set that runs tao-deploy without a GPU; its stand-ins serve every 7.x release."""

INSIDE = "/workspace"
"""Where a container shows the worktrees, beside their own paths."""


class Runtimes:
    """The environments of one port and the sandboxes that runs get.

    Args:
        workspace: the port's folder, locked by the caller.
        ui: where progress goes.
        tao: the port's clones.
        release: returns the release of tao-pytorch that phase 1 has recorded.
    """

    def __init__(self, workspace: Workspace, ui: Ui, tao: TaoClones, release: Callable[[], Release]) -> None:
        self._workspace = workspace
        self._ui = ui
        self._tao = tao
        self._release = release
        self._prepared: dict[Repo, Prepared] = {}
        self._sandboxes: dict[tuple[Runtime, Profile], Sandbox] = {}

    @functools.cached_property
    def engine(self) -> Engine | None:
        """The container engine that runs go to; None is the host sandbox.

        Raises:
            SandboxError: the engine that was named cannot be used.
        """
        from porter.sandbox import engines

        return engines.choose(self.wanted)

    @property
    def wanted(self) -> EngineChoice:
        """The engine that was asked for."""
        return self._workspace.load().engine

    @property
    def label(self) -> str:
        """What the labels of this workspace's containers say."""
        return digest(str(self._workspace.root.resolve()))[:16]

    def environment(self, release: Release | None = None) -> Environment:
        """Return what runs tao-pytorch: NVIDIA's image where one was given, else the managed environment.

        Builds the managed environment the first time.
        """
        release = release or self._release()
        given = self._given("tao-pytorch")
        if given is not None:
            return given
        if not release.environment:
            raise WorkspaceError(
                f"There is no environment for tao-pytorch {release.version or 'of an unknown release'}.",
                why="; ".join(release.evidence) or "its release is not known",
                next_step="check out a release that has a requirement set under containers/",
            )
        return self._managed(release.environment)

    @functools.cached_property
    def deploy(self) -> Environment:
        """What runs tao-deploy: TensorRT where this machine has it, else the rehearsal environment."""
        from porter.sandbox import tensorrt

        if self.engine is None:
            return tensorrt.find() or self.rehearsal
        return self._given("tao-deploy") or self.rehearsal

    @functools.cached_property
    def rehearsal(self) -> Environment:
        """The environment without a GPU: stand-ins, TensorRT-RTX's parser, pytest, linters."""
        return self._managed(REHEARSAL)

    @property
    def rehearses(self) -> bool:
        """Whether TensorRT is stood in for."""
        return self.deploy.name == REHEARSAL

    def of(self, runtime: Runtime) -> Environment:
        """Return the environment that runs the code of a repository, or the rehearsal's.

        In the ``core`` layout the worktree of tao-core comes before anything installed, and after the
        stand-ins: those of its modules that a rehearsal stands in for stay stood in for.
        """
        import msgspec

        if runtime == "rehearsal":
            found = self.rehearsal
        else:
            found = self.deploy if runtime == "tao-deploy" else self.environment()
        core = self._workspace.clone_path("tao-core")
        if not self._tao.has_core or not core.is_dir():
            return found
        return msgspec.structs.replace(
            found,
            read_only=(*found.read_only, str(core)),
            python_path=(*found.python_path, str(core)),
        )

    def sandbox(self, runtime: Runtime = "tao-pytorch", profile: Profile = "gate") -> Sandbox:
        """Return the sandbox that probes and gates of *runtime* run in.

        Args:
            runtime: whose environment it has.
            profile: ``inspect`` where untrusted model files are read, ``gate`` for the port's own code.
        """
        key = (runtime, profile)
        if key not in self._sandboxes:
            self._sandboxes[key] = self._make(runtime, profile)
        return self._sandboxes[key]

    def sweep(self) -> None:
        """Remove the containers that an ended porter left of this workspace. Only under its lock."""
        from porter.sandbox import container

        if self.engine is not None and (left := container.sweep(self.engine, self.label)):
            self._ui.info(f"removed {left} containers that an ended porter left behind")

    def shell(self, runtime: Runtime, spec: RunSpec) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return the command, and its environment, of a terminal in the sandbox of the gates."""
        return self._make(runtime, "gate", role="shell").interactive(spec)

    def close(self, profile: Profile | None = None) -> None:
        """End the containers of a profile, or all."""
        for key, sandbox in list(self._sandboxes.items()):
            if profile in (None, key[1]):
                sandbox.close()
                del self._sandboxes[key]

    def _make(self, runtime: Runtime, profile: Profile, role: str = "") -> Sandbox:
        engine, environment = self.engine, self.of(runtime)
        if engine is None:
            from porter.sandbox.host import HostSandbox

            host = HostSandbox(environment, self._workspace.runs, self._workspace.load().limits)
            if host.notice and not self._sandboxes:
                self._ui.warn(host.notice)
            return host
        from porter.sandbox.container import WORKSPACE_LABEL, ContainerSandbox, Place

        place = Place(
            engine=engine,
            profile=profile,
            name=container_name(profile, runtime, self._workspace.root, self.label),
            # A person's shell is nothing left over, whoever holds the lock.
            labels={f"porter.{role}" if role else WORKSPACE_LABEL: self.label, "porter.profile": profile},
            desk=self._workspace.state / "desk" / f"{profile}-{runtime}",
            shown=self._shown(runtime) if profile == "gate" else (),
            cwd=f"{INSIDE}/{runtime}" if profile == "gate" and runtime != "rehearsal" else "/",
        )
        return ContainerSandbox(environment, self._workspace.runs, place, self._workspace.load().limits)

    def _shown(self, runtime: Runtime) -> tuple[Mount, ...]:
        """Return what every gate's container sees, so that few gates need another container."""
        writable = (self._workspace.results, self._workspace.state / "work")
        for folder in writable:
            folder.mkdir(parents=True, exist_ok=True)
        repos = [repo for repo in (*self._tao.repos,) if self._workspace.clone_path(repo).is_dir()]
        mounts = [Mount(path=str(self._workspace.clone_path(repo))) for repo in repos]
        mounts += [Mount(path=str(self._workspace.clone_path(repo)), at=f"{INSIDE}/{repo}") for repo in repos]
        if runtime != "rehearsal" and runtime not in repos:
            raise RuntimeError(f"gates of {runtime} run before there is a worktree of it")
        return (*mounts, *(Mount(path=str(folder), writable=True) for folder in writable))

    def _given(self, repo: Repo) -> Environment | None:
        """Return NVIDIA's image for a repository, where one was named."""
        from porter import machine, tao_images

        reference = self._workspace.load().images.get(repo)
        if not reference or self.engine is None:
            return None
        if repo not in self._prepared:
            folder = self._workspace.state / "images"
            self._prepared[repo] = tao_images.prepare(self.engine, repo, reference, folder, self._ui.progress)
        return tao_images.environment(self._prepared[repo], gpu=machine.check_gpu().state == "passed")

    def _managed(self, name: str) -> Environment:
        from porter.sandbox import environments

        engine = self.engine
        if engine is not None:
            return self._in_image(engine, name)
        found = environments.find(name)
        if found is not None:
            return found
        with self._ui.working(f"building the environment {name} (once per machine)"):
            return environments.ensure(name, progress=self._ui.progress)

    def _in_image(self, engine: Engine, name: str) -> Environment:
        from porter.sandbox import images

        baked = images.find(engine, name)
        if baked is not None:
            return baked
        with self._ui.working(f"preparing {name} for {engine.name}"):
            return images.mounted(engine, name, progress=self._ui.progress)


def container_name(profile: Profile, runtime: Runtime, workspace: Path, label: str) -> str:
    """Return the name of a container: for whom it is, and of which workspace."""
    words = re.sub(r"[^a-zA-Z0-9_.-]+", "-", workspace.resolve().name).strip("-.") or "port"
    whose = "tao-hf-inspect" if profile == "inspect" else f"tao-port-{runtime}"
    return f"{whose}-{words[:40]}-{label[:8]}"
