"""Makes many model folders in one process: importing the libraries costs more than a small model.

Request: ``porter.records.probes.MakeModels``; answer: ``MadeModels``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Make every model, each as ``make_demo_model`` does."""
    from porter.weights.kernel.fresh import make_all

    return make_all(request["models"])


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
