"""Makes git repositories of the embedded kit and of the released packages that belong to it.

Commit ids depend on the content alone: author, date and message are fixed. A repository appears
under its name only when it is whole, and is never changed afterwards.
"""

from __future__ import annotations

import configparser
import functools
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from porter import git
from porter.cache import locked
from porter.errors import PorterError, WorkspaceError
from porter.records.base import Record, digest
from porter.records.reference import Release, Repo
from porter.reference.release import core_wheel
from porter.sandbox.installer import Failure, Installer

Progress = Callable[[str], None]

_KIT = Path(__file__).resolve().parent / "kit" / "tao-pytorch"
_WRITTEN_BY_PYTHON = ("__pycache__", "*.pyc", "*.egg-info")
_SIGNATURE = "porter <porter@localhost> 1767225600 +0000"
_MARKER = "porter-commit"


class Package(Record, frozen=True, kw_only=True):
    """A wheel of the package index, pinned.

    Attributes:
        sha256: digest of the wheel, 64 hex digits; pip refuses any other file.
        setup_files: setup files of the source repository, which a wheel has no more; porter writes its
            own, with the console commands that the wheel declares.
    """

    repo: Repo
    name: str
    version: str
    sha256: str
    setup_files: tuple[str, ...] = ()


PACKAGES = (
    Package(
        repo="tao-core",
        name="nvidia-tao-core",
        version="7.0.1",
        sha256="55310e01e2f9e20ff2a8f4cdd05f0a1da10848633bb94cd083e654f53197617f",
    ),
    Package(
        repo="tao-deploy",
        name="nvidia-tao-deploy",
        version="7.0.1",
        sha256="e4298e6835dec1d4b14d2bfb331656ace8b3a8d9b9ee4c057084ac7bf94c2efa",
        setup_files=("setup.py", "setup_l4t.py"),
    ),
)


def core_package(release: Release) -> Package | None:
    """Return the wheel with the schemas of a release of the ``core`` layout; None where porter knows none."""
    wheel = core_wheel(release)
    if wheel is None:
        return None
    return Package(
        repo="tao-core",
        name="nvidia-tao-core",
        version=wheel.version,
        sha256=wheel.sha256,
        setup_files=("setup.py",),
    )


def _silent(line: str) -> None:
    """Show nothing."""


def materialise(cache: Path, *, progress: Progress = _silent) -> dict[Repo, Path]:
    """Return the repositories of the kit and of the packages beside it, making what is missing.

    Raises:
        WorkspaceError: as :func:`materialise_tao_pytorch` and :func:`materialise_package` do.
    """
    made: dict[Repo, Path] = {"tao-pytorch": materialise_tao_pytorch(cache, progress=progress)}
    for package in PACKAGES:
        made[package.repo] = materialise_package(package, cache, progress=progress)
    return made


def materialise_tao_pytorch(cache: Path, *, progress: Progress = _silent) -> Path:
    """Return the repository of the kit, one per content of the kit; needs no network.

    Raises:
        WorkspaceError: git failed, the cache cannot be written, or somebody changed the repository.
    """

    def fill(folder: Path) -> None:
        for name, content in kit_files():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    name = f"tao-pytorch-{kit_digest()[:12]}"
    message = "porter's embedded kit for image classification"
    return _repository(cache, name, fill, message, "", progress)


def materialise_package(package: Package, cache: Path, *, progress: Progress = _silent) -> Path:
    """Return the repository with a wheel's content, tagged with its version.

    Raises:
        WorkspaceError: pip could not get that very wheel, or as for the kit.
    """
    # What porter adds to the wheel is part of the content, and so of the name.
    added = f"-{digest([package.setup_files, _SETUP])[:8]}" if package.setup_files else ""
    name = f"{package.repo}-{package.version}-{package.sha256[:12]}{added}"

    def fill(folder: Path) -> None:
        # The prefix makes it part of what the next run sweeps, should this one be killed.
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder.parent) as downloads:
            wheel = fetch_wheel(package, Path(downloads), cache, progress)
            _unpack(wheel, folder)
        for setup in package.setup_files:
            (folder / setup).write_text(_setup_file(package, folder), encoding="utf-8")

    message = f"{package.name} {package.version}, as the package index has it"
    return _repository(cache, name, fill, message, package.version, progress)


def own_clone(repository: Path, folder: Path) -> Path:
    """Return a clone of a repository of the cache that one workspace has for itself.

    Its branches are the workspace's own, so that two ports of one name do not meet in the cache.
    """
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    git.run(
        folder.parent, "clone", "--quiet", "--no-checkout", "--branch", "main", str(repository), str(building)
    )
    building.rename(folder)
    return folder


