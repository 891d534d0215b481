"""Builds a wheel in a throw-away copy, by the hook that ``pip wheel --no-build-isolation`` calls.

Request: ``porter.records.validate.WheelRequest``; answer: ``WheelFacts``.
"""

from __future__ import annotations

import configparser
import json
import os
import shutil
import sys
import tempfile
import traceback
import zipfile
from pathlib import Path
from typing import Any


def copy_files(root: Path, names: list[str], target: Path) -> None:
    """Copy files of *root*, named by their paths below it."""
    for name in names:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, place)


def watch_extensions(keep: bool) -> list[str]:
    """Note the names of the extensions that a setup file declares; leave them out unless they are kept."""
    import setuptools

    names: list[str] = []
    declared = setuptools.setup

    def setup(**keywords: Any) -> Any:
        extensions = keywords.get("ext_modules") or []
        names.extend(extension.name for extension in extensions)
        if not keep:
            keywords.pop("ext_modules", None)
        return declared(**keywords)

    setuptools.setup = setup
    return names


def build(copy: Path, out: Path) -> str:
    """Run ``setup.py`` of *copy* as the build front ends do and return the name of the wheel."""
    from setuptools import build_meta

    os.chdir(copy)
    try:
        # The hook for a project without pyproject.toml: setup.py may import what lies beside it.
        return str(build_meta.__legacy__.build_wheel(str(out)))
    finally:
        os.chdir("/")


def read_wheel(path: Path) -> dict[str, Any]:
    """Return the members of a wheel and its console scripts."""
    with zipfile.ZipFile(path) as archive:
        members = archive.namelist()
        found = [name for name in members if name.endswith(".dist-info/entry_points.txt")]
        text = archive.read(found[0]).decode("utf-8") if found else ""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    scripts = dict(parser.items("console_scripts")) if parser.has_section("console_scripts") else {}
    return {"members": sorted(members), "scripts": scripts}


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Answer the request."""
    os.environ.update(request["variables"])
    answer: dict[str, Any] = {"name": "", "members": [], "scripts": {}, "extensions": [], "error": ""}
    with tempfile.TemporaryDirectory(prefix="wheel-") as folder:
        copy, out = Path(folder, "copy"), Path(folder, "out")
        out.mkdir()
        copy_files(Path(request["root"]), request["files"], copy)
        names = watch_extensions(request["extensions"])
        try:
            answer["name"] = build(copy, out)
            answer.update(read_wheel(out / answer["name"]))
        except BaseException:  # setup.py is free to leave with SystemExit
            answer["error"] = traceback.format_exc()
        answer["extensions"] = names
    return answer


if __name__ == "__main__":
    asked, told = map(Path, sys.argv[1:3])  # setup.py gets arguments of its own
    told.write_text(json.dumps(run(json.loads(asked.read_text()))))
