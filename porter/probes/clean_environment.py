"""Says which TAO packages a run of this environment would import, and which others lie on its path.

Request: ``porter.records.validate.CleanRequest``; answer: ``CleanFacts``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata, util
from pathlib import Path
from typing import Any

_PREFIX = "import sys; print(sys.prefix)"


def import_place(name: str) -> str:
    """Return the folder that a package would be imported from; empty where there is none."""
    try:
        spec = util.find_spec(name)
    except ModuleNotFoundError:  # the package that it is in is not there
        return ""
    found = list(spec.submodule_search_locations or []) if spec is not None else []
    return str(found[0]) if found else ""


def copies(name: str) -> list[str]:
    """Return every place on the path that has something of that name, in the order of the path."""
    entries = dict.fromkeys(Path(entry).absolute() for entry in sys.path if entry)
    found = (entry / ending for entry in entries for ending in (name, f"{name}.py"))
    return [str(place) for place in found if place.exists()]


def distributions() -> list[dict[str, str]]:
    """Return every installed distribution of TAO; one that is there twice is told twice."""
    found = []
    for item in metadata.distributions():
        name = str(item.metadata["Name"] or "").lower().replace("_", "-")
        if name.startswith("nvidia-tao"):
            place = os.path.normpath(str(item.locate_file("")))
            found.append({"name": name, "version": item.version, "place": place})
    return found


def prefix_on_path() -> str:
    """Return the environment of the ``python`` that TAO's launchers start by that name."""
    try:
        done = subprocess.run(["python", "-c", _PREFIX], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Answer the request."""
    return {
        "places": {name: import_place(name) for name in request["packages"]},
        "copies": {name: copies(name) for name in request["packages"]},
        "distributions": distributions(),
        "prefix": sys.prefix,
        "prefix_on_path": prefix_on_path(),
        "telemetry": os.environ.get("TELEMETRY_OPT_OUT", ""),
    }


if __name__ == "__main__":
    answer = run(json.loads(Path(sys.argv[1]).read_text()))
    Path(sys.argv[2]).write_text(json.dumps(answer))
