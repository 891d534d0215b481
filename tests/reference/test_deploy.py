"""What a port relies on in tao-deploy is read from its commit, and what is missing is named."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from porter.errors import WorkspaceError
from porter.records.reference import DeployReference, Release
from porter.reference.deploy import read_deploy
from porter.reference.release import read_release
from tests.deploy_trees import OPTIONAL, deploy_files
from tests.real_clones import real_clone
from tests.repositories import git, repository

BUILDER = "nvidia_tao_deploy/engine/builder.py"
LOADER = "nvidia_tao_deploy/cv/classification_tf1/dataloader.py"


def read(root: Path, files: dict[str, str]) -> DeployReference:
    clone = repository(root / "clone", files)
    release = Release(
        repo="tao-deploy", layout="in-repo", version="7.0.1", commit=git(clone, "rev-parse", "HEAD")
    )
    return read_deploy(clone, release, "classification_pyt")


def test_symbols_hooks_setup_files_and_header_are_read(tmp_path: Path) -> None:
    found = read(tmp_path, deploy_files())
    assert (
        found.symbols["loader"] == "nvidia_tao_deploy.cv.classification_tf1.dataloader.ClassificationLoader"
    )
    assert {"EngineBuilder.set_calibrator", OPTIONAL} <= set(found.hooks)
    assert set(found.setup_files) == {"setup.py", "setup_l4t.py"}
    assert "dino" in found.networks
    assert found.header[0] == "# SPDX-FileCopyrightText: Copyright (c) {year} SOMEBODY. All rights reserved."
    assert found.docs_page == "docs/supported_commands.md"
    assert any(item.name == "ExperimentConfig" for item in found.config)


def test_what_a_port_can_do_without_may_be_absent(tmp_path: Path) -> None:
    files = deploy_files(optional=False, docs=False)
    del files["setup_l4t.py"]
    found = read(tmp_path, files)
    assert OPTIONAL not in found.hooks
    assert (found.docs_tool, found.docs_page) == ("", "")
    assert set(found.setup_files) == {"setup.py"}


@pytest.mark.parametrize(
    ("path", "change", "words"),
    [
        (BUILDER, lambda text: text.replace("set_calibrator", "other"), "EngineBuilder.set_calibrator"),
        (BUILDER, lambda text: text.replace("calib_cache=None", "cache=None"), "parameter calib_cache"),
        (LOADER, lambda text: text.replace("ClassificationLoader", "Loader"), "ClassificationLoader"),
        (LOADER, lambda _text: None, LOADER),
    ],
)
def test_what_is_missing_is_named_with_file_and_release(
    tmp_path: Path, path: str, change: Callable[[str], str | None], words: str
) -> None:
    files = deploy_files()
    changed = change(files.pop(path))
    with pytest.raises(WorkspaceError, match=r"tao-deploy 7\.0\.1") as caught:
        read(tmp_path, {**files, path: changed} if changed else files)
    assert words in caught.value.what
    assert path in caught.value.what


@pytest.mark.real_tao
@pytest.mark.parametrize(("revision", "optional"), [("7.0.1", False), ("f353ae7", True)])
def test_the_released_tao_deploy_has_all_of_it(revision: str, optional: bool) -> None:
    clone = real_clone("tao-deploy")
    known = subprocess.run(
        ["git", "-C", clone, "cat-file", "-e", f"{revision}^{{commit}}"], capture_output=True, check=False
    )
    if known.returncode:
        pytest.skip(f"the clone has no {revision}")
    found = read_deploy(clone, read_release("tao-deploy", clone, revision=revision), "classification_pyt")
    assert (OPTIONAL in found.hooks) is optional
    assert set(found.setup_files) == {"setup.py", "setup_l4t.py"}
    assert found.docs_page
