"""Carries out a weight plan: writes the checkpoint that TAO's loaders read.

Request: ``porter.records.weights.ConvertRequest``; answer: ``Conversion``.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

MARGIN = 64 * 2**20
"""Bytes of anonymous memory that a conversion may use besides 1.3 times its largest tensor."""


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Convert, watching the anonymous memory."""
    from porter.weights.kernel.archive import size_of
    from porter.weights.kernel.checkpoint import layout_of, lightning_version, write_checkpoint
    from porter.weights.kernel.files import BrokenFileError, ModelFolder
    from porter.weights.kernel.memory import AnonymousPeak
    from porter.weights.kernel.models import computed_tensors
    from porter.weights.kernel.serve import ProbeError

    plan, path = request["plan"], Path(request["checkpoint"])
    second = Path(request["safetensors"]) if request["safetensors"] else None
    layout = layout_of(plan)
    sizes = [size_of(*entry) for entry in layout.values()]
    _check_disk(sum(sizes) * (2 if second else 1), path.parent)
    started = time.monotonic()
    computed = computed_tensors(plan, request["target"], path.parent)
    source = ModelFolder(Path(request["folder"]))
    lightning = lightning_version()
    with AnonymousPeak(seconds=0.005) as memory:
        try:
            _check_zeros(plan, source)
            digest = write_checkpoint(
                plan, source, computed, path, second, lightning=lightning, watch=memory.sample
            )
        except (BrokenFileError, OSError) as error:
            raise ProbeError(
                "a weight file of the model cannot be read",
                why=str(error),
                next_step="download or save the model again",
            ) from error
    largest = max(sizes, default=0)
    return {
        "checkpoint": str(path),
        "safetensors": request["safetensors"],
        "sha256": digest,
        "size": path.stat().st_size,
        "tensors": len(layout),
        "parameters": sum(math.prod(shape) for _, shape in layout.values()),
        "dtypes": dict(Counter(dtype for dtype, _ in layout.values())),
        "largest_tensor": largest,
        "baseline_anon": memory.baseline,
        "peak_anon": memory.peak,
        "limit_anon": int(1.3 * largest) + MARGIN,
        "seconds": time.monotonic() - started,
    }


def _check_zeros(plan: dict[str, Any], source: Any) -> None:
    """Refuse to drop a tensor that the rules take for zero where it is not."""
    from porter.weights.kernel.serve import ProbeError

    for each in plan["dropped"]:
        if each["name"] in plan["zeros"] and source.tensor(each["file"], each["name"]).count_nonzero():
            raise ProbeError(
                f"{each['name']} cannot be dropped",
                why="the target has no place for it, and its values are not zero",
                next_step="port the model with another strategy (--strategy)",
            )


def _check_disk(needed: int, folder: Path) -> None:
    """Refuse early, before anything is written."""
    from porter.weights.kernel.serve import ProbeError

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
