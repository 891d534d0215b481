"""The clones' code is what runs, and the tao-core beside it is the release's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from porter.gates.environments import clean_gate, clean_problems, core_of, core_problems
from porter.records.sandbox import Environment
from porter.records.validate import CleanFacts, Installed
from porter.runtimes import Runtimes
from tests.gates.packaging.port import Packaged

WORKTREE = "/port/tao-pytorch"
SITE = "/env/lib/python3.11/site-packages"
ENVIRONMENT = Environment(
    name="e",
    prefix="/env",
    python="/env/bin/python",
    digest="",
    python_path=("/stand-ins",),
    versions={"nvidia-tao-core": "7.0.1"},
)
CORE = Installed(name="nvidia-tao-core", version="7.0.1", place=SITE)
CLEAN = CleanFacts(
    places={
        "nvidia_tao_pytorch": f"{WORKTREE}/nvidia_tao_pytorch",
        "nvidia_tao_deploy": "",
        "nvidia_tao_core": f"{SITE}/nvidia_tao_core",
    },
    copies={
        "nvidia_tao_pytorch": (f"{WORKTREE}/nvidia_tao_pytorch",),
        "nvidia_tao_deploy": (),
        "nvidia_tao_core": (f"{SITE}/nvidia_tao_core",),
    },
    distributions=(CORE,),
    prefix="/env",
    prefix_on_path="/env",
    telemetry="yes",
)


def problems(**changes: object) -> list[str]:
    facts = msgspec.structs.replace(CLEAN, **changes)
    found = [*clean_problems("tao-pytorch", WORKTREE, facts)]
    return [*found, *core_problems(core_of(facts, ENVIRONMENT), ENVIRONMENT)]


def test_a_clean_environment() -> None:
    assert problems() == []


def test_a_distribution_that_lies_in_the_worktree_is_the_clones() -> None:
    own = Installed(name="nvidia-tao-pytorch", version="7.0.1", place=WORKTREE)
    assert problems(distributions=(own, CORE)) == []


def test_an_installed_copy_behind_the_clones_own() -> None:
    own = Installed(name="nvidia-tao-pytorch", version="7.0.1", place=WORKTREE)
    (said,) = problems(distributions=(own, msgspec.structs.replace(own, place=SITE), CORE))
    assert said == f"nvidia-tao-pytorch 7.0.1 is installed in {SITE}"


def test_a_package_earlier_on_the_path() -> None:
    place, own = "/early/nvidia_tao_pytorch", CLEAN.places["nvidia_tao_pytorch"]
    (said,) = problems(
        places={**CLEAN.places, "nvidia_tao_pytorch": place},
        copies={**CLEAN.copies, "nvidia_tao_pytorch": (place, own)},
    )
    assert said == f"nvidia_tao_pytorch would come from {place}, not from {WORKTREE}"


@pytest.mark.parametrize("package", ["nvidia_tao_pytorch", "nvidia_tao_deploy"])
def test_a_package_later_on_the_path(package: str) -> None:
    copies = (*CLEAN.copies[package], f"{SITE}/{package}")
    (said,) = problems(copies={**CLEAN.copies, package: copies})
    assert f"{SITE}/{package}" in said


def test_a_clone_that_is_not_on_the_path() -> None:
    (said,) = problems(
        places={**CLEAN.places, "nvidia_tao_pytorch": ""}, copies={**CLEAN.copies, "nvidia_tao_pytorch": ()}
    )
    assert "nowhere" in said


@pytest.mark.parametrize("python", ["/usr", ""])
def test_a_launcher_that_starts_another_python(python: str) -> None:
    (said,) = problems(prefix_on_path=python)
    assert said == f"TAO's launcher would start the python of {python or 'nowhere'}"


@pytest.mark.parametrize("value", ["", "no"])
def test_telemetry_that_is_on(value: str) -> None:
    (said,) = problems(telemetry=value)
    assert "telemetry" in said


def test_a_core_of_another_release() -> None:
    (said,) = problems(distributions=(msgspec.structs.replace(CORE, version="7.3.0"),))
    assert said == "nvidia_tao_core is 7.3.0, the release's is 7.0.1"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("", "not there"),
        ("/stand-ins/nvidia_tao_core", "stood in for"),
        ("/early/nvidia_tao_core", "of no known version, from /early/nvidia_tao_core"),
    ],
)
def test_a_core_that_is_not_the_installed_one(place: str, said: str) -> None:
    places = {**CLEAN.places, "nvidia_tao_core": place}
    assert core_of(msgspec.structs.replace(CLEAN, places=places), ENVIRONMENT) == said
    assert problems(places=places) == [f"nvidia_tao_core is {said}, the release's is 7.0.1"]


def test_a_release_without_a_pin_of_core() -> None:
    unknown = msgspec.structs.replace(ENVIRONMENT, versions={})
    assert [*core_problems("7.0.1", unknown)] == ["nvidia_tao_core is 7.0.1, the release's is not known"]


@pytest.mark.torch_env
@pytest.mark.deploy_env
def test_porters_own_environments_are_clean(kit_port: Packaged) -> None:
    gate = clean_gate(kit_port.session)
    assert gate.state == "passed", gate.summary
    trained, deployed = gate.evidence["tao-pytorch"], gate.evidence["tao-deploy"]
    worktree = kit_port.session.worktree
    assert trained["imported from"]["nvidia_tao_pytorch"] == str(worktree / "nvidia_tao_pytorch")
    assert trained["nvidia_tao_core"] == "7.0.1"
    assert deployed["nvidia_tao_core"] == "stood in for"
    # The wheel's own record lies in the worktree, and is no second copy.
    assert deployed["installed"] == {str(kit_port.session.deploy_worktree): "nvidia-tao-deploy 7.0.1"}


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment of its own with the core of the release, as far as the probe looks."""
    prefix = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    site = next(prefix.glob("lib/*/site-packages"))
    install(site, "nvidia_tao_core", "7.0.1")
    return Environment(
        name="own",
        prefix=str(prefix),
        python=str(prefix / "bin" / "python"),
        digest="",
        read_only=(sys.base_prefix, str(tmp_path / "extra")),
        versions={"nvidia-tao-core": "7.0.1"},
    )


