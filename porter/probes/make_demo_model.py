"""Makes a model folder with perturbed random weights, so that demos and tests download nothing.

Request: ``porter.records.probes.MakeModel``; answer: ``MadeModel``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Build, perturb and save the model; equal requests write equal bytes."""
    from porter.weights.kernel.fresh import make

    return make(request)


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
