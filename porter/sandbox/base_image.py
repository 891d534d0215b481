"""A small image made of this machine's own C library, shell and tools: what a managed environment runs on.

No registry is asked and nothing is built: the files are put into a tar archive that the engine imports.
Python and its packages are not in it; they are shown to the container where they lie.
"""

from __future__ import annotations

import functools
import io
import os
import platform
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from porter.errors import SandboxError
from porter.records.base import digest
from porter.records.sandbox import Engine
from porter.sandbox import engines
from porter.sandbox.argv import NOBODY
from porter.sandbox.facts import SYSTEM_PATH
from porter.sandbox.interpreters import Interpreter

REPOSITORY = "localhost/porter-base"

_FORMAT = 2
"""Part of the tag: raise it when the contents change for a reason that the tag does not see."""

_SECONDS = 180
_SHELL = "sh"
_PROGRAMS = """
sh bash cat chmod cp cut date df dirname du echo env false find grep head id kill less ln ls mkdir mktemp mv
nproc ps pwd readlink rm rmdir sed seq sleep sort stat tail tar tee test timeout touch tr true uname wc which
xargs
"""
# What wheels may ask of any Linux beside what Python itself is linked with.
_LIBRARIES = """
libstdc++.so.6 libgcc_s.so.1 libgomp.so.1 libatomic.so.1 libm.so.6 libresolv.so.2 librt.so.1 libdl.so.2
libpthread.so.0 libutil.so.1 libcrypt.so.1 libanl.so.1 libnsl.so.1 libnss_files.so.2 libnss_dns.so.2 libz.so.1
libexpat.so.1
"""
_LEFT_OUT = ("site-packages", "dist-packages", "test", "__pycache__", "idlelib", "tkinter")
_FOLDERS = {"tmp": 0o1777, "var/tmp": 0o1777, "proc": 0o755, "sys": 0o755, "dev": 0o755, "run": 0o755}
_ETC = {
    "etc/passwd": f"root:x:0:0:root:/root:/bin/sh\nnobody:x:{NOBODY}:{NOBODY}:nobody:/tmp:/bin/sh\n",
    "etc/group": f"root:x:0:\nnogroup:x:{NOBODY}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "etc/hosts": "127.0.0.1 localhost\n",
}
_LINKED = re.compile(r"(?:=> )?(/\S+) \(0x[0-9a-f]+\)$")


def reference(interpreter: Interpreter) -> str:
    """Return the name and tag of the base image for what an interpreter needs of this machine."""
    facts = (_FORMAT, interpreter.version, interpreter.base_prefix, platform.libc_ver(), platform.machine())
    return f"{REPOSITORY}:{digest(facts)[:12]}"


def ensure(engine: Engine, interpreter: Interpreter) -> str:
    """Return the base image, making it where the engine does not have it.

    Raises:
        SandboxError: the engine cannot import it, or this machine lacks a shell.
    """
    return _import(engine, reference(interpreter), contents(interpreter), {})


def with_python(engine: Engine, interpreter: Interpreter) -> str:
    """Return the base image with this machine's Python in it, under the path that it has here.

    Raises:
        SandboxError: as :func:`ensure` does.
    """
    name = f"{reference(interpreter)}-python"
    link = {"usr/local/bin/python3": interpreter.executable}
    files = {**dict(_system(interpreter)), **dict(python_files(interpreter))}
    return _import(engine, name, sorted(files.items()), link)


def python_files(interpreter: Interpreter) -> tuple[tuple[str, str], ...]:
    """Return an interpreter with its standard library: path inside and file of the host.

    What is installed beside it stays out, and so do its tests and headers.
    """
    base = Path(interpreter.base_prefix)
    library = base / "lib" / f"python{interpreter.minor}"
    files = [Path(interpreter.executable), *sorted((base / "lib").glob("libpython*.so*"))]
    # Where Debian keeps what ensurepip installs from.
    files += sorted(Path("/usr/share/python-wheels").glob("*.whl")) if base == Path("/usr") else []
    for folder, folders, names in os.walk(library):
        folders[:] = sorted(
            name for name in folders if name not in _LEFT_OUT and not name.startswith("config-")
        )
        files += [Path(folder, name) for name in sorted(names)]
    return tuple((_inside(path), str(path)) for path in files if path.is_file())


