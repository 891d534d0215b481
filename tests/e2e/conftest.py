"""The command line as a person runs it, on small models and small clones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from porter.demo import PROCESSOR, make_model
from porter.embedded.materialise import PACKAGES, materialise_package
from porter.records.reference import Repo
from porter.records.sandbox import Environment
from tests.conftest import PIP_SETTINGS, REAL_CACHE
from tests.e2e.clones import CONFIG, add_mini_backbone, kit_clone, private_clone

LABELS = ("zebra", "ant", 'a "quoted" \\ label', "bee")
"""Not in alphabetical order, and with a label that code and paths must survive."""

SMALL_PROCESSOR = PROCESSOR | {"size": {"height": 32, "width": 32}}

UNEVEN_PROCESSOR = SMALL_PROCESSOR | {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
"""No value of it stands for another one, so that a mix-up of two shows."""

Port = Callable[..., "Done"]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)

    def gates(self) -> dict[str, dict[str, Any]]:
        """Gate results by name, from ``--json``."""
        return {gate["gate"]: gate for gate in self.json["gates"]}


@pytest.fixture(scope="session")
def e2e_cache(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of its own that shares only the managed environments."""
    cache = tmp_path_factory.mktemp("cache") / "porter"
    cache.mkdir()
    (cache / "envs").symlink_to(REAL_CACHE / "envs")
    return cache


@pytest.fixture(scope="session")
def mini_kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded kit with one more, small backbone."""
    return add_mini_backbone(kit_clone(tmp_path_factory.mktemp("mini")))


@pytest.fixture(scope="session")
def deploy_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the released tao-deploy, as the package index has it."""
    return released("tao-deploy", tmp_path_factory.mktemp("deploy") / "clone")


@pytest.fixture(scope="session")
def core_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the released tao-core, likewise."""
    return released("tao-core", tmp_path_factory.mktemp("core") / "clone")


def released(repo: Repo, folder: Path) -> Path:
    """Return a clone of a release, as the package index has it, in *folder*."""
    package = next(package for package in PACKAGES if package.repo == repo)
    with pytest.MonkeyPatch.context() as patch:
        if PIP_SETTINGS.exists():
            patch.setenv("PIP_CONFIG_FILE", str(PIP_SETTINGS))
        whole = materialise_package(package, REAL_CACHE)
    return private_clone(whole, folder)


@pytest.fixture(scope="session")
def mini_model(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ViT with perturbed random weights, four labels and a 32-pixel processor."""
    folder = tmp_path_factory.mktemp("model") / "org-mini-vit"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTER_CACHE", str(REAL_CACHE))
        return make_model(folder, config=CONFIG, processor=SMALL_PROCESSOR, labels=LABELS)


@pytest.fixture
def porter(e2e_cache: Path) -> Port:
    """Runs ``porter`` with arguments and returns how it ended."""
    return lambda *arguments, **more: run_porter(e2e_cache, *arguments, **more)


def run_porter(
    cache: Path, *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Done:
    """Run the command line in a process of its own, without a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "porter", *map(str, arguments)],
        env={**os.environ, "PORTER_CACHE": str(cache), **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def ported(
    e2e_cache: Path,
    mini_kit: Path,
    deploy_clone: Path,
    core_clone: Path,
    mini_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Done]:
    """The workspace of a finished port on the kit, and how the command ended."""
    workspace = tmp_path_factory.mktemp("ported") / "port"
    others = ("--tao-deploy", str(deploy_clone), "--tao-core", str(core_clone))
    return workspace, port_mini(e2e_cache, mini_model, mini_kit, workspace, *others)


@pytest.fixture(scope="session")
def deployed(
    e2e_cache: Path,
    mini_kit: Path,
    deploy_clone: Path,
    deploy_environment: Environment,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Done]:
    """The workspace of a port up to phase 4, for tests that break its deploy package and mend it again."""
    model = tmp_path_factory.mktemp("uneven") / "org-mini-vit"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTER_CACHE", str(REAL_CACHE))
        make_model(model, config=CONFIG, processor=UNEVEN_PROCESSOR, labels=LABELS)
    workspace = tmp_path_factory.mktemp("deployed") / "port"
    more = ("--tao-deploy", str(deploy_clone), "--branch", "feature/deployed", "--until", "4")
    return workspace, port_mini(e2e_cache, model, mini_kit, workspace, *more)


def port_mini(cache: Path, model: Path, clone: Path, workspace: Path, *more: str) -> Done:
    """Port the small ViT into *clone*."""
    arguments = ("port", model, "--name", "mini_vit", "--tao-pytorch", clone, "--workspace", workspace)
    return run_porter(cache, *arguments, "--yes", "--json", *more)
