"""Writes the weights of a bare network in a class with a head, which begins as transformers begins one.

Request: ``porter.records.probes.AddHead``; answer: ``HeadAdded``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Answer the request."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import safetensors.torch
    import torch
    import transformers

    from porter.weights.kernel import timm_models
    from porter.weights.kernel.files import ModelFolder
    from porter.weights.kernel.serve import ProbeError

    folder, target = Path(request["folder"]), Path(request["target"])
    model_class: Any = getattr(transformers, request["architecture"])
    torch.manual_seed(request["seed"])
    model, report = model_class.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        torch_dtype="auto",
        num_labels=request["classes"],
        output_loading_info=True,
    )
    missing, unused = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    head, body = None, f"{model.base_model_prefix}."
    if timm_models.held(model) is not None:
        head, body = timm_models.head(model, request["classes"]), f"{timm_models.ATTRIBUTE}."
    begun = set(head["tensors"]) if head else set()
    lacking = [name for name in missing if name.startswith(body) and name not in begun]
    if lacking or report["mismatched_keys"]:
        odd = lacking or [each[0] for each in report["mismatched_keys"]]
        raise ProbeError(
            f"the weights do not fill the network of {request['architecture']}",
            why=f"{len(odd)} tensors are missing or of another shape, such as {odd[0]}",
            next_step="choose a checkpoint that was saved from this class",
        )
    state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    source = ModelFolder(folder)
    kept = [each for each in request["tensors"] if each["name"] not in unused]
    for each in kept:
        mine = state.get(each["name"], state.get(f"{body}{each['name']}"))
        if mine is None or not torch.equal(mine, source.tensor(each["file"], each["name"])):
            raise ProbeError(
                f"{each['name']} is another tensor in {request['architecture']}",
                next_step="choose a checkpoint that was saved from this class",
            )
    if head and not any(each["name"].startswith(body) for each in request["tensors"]):
        # timm's own checkpoints know nothing of the class that holds the model.
        state = {name.removeprefix(body): tensor for name, tensor in state.items()}
        missing = [name.removeprefix(body) for name in missing]
    safetensors.torch.save_file(state, str(target), metadata={"format": "pt"})
    # It is made for its owner alone, who need not be the one that reads it next.
    target.chmod(0o644)
    return {"new": missing, "unused": unused, "kept": len(kept)}


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