def _inside(path: Path) -> str:
    """Return where a file of the host lies in the image, in which ``/usr/bin`` is a link to ``/bin``."""
    return f"bin/{path.name}" if path.parent == Path("/usr/bin") else str(path).lstrip("/")


def _import(engine: Engine, name: str, files: Sequence[tuple[str, str]], links: Mapping[str, str]) -> str:
    if engines.call(engine, ["image", "inspect", name]).returncode == 0:
        return name
    archive = io.BytesIO()
    write_archive(archive, files, links)
    done = engines.call(
        engine,
        ["import", "--change", "ENV PATH=/usr/local/bin:/usr/bin:/bin", "-", name],
        seconds=_SECONDS,
        given=archive.getvalue(),
    )
    if done.returncode:
        raise SandboxError(
            f"{engine.name} could not import the base image",
            why=engines.said(done),
            next_step=f"see whether `{engine.name} images` answers, and whether its disk is full",
        )
    return name


def contents(interpreter: Interpreter) -> tuple[tuple[str, str], ...]:
    """Return what goes into the image: path inside, without the leading slash, and file of the host.

    What lies below the interpreter's prefix is shown to the container anyway.

    Raises:
        SandboxError: there is no shell.
    """
    base = interpreter.base_prefix.strip("/")
    return tuple(item for item in _system(interpreter) if not item[0].startswith(f"{base}/"))


@functools.cache
def _system(interpreter: Interpreter) -> tuple[tuple[str, str], ...]:
    found = {name: shutil.which(name, path=SYSTEM_PATH) for name in _PROGRAMS.split()}
    programs = {name: path for name, path in found.items() if path}
    if _SHELL not in programs:
        raise SandboxError("this machine has no sh to make a base image of")
    base = Path(interpreter.base_prefix)
    modules = sorted(str(path) for path in base.glob("lib/python3*/lib-dynload/*.so"))
    linked = libraries([*programs.values(), interpreter.executable, *modules])
    folders = list(dict.fromkeys(str(Path(path).parent) for path in linked))
    more = [path for name in _LIBRARIES.split() if (path := _in(folders, name))]
    files = {f"bin/{name}": path for name, path in programs.items()}
    files |= {path.lstrip("/"): path for path in (*linked, *more, *libraries(more))}
    if Path("/etc/ld.so.cache").exists():
        files["etc/ld.so.cache"] = "/etc/ld.so.cache"
    return tuple(sorted(files.items()))


def libraries(files: Sequence[str]) -> tuple[str, ...]:
    """Return every library that the dynamic linker would load for any of the files, and the linker itself."""
    if not files:
        return ()
    done = subprocess.run(
        ["ldd", *files], capture_output=True, text=True, check=False, env={"PATH": SYSTEM_PATH, "LC_ALL": "C"}
    )
    found = (match[1] for line in done.stdout.splitlines() if (match := _LINKED.search(line)))
    return tuple(dict.fromkeys(found))


def write_archive(
    target: io.BytesIO, files: Iterable[tuple[str, str]], links: Mapping[str, str] | None = None
) -> None:
    """Write the image's only layer: the same bytes for the same files, owned by root."""
    with tarfile.open(fileobj=target, mode="w") as archive:
        for folder, mode in _FOLDERS.items():
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        for place, target_path in {"usr/bin": "/bin", **(links or {})}.items():
            link = tarfile.TarInfo(place)
            link.type, link.linkname = tarfile.SYMTYPE, target_path
            archive.addfile(link)
        for name, text in _ETC.items():
            _add(archive, name, text.encode(), 0o644)
        for name, path in files:
            source = Path(os.path.realpath(path))
            _add(archive, name, source.read_bytes(), 0o755 if os.access(source, os.X_OK) else 0o644)


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))


def _in(folders: Iterable[str], name: str) -> str | None:
    return next((str(Path(folder, name)) for folder in folders if Path(folder, name).exists()), None)
