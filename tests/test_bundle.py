"""Offline bundles: made against the local Hub, used where there is no network at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from porter.bundle import manifest
from porter.errors import WorkspaceError
from porter.records.base import to_json
from porter.records.bundle import Bundle, BundledFile, BundledModel
from tests.hub_server import FIRST_COMMIT, SECOND_COMMIT, Fault, HubServer
from tests.model_folders import VIT_CONFIG, WEIGHTS
from tests.repositories import git

MINOR = "{}.{}".format(*sys.version_info)
ROOT = Path(__file__).resolve().parents[1]
HUB_FILES = {
    "config.json": json.dumps(VIT_CONFIG).encode(),
    "README.md": b"---\nlicense: mit\n---\n",
    "model.safetensors": WEIGHTS,
}

FETCH = """
import json, sys
from pathlib import Path
from porter import bundle
from porter.errors import PorterError
ref, clones, base, names, out, sets = json.load(sys.stdin)
wanted = bundle.Wanted(ref=ref, clones=clones, base=base, sets=names, packages=())
try:
    bundle.fetch(wanted, Path(out), print, sets=Path(sets))
except PorterError as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(error.exit_code)
"""

USE = """
import json, subprocess, sys
from pathlib import Path
from porter import bundle, cloning, hub
from porter.errors import PorterError
from porter.sandbox import environments
folder, sets = json.load(sys.stdin)
try:
    used = bundle.use(Path(folder), sets=Path(sets))
    source = hub.resolve(used.model.ref, revision=used.model.sha)
    assert hub.download(source) == source
    found = {
        "complete": hub.is_complete(source),
        "tensors": [tensor.name for tensor in hub.tensor_table(source)],
        "licence": hub.contents(source).files[0].path,
        "clones": bundle.clone_places(used),
        "why": cloning.why_not(),
    }
    built = environments.ensure("small", sets=Path(sets))
    code = "import tiny, made; print(tiny.VERSION, made.VERSION)"
    found["environment"] = subprocess.check_output([built.python, "-c", code], text=True).strip()
except PorterError as error:
    print(json.dumps({"error": error.what, "why": error.why, "next": error.next_step}))
    sys.exit(error.exit_code)
