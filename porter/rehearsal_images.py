"""What `porter images build` makes: images of the requirement sets, for machines without NVIDIA's.

The wheels are fetched first, with the package index that this machine's pip is configured for; the build
itself has no network, no pip configuration and no secret.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from porter import cache, tao_images
from porter.bundle import wheels
from porter.errors import SandboxError
from porter.records.sandbox import Engine, Environment
from porter.resources import tree
from porter.sandbox import base_image, engines, environments, images, requirements
from porter.sandbox.environments import Place

Progress = Callable[[str], None]

_ASK_SECONDS = 300
_MINOR = "import sys; print('%d.%d' % sys.version_info[:2])"
_INSTALLED = """
import importlib.metadata, json
print(json.dumps({d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}))
"""


def set_names() -> tuple[str, ...]:
    """Return every requirement set that ships with porter."""
    return tuple(sorted(path.parent.name for path in tree("containers").glob(f"*/{requirements.SETTINGS}")))


def build(
    engine: Engine,
    set_name: str,
    base: str = "",
    progress: Progress = lambda _line: None,
    *,
    sets: Path | None = None,
) -> Environment:
    """Return the environment of a requirement set in an image, built where there is none yet.

    Args:
        engine: docker or podman.
        set_name: folder under ``containers/``.
        base: image with the Python that the set is built with here; pulled where it is not there. Empty makes
            one of this machine's own Python.
        progress: told each line of the build.
        sets: folder of the sets; None means the ones that ship with porter.

    Raises:
        HubError: the base cannot be pulled.
        SandboxError: the base has another Python, a wheel cannot be had, or the build failed.
    """
    found = images.find(engine, set_name, sets=sets)
    if found is not None:
        return found
    place = environments.locate(set_name, sets=sets)
    root = cache.root() / "images"
    root.mkdir(parents=True, exist_ok=True)
    with cache.locked(root / f"{set_name}-{place.key}", "building the image of", progress):
        found = images.find(engine, set_name, sets=sets)
        if found is None:
            image = _base(engine, place, base, root, progress)
            fetched = wheels.fetch(set_name, root, progress, sets=sets)
            _build(engine, place, image, root / fetched.folder, progress)
            found = images.find(engine, set_name, sets=sets)
    if found is None:
        raise SandboxError(f"the image {images.tag(place)} vanished after it was built")
    return found


def install_script(place: Place) -> str:
    """Return what installs a set inside: the same steps as those of the environment on the host."""
    inside = msgspec.structs.replace(place.requirements, folder=str(images.INSIDE / "set"))
    pip = [str(images.PYTHON), "-m", "pip"]
    steps = [["python3", "-I", "-m", "venv", str(images.INSIDE / "env")]]
    steps += [
        [
            *pip,
            *environments.pip_arguments(inside, file),
            "--no-cache-dir",
            "--no-index",
            "--find-links=/wheels",
        ]
        for file in inside.files
    ]
    return "".join(f"{line}\n" for line in ("set -eu", *map(shlex.join, steps)))


def _base(engine: Engine, place: Place, base: str, logs: Path, progress: Progress) -> str:
    """Return the id of the base image, whose Python is of the minor version that the wheels are for."""
    if not base:
        progress("making a base image of this machine's Python")
        return base_image.with_python(engine, place.interpreter)
    identity, _ = tao_images.pull(engine, base, logs / "pull-base.txt", progress)
    argv = ["run", "--rm", "--pull=never", "--network=none", "--entrypoint=python3", identity, "-c", _MINOR]
    done = engines.call(engine, argv, seconds=_ASK_SECONDS)
    minor = done.stdout.decode(errors="replace").strip()
    if done.returncode or minor != place.interpreter.minor:
        raise SandboxError(
            f"The image {base} cannot be the base of {place.requirements.name}.",
            why=f"its python3 is {minor}" if done.returncode == 0 else engines.said(done),
            next_step=f"name one with Python {place.interpreter.minor}, which the wheels are fetched for, or "
            "leave out --base",
        )
    return identity


def _build(engine: Engine, place: Place, base: str, wheelhouse: Path, progress: Progress) -> None:
    wanted, name = place.requirements, images.tag(place)
    log = wheelhouse.with_name(f"{wheelhouse.name}-{engine.name}.txt")
    with tempfile.TemporaryDirectory(prefix=".context.", dir=wheelhouse.parent) as folder:
        context = Path(folder)
        # Links cost nothing, and the wheels take gigabytes.
        shutil.copytree(wheelhouse, context / "wheels", copy_function=os.link)
        shutil.copytree(
            wanted.folder, context / "set", ignore=shutil.ignore_patterns("__pycache__"), symlinks=True
        )
        (context / "set" / "install.sh").write_text(install_script(place), encoding="utf-8")
        # What umask and checkout left there is nobody's who runs as another user.
        for path in context.rglob("*"):
            if path.is_dir() or context / "set" in path.parents:
                path.chmod(0o755 if path.is_dir() else 0o644)
        options = [f"--build-arg=BASE={base}", f"--file={tree('containers') / 'rehearsal' / 'Containerfile'}"]
        if engine.name == "podman":
            options.append("--layers=false")
        progress(f"building {name}")
        try:
            images.build(engine, name, options, context, log, progress)
        finally:
            # The stage that held the wheels is nobody's any more.
            engines.call(
                engine,
                ["image", "prune", "--force", "--filter", "label=porter.stage=installed"],
                seconds=_ASK_SECONDS,
            )
    _check(engine, place)


def _check(engine: Engine, place: Place) -> None:
    """Ask the image what it holds; one that lacks a pin is removed."""
    from packaging.utils import canonicalize_name

    name = images.tag(place)
    argv = ["run", "--rm", "--pull=never", "--network=none", f"--entrypoint={images.PYTHON}", name]
    done = engines.call(engine, [*argv, "-I", "-c", _INSTALLED], seconds=_ASK_SECONDS)
    why = engines.said(done)
    if done.returncode == 0:
        there = {canonicalize_name(key): value for key, value in json.loads(done.stdout).items()}
        pins = requirements.pins(place.requirements, place.interpreter.minor)
        missing = [
            f"{key} {value}" for key, value in pins.items() if there.get(canonicalize_name(key)) != value
        ]
        if not missing:
            return
        why = f"it lacks {', '.join(missing[:5])}"
    engines.call(engine, ["rmi", name])
    raise SandboxError(f"The image {name} does not hold its set.", why=why, next_step="repeat the command")
