from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from porter import cloning
from porter.clones import locate
from porter.errors import WorkspaceError
from tests.e2e.clones import kit_clone
from tests.e2e.conftest import Done, run_porter
from tests.git_server import GitServer
from tests.model_folders import write_model
from tests.repositories import git, repository, visible

FILES: dict[str, bytes | str] = {
    "setup.py": "setup()\n",
    "nvidia_tao_pytorch/core/hydra/hydra_runner.py": "",
    "noise.bin": os.urandom(20_000),
    "run.sh": "#!/bin/sh\n",
}
ENSURE = "import sys; from porter import cloning; print(cloning.ensure('tao-pytorch', print))"


@pytest.fixture
def original(tmp_path: Path) -> Path:
    clone = repository(tmp_path / "original", FILES)
    git(clone, "tag", "7.0.1")
    git(clone, "branch", "release/7.0.1")
    return clone


@pytest.fixture
def server(tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitServer]:
    server = GitServer(tmp_path / "served")
    server.add(original, "tao-pytorch")
    monkeypatch.setenv("PORTER_TAO_MIRROR", server.address)
    with server.running():
        yield server


def left() -> list[str]:
    """Return what lies in the cache beside locks."""
    repos = cloning.place("tao-pytorch").parent
    return sorted(path.name for path in repos.glob("*") if path.suffix != ".lock") if repos.exists() else []


def test_a_missing_clone_comes_whole_from_the_mirror(server: GitServer, original: Path) -> None:
    said: list[str] = []
    found = cloning.ensure("tao-pytorch", said.append)
    assert found == cloning.place("tao-pytorch")
    assert visible(found) == visible(original)
    assert git(found, "status", "--porcelain") == ""
    assert git(found, "rev-parse", "7.0.1") == git(original, "rev-parse", "main")
    assert git(found, "rev-parse", "origin/release/7.0.1") == git(original, "rev-parse", "main")
    assert "partialclonefilter" not in git(found, "config", "--list")
    assert said[0] == f"cloning {server.address}/tao-pytorch"
    assert said[-1] == f"tao-pytorch is in {found}"
    assert left() == ["tao-pytorch"]
    assert not stat.S_IMODE(found.stat().st_mode) & 0o077 ^ 0o055


def test_what_is_there_is_not_asked_for_again(server: GitServer) -> None:
    cloning.ensure("tao-pytorch")
    asked = len(server.requests)
    assert asked
    assert cloning.ensure("tao-pytorch") == locate("tao-pytorch", None)
    assert len(server.requests) == asked


def test_dataservices_has_another_name_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORTER_TAO_MIRROR")
    assert cloning.address("tao-dataservices") == "https://github.com/NVIDIA-TAO/tao-data-services"
    assert cloning.address("tao-core") == "https://github.com/NVIDIA-TAO/tao-core"
    assert cloning.place("tao-dataservices").name == "tao-dataservices"


@pytest.mark.parametrize(
    ("mode", "meaning"),
    [
        (404, "there is no such repository"),
        (401, "it asks for a login"),
        (403, "it asks for a login"),
        (500, "500"),
        ("cut", "the connection was cut"),
    ],
)
def test_a_mirror_that_fails_leaves_nothing_and_the_ways_out(
    server: GitServer, mode: str | int, meaning: str
) -> None:
    server.mode = mode
    with pytest.raises(WorkspaceError) as caught:
        cloning.ensure("tao-pytorch")
    _names_the_ways_out(caught.value, meaning)
    assert server.requests
    assert left() == []
    server.mode = "well"
    assert cloning.ensure("tao-pytorch").is_dir()


