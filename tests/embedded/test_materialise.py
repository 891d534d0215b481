"""The embedded repositories: the same commit everywhere, whole or absent, nothing of the user's in them."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from porter.embedded.materialise import (
    Package,
    kit_digest,
    materialise,
    materialise_package,
    materialise_tao_pytorch,
    own_clone,
)
from porter.errors import WorkspaceError
from porter.reference.names import console_scripts
from porter.reference.release import read_release
from tests.conftest import PIP_SETTINGS
from tests.embedded.conftest import KIT
from tests.repositories import git, write

MAKE = """
import sys
from pathlib import Path
from porter.embedded.materialise import materialise_tao_pytorch
print(materialise_tao_pytorch(Path(sys.argv[1]), progress=print), flush=True)
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def start(cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKE, str(cache)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def package(folder: Path, members: dict[str, str]) -> Package:
    """Put a wheel into *folder* and return its pin."""
    folder.mkdir(parents=True)
    wheel = folder / "porter_test_package-1.0-py3-none-any.whl"
    info = "porter_test_package-1.0.dist-info"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: porter-test-package\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/RECORD", "")
        for name, content in members.items():
            archive.writestr(name, content)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return Package(repo="tao-core", name="porter-test-package", version="1.0", sha256=digest)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose pip reaches no index but the folder that is returned."""
    folder = tmp_path / "wheels"
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_the_repository_holds_the_kit_and_nothing_else(cache: Path) -> None:
    clone = materialise_tao_pytorch(cache)
    assert git(clone, "status", "--porcelain") == ""
    assert git(clone, "rev-parse", "--abbrev-ref", "HEAD") == "main"
    listed = git(clone, "ls-files").splitlines()
    kept = {str(path.relative_to(KIT)) for path in KIT.rglob("*") if path.is_file()}
    assert set(listed) == {name for name in kept if "__pycache__" not in name}
    assert {"setup.py", ".gitignore", "docker/requirements-pip.txt"} <= set(listed)
    for name in listed:
        assert (clone / name).read_bytes() == (KIT / name).read_bytes()


def test_the_commit_depends_on_the_content_alone(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = git(materialise_tao_pytorch(cache), "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody Else")
    monkeypatch.setenv("GIT_AUTHOR_DATE", "2031-01-01T00:00:00Z")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    write(Path.home(), {".gitconfig": "[core]\n\tautocrlf = true\n[init]\n\tdefaultBranch = trunk\n"})
    umask = os.umask(0o077)
    try:
        second = materialise_tao_pytorch(cache.parent / "other")
    finally:
        os.umask(umask)
    assert git(second, "rev-parse", "HEAD") == first
    assert git(second, "log", "--format=%an <%ae> %ad", "--date=iso") == (
        "porter <porter@localhost> 2026-01-01 00:00:00 +0000"
    )


def test_making_it_again_changes_nothing_and_says_nothing(cache: Path) -> None:
    clone = materialise_tao_pytorch(cache)
    before = (clone / ".git" / "index").stat()
    said: list[str] = []
    assert materialise_tao_pytorch(cache, progress=said.append) == clone
    assert said == []
    assert (clone / ".git" / "index").stat() == before


def test_worktrees_and_branches_of_ports_do_not_count_as_changes(cache: Path, tmp_path: Path) -> None:
    clone = materialise_tao_pytorch(cache)
    git(clone, "worktree", "add", "-q", "-b", "feature/add-x", str(tmp_path / "port"), "main")
    (tmp_path / "port" / "setup.py").write_text("changed")
    assert materialise_tao_pytorch(cache) == clone


def test_a_repository_that_somebody_changed_is_refused_and_left_alone(cache: Path) -> None:
    clone = materialise_tao_pytorch(cache)
    (clone / "mine.txt").write_text("work")
    git(clone, "add", "mine.txt")
    git(clone, "commit", "-qm", "mine")
    with pytest.raises(WorkspaceError, match="changed by hand") as caught:
        materialise_tao_pytorch(cache)
    assert str(clone) in caught.value.next_step
    assert (clone / "mine.txt").read_text() == "work"


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(WorkspaceError) as caught:
        materialise_tao_pytorch(tmp_path / "cache")
    assert str(tmp_path / "cache") in caught.value.next_step


def test_a_killed_run_leaves_nothing_that_the_next_one_trips_over(cache: Path) -> None:
    expected = git(materialise_tao_pytorch(cache.parent / "reference"), "rev-parse", "HEAD")
    folder = cache / "embedded"
    name = f"tao-pytorch-{kit_digest()[:12]}"
    draw = random.Random(7)
    unfinished = 0
    for _ in range(8):
        process = start(cache)
        deadline = time.monotonic() + 60
        while not list(folder.glob(f".{name}.*")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        unfinished += not (folder / name).exists()
        if (folder / name).exists():
            assert git(folder / name, "status", "--porcelain") == ""
            shutil.rmtree(folder / name)
    assert unfinished
    clone = materialise_tao_pytorch(cache)
    assert git(clone, "rev-parse", "HEAD") == expected
    assert sorted(path.name for path in folder.iterdir()) == [name, f"{name}.lock"]


def test_of_several_runs_at_once_one_makes_it_and_all_return_it(cache: Path) -> None:
    processes = [start(cache) for _ in range(3)]
    said = [process.communicate()[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len({lines[-1] for lines in said}) == 1
    assert sum(any(line.startswith("making") for line in lines) for lines in said) == 1


def test_the_pinned_packages_of_the_index_are_the_releases_that_belong_to_the_kit(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if PIP_SETTINGS.exists():
        monkeypatch.setenv("PIP_CONFIG_FILE", str(PIP_SETTINGS))
    made = materialise(cache)
    assert {repo: read_release(repo, clone).version for repo, clone in made.items()} == {
        "tao-core": "7.0.1",
        "tao-deploy": "7.0.1",
        "tao-pytorch": "7.0.1",
    }
    assert (made["tao-core"] / "nvidia_tao_core" / "config").is_dir()
    assert (made["tao-deploy"] / "nvidia_tao_deploy" / "config" / "classification_pyt").is_dir()
    for setup in ("setup.py", "setup_l4t.py"):
        scripts = console_scripts((made["tao-deploy"] / setup).read_text())
        target = "nvidia_tao_deploy.cv.classification_pyt.entrypoint.classification_pyt:main"
        assert scripts["classification_pyt"] == target
        assert len(scripts) > 30


def test_a_package_becomes_a_repository_tagged_with_its_version(cache: Path, offline: Path) -> None:
    pin = package(offline, {"nvidia_x/__init__.py": "x = 1\n", "nvidia_x/data.yaml": "a: 1\r\n"})
    clone = materialise_package(pin, cache)
    assert git(clone, "describe", "--tags", "--exact-match") == "1.0"
    assert git(clone, "status", "--porcelain") == ""
    assert (clone / "nvidia_x" / "data.yaml").read_bytes() == b"a: 1\r\n"
    shutil.rmtree(offline)
    assert materialise_package(pin, cache) == clone


def test_two_workspaces_do_not_meet_in_the_cache(cache: Path, offline: Path, tmp_path: Path) -> None:
    pin = package(offline, {"nvidia_x/__init__.py": "x = 1\n"})
    whole = materialise_package(pin, cache)
    first, second = (own_clone(whole, tmp_path / name) for name in ("first", "second"))
    git(first, "branch", "feature/add-x")
    assert git(second, "branch", "--list", "feature/*") == git(whole, "branch", "--list", "feature/*") == ""
    assert git(first, "describe", "--tags", "--exact-match", "main") == "1.0"
    shutil.rmtree(whole)
    assert git(second, "show", "main:nvidia_x/__init__.py") == "x = 1"
    assert own_clone(whole, tmp_path / "second") == second


def test_without_an_index_the_error_says_what_still_works(cache: Path, offline: Path) -> None:
    pin = package(offline, {"nvidia_x/__init__.py": ""})
    shutil.rmtree(offline)
    with pytest.raises(WorkspaceError, match=r"porter-test-package 1\.0 could not be fetched") as caught:
        materialise_package(pin, cache)
    assert "porter-test-package==1.0" in caught.value.why
    assert "--until 3" in caught.value.next_step
    assert [path.name for path in (cache / "embedded").iterdir() if path.is_dir()] == []
    assert materialise_tao_pytorch(cache).is_dir()


def test_another_wheel_under_the_same_version_is_refused(cache: Path, offline: Path) -> None:
    pin = package(offline, {"nvidia_x/__init__.py": "x = 1\n"})
    shutil.rmtree(offline)
    package(offline, {"nvidia_x/__init__.py": "import os\n"})
    with pytest.raises(WorkspaceError) as caught:
        materialise_package(pin, cache)
    assert "DO NOT MATCH THE HASHES" in caught.value.why
    assert [path.name for path in (cache / "embedded").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("name", ["../outside.py", "/tmp/porter-outside.py", ".git/hooks/post-checkout"])
def test_a_wheel_that_reaches_out_of_its_folder_is_refused(cache: Path, offline: Path, name: str) -> None:
    pin = package(offline, {name: "import os\n"})
    with pytest.raises(WorkspaceError, match="leads elsewhere"):
        materialise_package(pin, cache)
    assert not list(cache.rglob("outside.py"))
    assert not list((cache / "embedded").glob("tao-core-*/"))
