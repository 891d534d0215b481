"""Carries out a weight plan: writes the checkpoint that TAO's loaders read.

Request: ``porter.records.weights.ConvertRequest``; answer: ``Conversion``.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

MARGIN = 64 * 2**20
"""Bytes of anonymous memory that a conversion may use besides 1.3 times its largest tensor."""


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Convert, watching the anonymous memory."""
    from porter.weights.kernel.checkpoint import checkpoint, lightning_version, save, sha256
    from porter.weights.kernel.files import SPELLING, BrokenFileError, ModelFolder
    from porter.weights.kernel.memory import AnonymousPeak
    from porter.weights.kernel.operations import Scratch, execute_all
    from porter.weights.kernel.serve import ProbeError

    plan, path = request["plan"], Path(request["checkpoint"])
    _check_disk(plan["operations"], path.parent)
    started = time.monotonic()
    lightning = lightning_version()
    state: OrderedDict[str, Any] = OrderedDict()
    scratch = Scratch(path.parent)
    with AnonymousPeak() as memory:
        try:
            for name, tensor in execute_all(
                plan["operations"], ModelFolder(Path(request["folder"])), scratch
            ):
                state[name] = tensor
                memory.sample()
        except (BrokenFileError, OSError) as error:
            raise ProbeError(
                "a weight file of the model cannot be read",
                why=str(error),
                next_step="download or save the model again",
            ) from error
        save(checkpoint(state, plan, lightning), path)
    sizes = [tensor.numel() * tensor.element_size() for tensor in state.values()]
    largest = max(sizes, default=0)
    return {
        "checkpoint": str(path),
        "sha256": sha256(path),
        "size": path.stat().st_size,
        "tensors": len(state),
        "parameters": sum(tensor.numel() for tensor in state.values()),
        "dtypes": dict(Counter(SPELLING[tensor.dtype] for tensor in state.values())),
        "largest_tensor": largest,
        "baseline_anon": memory.baseline,
        "peak_anon": memory.peak,
        "limit_anon": int(1.3 * largest) + MARGIN,
        "scratch": scratch.bytes,
        "seconds": time.monotonic() - started,
    }


def _check_disk(operations: list[dict[str, Any]], folder: Path) -> None:
    """Refuse early: a mapped file that cannot grow ends the process without a word."""
    from porter.weights.kernel.files import DTYPES
    from porter.weights.kernel.serve import ProbeError

    needed = 0
    for step in operations:
        size = DTYPES[step["target"]["dtype"]].itemsize * math.prod(step["target"]["shape"])
        is_view = step["op"] in {"copy", "reshape"} and step["sources"][0]["dtype"] == step["target"]["dtype"]
        needed += size if is_view else 2 * size
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed + 2**20:
        raise ProbeError(
            "there is not enough disk space for the checkpoint",
            why=f"{folder} has {free / 1e9:.1f} GB free; the conversion needs {needed / 1e9:.1f} GB",
            next_step="free some space and repeat the command",
        )


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