@pytest.mark.parametrize(
    ("mirror", "meaning"),
    [
        ("http://127.0.0.1:9/x", "nothing answers there"),
        ("http://no-such-host.invalid/x", "the name of that host is not known here"),
        ("/nowhere/at/all", "there is no such repository"),
    ],
)
def test_a_mirror_that_is_not_there(monkeypatch: pytest.MonkeyPatch, mirror: str, meaning: str) -> None:
    monkeypatch.setenv("PORTER_TAO_MIRROR", mirror)
    with pytest.raises(WorkspaceError) as caught:
        cloning.ensure("tao-pytorch")
    _names_the_ways_out(caught.value, meaning)
    assert left() == []


def test_a_server_without_tls_is_not_trusted(server: GitServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTER_TAO_MIRROR", server.address.replace("http:", "https:"))
    with pytest.raises(WorkspaceError) as caught:
        cloning.ensure("tao-pytorch")
    _names_the_ways_out(caught.value, "the connection is not trusted")


def test_a_mirror_that_falls_silent_is_given_up(server: GitServer) -> None:
    server.mode = "silent"
    with pytest.raises(WorkspaceError) as caught:
        cloning.ensure("tao-pytorch", patience=0.5)
    _names_the_ways_out(caught.value, "nothing came for 0.5 seconds")
    assert left() == []


def _names_the_ways_out(error: WorkspaceError, meaning: str) -> None:
    assert error.exit_code == 4
    assert meaning in error.why
    for way in ("--tao-pytorch PATH", "git clone ", "PORTER_TAO_MIRROR=", "--bundle", "--embedded"):
        assert way in error.next_step
    assert str(cloning.place("tao-pytorch")) in error.next_step


def test_nobody_is_asked_for_a_password(
    server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.mode = 401
    asked = tmp_path / "asked"
    helper = tmp_path / "ask.sh"
    helper.write_text(f"#!/bin/sh\ntouch {asked}\necho secret\n")
    helper.chmod(0o755)
    for name in ("GIT_ASKPASS", "SSH_ASKPASS"):
        monkeypatch.setenv(name, str(helper))
    with pytest.raises(WorkspaceError):
        cloning.ensure("tao-pytorch")
    assert not asked.exists()


def test_a_password_in_the_mirrors_address_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTER_TAO_MIRROR", "https://me:hunter2@127.0.0.1:9/x")
    with pytest.raises(WorkspaceError) as caught:
        cloning.ensure("tao-pytorch")
    assert "hunter2" not in str(caught.value)


def test_an_empty_repository_is_no_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mirror").mkdir()
    git(tmp_path, "init", "-q", "mirror/tao-pytorch")
    monkeypatch.setenv("PORTER_TAO_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(WorkspaceError, match="has no commit"):
        cloning.ensure("tao-pytorch")
    assert left() == []


def test_a_file_whose_content_the_mirror_has_lost_is_left_out(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = tmp_path / "mirror" / "tao-pytorch"
    git(original, "clone", "-q", "--bare", "--no-hardlinks", str(original), str(mirror))
    blob = git(mirror, "rev-parse", "main:noise.bin")
    (mirror / "objects" / blob[:2] / blob[2:]).unlink()
    monkeypatch.setenv("PORTER_TAO_MIRROR", str(mirror.parent))
    said: list[str] = []
    found = cloning.ensure("tao-pytorch", said.append)
    assert set(visible(found)) == set(FILES) - {"noise.bin"}
    assert git(found, "status", "--porcelain") == ""
    assert any("noise.bin" in line for line in said)


def test_submodules_and_hooks_of_a_template_stay_out(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = repository(tmp_path / "inner", {"a": "a"})
    git(original, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "tao-core")
    git(original, "commit", "-q", "-m", "submodule")
    template = tmp_path / "template" / "hooks"
    template.mkdir(parents=True)
    (template / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    (template / "post-checkout").chmod(0o755)
    Path.home().joinpath(".gitconfig").write_text(
        f"[init]\n templateDir = {template.parent}\n[submodule]\n recurse = true\n"
        '[protocol "file"]\n allow = always\n'
    )
    original.rename(tmp_path / "tao-pytorch")
    monkeypatch.setenv("PORTER_TAO_MIRROR", str(tmp_path))
    found = cloning.ensure("tao-pytorch")
    assert not any((found / "tao-core").iterdir())
    assert not (tmp_path / "ran").exists()
    assert not (found / ".git" / "hooks" / "post-checkout").exists()


def test_a_run_that_is_killed_leaves_no_clone_and_the_next_one_begins_again(server: GitServer) -> None:
    server.mode = "stuck"
    killed = subprocess.Popen([sys.executable, "-u", "-c", ENSURE], stdout=subprocess.DEVNULL)
    assert server.stuck.wait(60)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not cloning.place("tao-pytorch").exists()
    server.mode = "well"
    assert visible(cloning.ensure("tao-pytorch"))
    server.released.set()
    assert left() == ["tao-pytorch"]


def test_of_two_at_once_one_clones(server: GitServer) -> None:
    server.mode = "stuck"
    first = subprocess.Popen([sys.executable, "-u", "-c", ENSURE], stdout=subprocess.PIPE, text=True)
    assert server.stuck.wait(60)
    second = subprocess.Popen([sys.executable, "-u", "-c", ENSURE], stdout=subprocess.PIPE, text=True)
    assert second.stdout is not None
    waiting = second.stdout.readline()
    assert "waiting for another porter that is cloning tao-pytorch" in waiting
    server.mode = "well"
    server.released.set()
    first.communicate()
    out, _ = second.communicate()
    assert first.returncode == 1  # its own connection was cut: the second one took over
    assert second.returncode == 0
    assert str(cloning.place("tao-pytorch")) in out


def test_two_that_both_get_through_ask_once(server: GitServer) -> None:
    both = [
        subprocess.Popen([sys.executable, "-u", "-c", ENSURE], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        out, _ = process.communicate()
        assert process.returncode == 0
        assert str(cloning.place("tao-pytorch")) in out
    assert sum(path.endswith(".pack") for path in server.requests) == 1


def _port(tmp_path: Path, *arguments: str, **env: str) -> Done:
    model = write_model(tmp_path / "model")
    return run_porter(
        tmp_path / "cache", "port", model, "--name", "not a name", *arguments, env=env, cwd=tmp_path
    )


def test_a_port_without_clones_gets_them_and_goes_on_without_tao_deploy(
    server: GitServer, tmp_path: Path
) -> None:
    (server.root / "mirror" / "tao-pytorch").rename(server.root / "mirror" / "other")
    server.add(kit_clone(tmp_path / "kit"), "tao-pytorch")
    done = _port(tmp_path, "--yes")
    assert done.code == 2, done.err
    assert "The port cannot be called 'not a name'" in done.err  # the clone was read: its names are known
    assert "tao-deploy cannot be cloned" in done.err
    assert "there is no such repository" in done.err
    assert (tmp_path / "cache" / "repos" / "tao-pytorch" / "setup.py").is_file()


def test_a_port_asks_before_it_clones(server: GitServer, tmp_path: Path) -> None:
    done = _port(tmp_path)
    assert done.code == 2
    assert f"Clone tao-pytorch and tao-deploy from {server.address} into" in done.err
    assert server.requests == []


def test_a_port_that_can_get_no_clone_says_what_to_do(tmp_path: Path) -> None:
    done = _port(tmp_path, "--yes", PORTER_TAO_MIRROR="http://127.0.0.1:9")
    assert done.code == 4
    for way in ("--tao-pytorch PATH", "git clone ", "PORTER_TAO_MIRROR=", "--bundle", "--embedded"):
        assert way in done.err
    assert not (tmp_path / "porter-model" / "tao-pytorch").exists()


def test_offline_means_offline(tmp_path: Path) -> None:
    done = _port(tmp_path, "--yes", PORTER_TAO_MIRROR="", HF_HUB_OFFLINE="1")
    assert done.code == 4
    assert "HF_HUB_OFFLINE is set" in done.err