def install(folder: Path, package: str, version: str, *, recorded: bool = True) -> None:
    (folder / package).mkdir(parents=True)
    (folder / package / "__init__.py").write_text("")
    if recorded:
        record = folder / f"{package}-{version}.dist-info"
        record.mkdir()
        name = package.replace("_", "-")
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.mark.torch_env
@pytest.mark.parametrize(
    ("package", "recorded", "path", "said"),
    [
        ("", False, False, ""),
        ("nvidia_tao_pytorch", True, False, "nvidia-tao-pytorch 6.0.0 is installed in"),
        ("nvidia_tao_pytorch", False, False, "beside another nvidia_tao_pytorch"),
        ("nvidia_tao_deploy", True, False, "nvidia-tao-deploy 6.0.0 is installed in"),
        ("nvidia_tao_pytorch", False, True, "would come from"),
        ("nvidia_tao_core", False, True, "of no known version"),
    ],
    ids=["clean", "installed", "copied", "other", "shadowing", "shadowing-core"],
)
def test_what_lies_in_an_environment(
    lone_port: Packaged,
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    recorded: bool,
    path: bool,
    said: str,
) -> None:
    site = next(Path(environment.prefix).glob("lib/*/site-packages"))
    folder = Path(environment.prefix).parent / "extra"
    folder.mkdir()
    if package:
        install(folder if path else site, package, "6.0.0", recorded=recorded)
    if path:
        # Python runs what a .pth file says when it starts: this one puts a folder before all others.
        (site / "early.pth").write_text(f"import sys; sys.path.insert(0, {str(folder)!r})\n")
    monkeypatch.setattr(Runtimes, "of", lambda _runtimes, _runtime: environment)
    monkeypatch.setattr(lone_port.session.runtimes, "_sandboxes", {})
    lone_port.forget()
    gate = clean_gate(lone_port.session)
    assert gate.state == ("failed" if said else "passed"), gate.summary
    assert said in gate.summary
