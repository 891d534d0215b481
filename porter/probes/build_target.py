"""Builds the TAO module from the staged package and answers its tensor table.

Request: ``porter.records.weights.BuildTargetRequest``; answer: ``TargetModule``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Build the module, without weights, and describe it."""
    from porter.weights.kernel.files import SPELLING
    from porter.weights.kernel.models import build_tao, experiment, import_name

    target = request["target"]
    with tempfile.TemporaryDirectory() as work:
        module = build_tao(target, Path(work))
        extra = None
        if target["pl_module"]:
            config = experiment(target, {target["backbone_weights"]: None}, Path(work))
            lightning = import_name(target["pl_module"])(config)
            extra = [name for name in lightning.state_dict() if not name.startswith("model.")]
    buffers = {name for name, _ in module.named_buffers()}
    tensors = [
        {
            "name": name,
            "shape": list(tensor.shape),
            "dtype": SPELLING[tensor.dtype],
            "buffer": name in buffers,
        }
        for name, tensor in module.state_dict().items()
    ]
    parameters = list(module.parameters())
    return {
        "kind": f"{type(module).__module__}:{type(module).__qualname__}",
        "tensors": tensors,
        "parameters": sum(each.numel() for each in parameters),
        "trainable": sum(each.numel() for each in parameters if each.requires_grad),
        "pl_extra": extra,
    }


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
