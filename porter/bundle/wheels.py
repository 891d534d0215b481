"""The wheels of the managed environments: all of them, the ones of source packages built beforehand."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from porter import cache
from porter.errors import SandboxError
from porter.records.bundle import BundledWheels
from porter.sandbox import environments, requirements
from porter.sandbox.installer import Failure, Installer

Progress = Callable[[str], None]

_AT_ONCE = 12
"""pip keeps nothing of a call that was cut off, so each call asks for a few packages only."""

_BUILDERS = ("setuptools", "wheel")


def fetch(
    set_name: str,
    output: Path,
    progress: Progress,
    known: Sequence[BundledWheels] = (),
    *,
    sets: Path | None = None,
) -> BundledWheels:
    """Put the wheels of a requirement set into the bundle, but for those that are there.

    Args:
        set_name: folder under ``containers/``.
        output: folder of the bundle.
        progress: told what is being fetched.
        known: what an earlier run fetched and checked, intact.
        sets: folder of the sets; None means the ones that ship with porter.

    Raises:
        SandboxError: no Python fits, a pin cannot be had, or the wheels do not make the environment.
    """
    place = environments.locate(set_name, sets=sets)
    wanted, interpreter = place.requirements, place.interpreter
    made = BundledWheels(
        set=set_name,
        key=place.key,
        python=interpreter.minor,
        machine=interpreter.machine,
        folder=f"wheels/{set_name}-{place.key}",
    )
    if made in known:
        return made
    folder = output / made.folder
    folder.mkdir(parents=True, exist_ok=True)
    log = cache.root() / "bundles" / f"{set_name}-{place.key}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    installer = Installer(log, progress)
    pins = requirements.pins(wanted, interpreter.minor)
    try:
        with tempfile.TemporaryDirectory(prefix=".wheels.", dir=output) as scratch:
            python = Path(scratch, "venv", "bin", "python")
            title = f"making the virtual environment that fetches {set_name}"
            installer.run(title, [interpreter.executable, "-I", "-m", "venv", str(python.parents[1])])
            _fill(pins, folder, Path(scratch), [str(python), "-m", "pip"], installer, set_name)
            # What the offline build will be asked for, against nothing but the folder.
            for file in wanted.files:
                installer.run(
                    f"checking the wheels of {set_name}",
                    [
                        *(str(python), "-m", "pip"),
                        *environments.pip_arguments(wanted, file),
                        *("--dry-run", "--ignore-installed", "--quiet", "--no-index"),
                        *("--find-links", folder.absolute().as_uri()),
                    ],
                )
    except Failure as failure:
        raise SandboxError(
            f"the wheels of {set_name} could not be fetched: {failure.step} failed",
            why=failure.tail,
            next_step=f"check the package index and pip's configuration (pip config list), and repeat the "
            f"command; what was fetched is kept. The whole output is in {log}",
        ) from failure
    return made


def missing(pins: Mapping[str, str], folder: Path) -> tuple[str, ...]:
    """Return the names of *pins* that have no wheel in *folder*."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename
    from packaging.version import Version

    there = set()
    for path in folder.glob("*.whl"):
        try:
            name, version, _, _ = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        there.add((name, version))
    return tuple(name for name, version in pins.items() if (name, Version(version)) not in there)


def _fill(
    pins: Mapping[str, str],
    folder: Path,
    scratch: Path,
    pip: Sequence[str],
    installer: Installer,
    title: str,
) -> None:
    open_pins = missing(pins, folder)
    builders = tuple(name for name in _BUILDERS if name in pins)
    own = len(builders) == len(_BUILDERS)
    _get([name for name in open_pins if name in builders], pins, folder, scratch, pip, installer, title, ())
    if own and open_pins:
        # As in the build itself: what builds the source packages is pinned.
        installer.run(
            f"installing {' and '.join(builders)}",
            [*pip, "install", "--quiet", "--no-index", "--find-links", folder.absolute().as_uri()]
            + [f"{name}=={pins[name]}" for name in builders],
        )
    rest = [name for name in open_pins if name not in builders]
    for start in range(0, len(rest), _AT_ONCE):
        part, done = rest[start : start + _AT_ONCE], len(pins) - len(rest) + start
        label = f"{title} ({done + len(part)} of {len(pins)})"
        _get(part, pins, folder, scratch, pip, installer, label, ("--no-build-isolation",) if own else ())


def _get(
    names: Sequence[str],
    pins: Mapping[str, str],
    folder: Path,
    scratch: Path,
    pip: Sequence[str],
    installer: Installer,
    title: str,
    options: Sequence[str],
) -> None:
    if not names:
        return
    listed, arrived = scratch / "requirements.txt", scratch / "arrived"
    listed.write_text("".join(f"{name}=={pins[name]}\n" for name in names))
    installer.run(
        f"fetching wheels of {title}",
        [
            *pip,
            *("wheel", "--no-input", "--no-deps", "--wheel-dir", str(arrived)),
            *options,
            *("--requirement", str(listed)),
        ],
    )
    for wheel in sorted(arrived.glob("*.whl")):
        shutil.move(wheel, folder / wheel.name)