@functools.cache
def kit_digest() -> str:
    """Return the SHA-256 (64 hex digits) of the names and contents of the kit's files."""
    total = hashlib.sha256()
    for name, content in kit_files():
        total.update(f"{name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def kit_files() -> Iterator[tuple[str, bytes]]:
    """Yield path and content of every file of the kit."""
    for path in sorted(_KIT.rglob("*")):
        parts = path.relative_to(_KIT).parts
        written = any(PurePosixPath(part).match(rule) for part in parts for rule in _WRITTEN_BY_PYTHON)
        if path.is_file() and not written:
            yield "/".join(parts), path.read_bytes()


def _repository(
    cache: Path, name: str, fill: Callable[[Path], None], message: str, tag: str, progress: Progress
) -> Path:
    folder = cache / "embedded" / name
    if _whole(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder, "making", progress):
            if not _whole(folder):
                progress(f"making the repository {name}")
                _make(folder, fill, message, tag)
    except OSError as error:
        raise WorkspaceError(
            f"The embedded repository {name} could not be made.",
            why=str(error),
            next_step=f"make {cache} writable, with 50 MB free, and repeat the command",
        ) from error
    return folder


def _make(folder: Path, fill: Callable[[Path], None], message: str, tag: str) -> None:
    # Under the lock, a folder of this pattern can only be what a killed porter left behind.
    for left in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        building.chmod(0o755)
        fill(building)
        _commit(building, message, tag)
        building.rename(folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _commit(folder: Path, message: str, tag: str) -> None:
    """Commit everything in *folder*; the object is written as it is, so no identity gets into it."""
    git.run(folder, "init", "--quiet", "--template=", "--initial-branch=main", "--object-format=sha1", ".")
    git.run(folder, "-c", "core.fileMode=false", "add", "--all", "--force", ".")
    tree = git.line(folder, "write-tree")
    text = f"tree {tree}\nauthor {_SIGNATURE}\ncommitter {_SIGNATURE}\n\n{message}\n"
    made = git.output(folder, "hash-object", "-t", "commit", "-w", "--stdin", data=text.encode())
    commit = made.decode().strip()
    git.run(folder, "update-ref", "refs/heads/main", commit)
    if tag:
        git.run(folder, "update-ref", f"refs/tags/{tag}", commit)
    (folder / ".git" / _MARKER).write_text(commit)


def _whole(folder: Path) -> bool:
    """Return whether the repository is there.

    Raises:
        WorkspaceError: it is there, but its main branch is not what porter committed.
    """
    if not folder.exists():
        return False
    marker = folder / ".git" / _MARKER
    expected = marker.read_text() if marker.is_file() else ""
    if expected and git.ask(folder, "rev-parse", "--verify", "--quiet", "refs/heads/main") == expected:
        return True
    raise WorkspaceError(
        f"The embedded repository {folder} was changed by hand.",
        why=f"its branch main is not at commit {expected[:12]}" if expected else f"{marker} is missing",
        next_step=f"keep what you need of it, remove it (rm -r {folder}), and repeat the command",
    )


def fetch_wheel(package: Package, folder: Path, cache: Path, progress: Progress) -> Path:
    """Return that very wheel in *folder*, fetched from the package index where it is not there.

    Raises:
        WorkspaceError: pip could not get it.
    """
    name = package.name.replace("-", "_")
    folder.mkdir(parents=True, exist_ok=True)
    for wheel in folder.glob(f"{name}-{package.version}-*.whl"):
        if hashlib.sha256(wheel.read_bytes()).hexdigest() == package.sha256:
            return wheel
        wheel.unlink()
    with tempfile.TemporaryDirectory(prefix=".pip.", dir=folder) as scratch:
        wheel = _download(package, Path(scratch), cache, progress)
        return Path(shutil.move(wheel, folder / wheel.name))


def _download(package: Package, folder: Path, cache: Path, progress: Progress) -> Path:
    pinned = folder / "requirement.txt"
    pinned.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    (cache / "embedded").mkdir(parents=True, exist_ok=True)
    log = cache / "embedded" / f"{package.repo}-{package.version}.log"
    installer = Installer(log, progress)
    title = f"downloading {package.name} {package.version}"
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--ignore-requires-python"]
    try:
        pip = _pip(folder, installer)
        installer.run(title, [*pip, "download", *options, "--dest", str(folder), "-r", str(pinned)])
    except Failure as failure:
        raise _undownloaded(package, failure, log) from failure
    return next(folder.glob("*.whl"))


def _undownloaded(package: Package, failure: Failure, log: Path) -> PorterError:
    return WorkspaceError(
        f"{package.name} {package.version} could not be fetched from the package index: "
        f"{failure.step} failed",
        why=failure.tail,
        next_step="check the network and pip's configuration (pip config list) and repeat the command; "
        f"phases 1 to 3 need tao-pytorch alone (--until 3). The whole output is in {log}",
    )


_SETUP = """\
\"\"\"Setup script of a repository that porter made of the wheel {name} {version}.\"\"\"

import setuptools

setuptools.setup(
    name="{name}",
    version="{version}",
    packages=setuptools.find_packages(include=["{package}", "{package}.*"]),
    package_data={{"": ["*.pyc", "*.yaml", "*.so", "*.pdf"]}},
    include_package_data=True,
    zip_safe=False,
    entry_points={{
        "console_scripts": [
{scripts}
        ]
    }},
)
"""


def _setup_file(package: Package, folder: Path) -> str:
    """Return a setup file for the unpacked wheel."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(folder.glob("*.dist-info/entry_points.txt"), encoding="utf-8")
    scripts = parser.items("console_scripts") if parser.has_section("console_scripts") else ()
    lines = (f'            "{name}={target}",' for name, target in scripts)
    return _SETUP.format(
        name=package.name,
        version=package.version,
        package=package.name.replace("-", "_"),
        scripts="\n".join(lines),
    )


def _pip(folder: Path, installer: Installer) -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    place = folder / "pip"
    installer.run("making a place for pip", [sys.executable, "-I", "-m", "venv", str(place)])
    return [str(place / "bin" / "python"), "-m", "pip"]


def _unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = PurePosixPath(member.filename)
            if path.is_absolute() or ".." in path.parts or ".git" in path.parts:
                raise WorkspaceError(
                    f"The wheel {wheel.name} holds a path that leads elsewhere: {member.filename}",
                    next_step="do not use this package index",
                )
        archive.extractall(folder)
