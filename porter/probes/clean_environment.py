"""Says which TAO packages a run of this environment would import, and which are installed in it.

Request: ``porter.records.validate.CleanRequest``; answer: ``CleanFacts``.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata, util
from pathlib import Path
from typing import Any


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Answer the request."""
    places = {}
    for name in request["packages"]:
        spec = util.find_spec(name)
        found = list(spec.submodule_search_locations or []) if spec is not None else []
        places[name] = found[0] if found else ""
    distributions = {}
    for distribution in metadata.distributions():
        name = str(distribution.metadata["Name"] or "").lower().replace("_", "-")
        if name.startswith("nvidia-tao") and name not in distributions:
            distributions[name] = [distribution.version, str(distribution.locate_file(""))]
    return {
        "places": places,
        "distributions": distributions,
        "python": sys.executable,
        "telemetry": os.environ.get("TELEMETRY_OPT_OUT", ""),
    }


if __name__ == "__main__":
    answer = run(json.loads(Path(sys.argv[1]).read_text()))
    Path(sys.argv[2]).write_text(json.dumps(answer))