print(json.dumps(found))
"""

BACKEND = """
import zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "made-1.0-py3-none-any.whl"
    with zipfile.ZipFile(folder + "/" + name, "w") as file:
        file.writestr("made.py", "VERSION = 'built'\\n")
        file.writestr("made-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: made\\nVersion: 1.0\\n")
        file.writestr("made-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        file.writestr("made-1.0.dist-info/RECORD", "")
    return name
"""


def no_network() -> list[str]:
    """Return what a command is started with so that it has no network; empty where nobody may do that."""
    for argv in (["unshare", "-n"], ["unshare", "-rn"]):
        if shutil.which(argv[0]) and subprocess.run([*argv, "true"], capture_output=True).returncode == 0:
            return argv
    return []


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as running:
        running.add("org/model", HUB_FILES)
        yield running


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a wheel and a source package, in place of the package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny-1.0-py3-none-any.whl", "w") as file:
        file.writestr("tiny.py", "VERSION = 'wheel'\n")
        file.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        file.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr("tiny-1.0.dist-info/RECORD", "")
    source = tmp_path / "made-1.0"
    source.mkdir()
    (source / "backend.py").write_text(BACKEND)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "made"\nversion = "1.0"\n'
    )
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: made\nVersion: 1.0\n")
    with tarfile.open(folder / "made-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, "made-1.0")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    return folder


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    small = tmp_path / "sets" / "small"
    small.mkdir(parents=True)
    (small / "set.toml").write_text(
        f'title = "A small set"\npythons = ["{MINOR}"]\ngigabytes = 0.05\nminutes = 1\n'
    )
    (small / "requirements.txt").write_text("tiny==1.0\nmade==1.0\n")
    return small.parent


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with a release branch, tags, a feature branch, and a file whose content it lacks."""
    folder = tmp_path / "clone"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "setup.py").write_text("first\n")
    (folder / "large.bin").write_text("large\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    git(folder, "tag", "-a", "7.0.1", "-m", "release")
    git(folder, "branch", "release/7.0.1")
    (folder / "setup.py").write_text("second\n")
    git(folder, "commit", "--quiet", "-am", "second")
    git(folder, "branch", "feature/secret")
    name = git(folder, "rev-parse", "HEAD:large.bin")
    lost = folder / ".git" / "objects" / name[:2] / name[2:]
    lost.chmod(0o644)
    lost.unlink()
    return folder


def fetch(
    server: HubServer,
    out: Path,
    sets: Path,
    *,
    clones: dict[str, str] | None = None,
    names: tuple[str, ...] = ("small",),
    base: str = "main",
    ref: str = "org/model",
    code: int = 0,
    **variables: str,
) -> str:
    done = subprocess.run(
        [sys.executable, "-c", FETCH],
        input=json.dumps([ref, clones or {}, base, names, str(out), str(sets)]),
        env={**os.environ, "HF_ENDPOINT": server.endpoint, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, done.stdout[-3000:] + done.stderr
    return done.stdout


def use(folder: Path, sets: Path, home: Path, *, code: int = 0) -> dict[str, Any]:
    """Use the bundle on another machine: a cache of its own, no network, an index and a Hub that are dead."""
    done = subprocess.run(
        [*no_network(), sys.executable, "-c", USE],
        input=json.dumps([str(folder), str(sets)]),
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "HF_"))},
            "HOME": str(home),
            "PORTER_CACHE": str(home / "porter"),
            "HF_HOME": str(home / "hf"),
            "HF_ENDPOINT": "http://127.0.0.1:9",
            "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
            "PORTER_TAO_MIRROR": "http://127.0.0.1:9",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_bundle_is_all_that_a_machine_without_network_needs(
    server: HubServer, index: Path, sets: Path, clone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a bundle"
    fetch(server, out, sets, clones={"tao-pytorch": str(clone)})
    server.requests.clear()
    shutil.rmtree(index)
    moved = tmp_path / "carried over"
    out.rename(moved)
    main = git(clone, "rev-parse", "main")
    shutil.rmtree(clone)

    found = use(moved, sets, tmp_path / "other")
    assert found["complete"] is True
    assert found["tensors"] == ["classifier.bias", "classifier.weight"]
    assert found["environment"] == "wheel built"
    assert found["why"] == "HF_HUB_OFFLINE is set"
    made = Path(found["clones"]["tao-pytorch"])
    assert git(made, "rev-parse", "HEAD", "main", "porter-base").split() == [main] * 3
    assert git(made, "cat-file", "-t", "7.0.1") == "tag"
    assert git(made, "show", "release/7.0.1:setup.py") == "first"
    assert git(made, "status", "--porcelain") == ""
    assert (made / "setup.py").read_text() == "second\n"
    assert "feature/secret" not in git(made, "branch", "--all")
    assert server.requests == []
    again = use(moved, sets, tmp_path / "other")
    assert again == found


def test_the_manifest_lists_every_file(
    server: HubServer, index: Path, sets: Path, clone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    fetch(server, out, sets, clones={"tao-pytorch": str(clone)})
    read = manifest.read(out)
    assert (read.model.ref, read.model.sha) == ("org/model", FIRST_COMMIT)
    listed = {file.path for file in read.files}
    there = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert there - listed == {manifest.NAME}
    assert listed >= {
        "model/contents.json",
        "model/tensors.json",
        "model/model/config.json",
        "model/model/model.safetensors",
        "repos/tao-pytorch.bundle",
    }
    wheels = {Path(path).name for path in listed if path.startswith("wheels/")}
    assert wheels == {"tiny-1.0-py3-none-any.whl", "made-1.0-py3-none-any.whl"}
    assert manifest.broken(out, read) == ()


def test_fetching_again_changes_nothing_and_mends_what_is_damaged(
    server: HubServer, index: Path, sets: Path, clone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    clones = {"tao-pytorch": str(clone)}
    fetch(server, out, sets, clones=clones)
    before = state(out)
    (index / "made-1.0.tar.gz").rename(index / "away")
    said = fetch(server, out, sets, clones=clones)
    assert "virtual environment" not in said
    assert state(out) == before
    (index / "away").rename(index / "made-1.0.tar.gz")
    first = manifest.read(out)
    for path in ("repos/tao-pytorch.bundle", f"{first.wheels[0].folder}/tiny-1.0-py3-none-any.whl"):
        data = bytearray((out / path).read_bytes())
        data[len(data) // 2] ^= 1
        (out / path).write_bytes(data)
    fetch(server, out, sets, clones=clones)
    assert manifest.read(out) == first
    assert manifest.broken(out, first) == ()


def test_a_fetch_that_was_cut_off_keeps_what_it_has(
    server: HubServer, index: Path, sets: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    (index / "made-1.0.tar.gz").rename(index / "away")
    text = fetch(server, out, sets, code=6)
    assert "what was fetched is kept" in text
    assert not (out / manifest.NAME).exists()
    assert "is not a whole bundle" in use(out, sets, tmp_path / "other", code=4)["error"]
    (index / "away").rename(index / "made-1.0.tar.gz")
    server.faults.append(Fault(path="model.safetensors", status=500))
    fetch(server, out, sets)
    assert manifest.read(out).model.sha == FIRST_COMMIT


def test_another_model_or_a_folder_with_other_things_is_no_place_for_a_bundle(
    server: HubServer, index: Path, sets: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    fetch(server, out, sets, names=())
    server.repos["org/model"].files[SECOND_COMMIT] = HUB_FILES
    server.repos["org/model"].refs["main"] = SECOND_COMMIT
    assert "bundle of another model" in fetch(server, out, sets, names=(), code=2)
    assert manifest.read(out).model.sha == FIRST_COMMIT
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("")
    assert "something else" in fetch(server, tmp_path / "photos", sets, names=(), code=2)


def test_a_place_that_cannot_be_written_is_named(
    server: HubServer, index: Path, sets: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    text = fetch(server, tmp_path / "file" / "bundle", sets, names=(), code=4)
    assert "could not be written" in text
    assert "--output" in text


DAMAGE = {
    "model": "model/model/model.safetensors",
    "clone": "repos/tao-pytorch.bundle",
    "wheel": "tiny-1.0-py3-none-any.whl",
}


def test_a_damaged_file_is_named_and_refused(
    server: HubServer, index: Path, sets: Path, clone: Path, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "bundle"
    fetch(server, whole, sets, clones={"tao-pytorch": str(clone)})
    for name in DAMAGE.values():
        for how in ("altered", "cut", "missing"):
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(whole, out)
            (path,) = [out / file.path for file in manifest.read(out).files if file.path.endswith(name)]
            data = path.read_bytes()
            path.unlink()
            if how != "missing":
                path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if how == "altered" else data[:-1])
            found = use(out, sets, tmp_path / f"other {how} {path.name}", code=4)
            assert name in found["error"]
            assert found["why"]
            assert "porter fetch" in found["next"]


def test_wheels_of_another_python_are_refused_before_anything_is_built(
    server: HubServer, index: Path, sets: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    fetch(server, out, sets)
    made = manifest.read(out)
    wheels = msgspec.structs.replace(made.wheels[0], python="3.9", key="000000000000")
    changed = msgspec.structs.replace(made, wheels=(wheels,))
    (out / manifest.NAME).write_bytes(to_json(changed))
    found = use(out, sets, tmp_path / "other", code=6)
    assert "do not fit this machine" in found["error"]
    assert "Python 3.9" in found["why"]


def test_manifest_that_leads_elsewhere_or_is_of_another_form(tmp_path: Path) -> None:
    model = BundledModel(ref="a/b", sha=FIRST_COMMIT, folder="model")
    outside = BundledFile(path="../x", size=0, sha256="")
    made = Bundle(porter="1", model=model, repos=(), wheels=(), embedded="", files=(outside,))
    for text, words in (
        (to_json(made), "outside"),
        (to_json(made).replace(b'"../x"', b'"/etc/passwd"'), "outside"),
        (b"{", "not a whole bundle"),
    ):
        (tmp_path / manifest.NAME).write_bytes(text)
        with pytest.raises(WorkspaceError, match=words):
            manifest.read(tmp_path)
