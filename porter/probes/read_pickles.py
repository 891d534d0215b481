"""Writes the weights of a pickle-only model as safetensors; opens pickles with ``weights_only=True`` alone.

Request: ``porter.records.probes.ReadPickles``; answer: ``PicklesRead``.
"""

from __future__ import annotations

import pickle
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

if TYPE_CHECKING:
    import torch

OWN = (
    "look for safetensors among the pull requests of its page (--revision refs/pr/NUMBER), or convert it in "
    "an environment of your own that may run the model: "
    "AutoModel.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER, safe_serialization=True)"
)


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Answer the request."""
    import safetensors.torch
    import torch

    from porter.weights.kernel.serve import ProbeError

    folder, target = Path(request["folder"]), Path(request["target"])
    found: dict[str, torch.Tensor] = {}
    for name in request["files"]:
        for key, tensor in table(load(folder / name), name).items():
            if key in found:
                raise ProbeError(f"{name} holds {key!r}, which an earlier file holds, too", next_step=OWN)
            found[key] = tensor
    tensors, shared = apart(found)
    try:
        # The metadata is what transformers asks for.
        safetensors.torch.save_file(tensors, str(target), metadata={"format": "pt"})
    except (ValueError, RuntimeError, KeyError, OSError) as error:
        raise ProbeError(
            "the tensors cannot be written as safetensors", why=str(error).splitlines()[0], next_step=OWN
        ) from error
    # It is made for its owner alone, who need not be the one that reads it next.
    target.chmod(0o644)
    return {"torch": torch.__version__, "tensors": len(tensors), "shared": shared}


def load(path: Path) -> Any:
    """Return what the pickle holds; nothing but tensors and plain containers comes out of it.

    Raises:
        ProbeError: it needs more than that, or it is damaged.
    """
    import torch

    from porter.weights.kernel.serve import ProbeError

    options: dict[str, Any] = {"map_location": "cpu", "weights_only": True}
    try:
        try:
            return torch.load(path, mmap=True, **options)
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
            return torch.load(path, **options)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise ProbeError(
            f"{path.name} is not plain weights, so porter does not open it",
            why=f"it asks for {wanted[1]}, and unpickling that runs code of whoever made the file"
            if wanted
            else f"reading it without running its code failed: {first_line(error)}",
            next_step=OWN,
        ) from error
    except (
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        OSError,
    ) as error:
        raise ProbeError(
            f"{path.name} cannot be read as weights: it is damaged, or no file of torch.save",
            why=first_line(error),
            next_step="fetch the file again",
        ) from error


def table(loaded: Any, name: str) -> dict[str, torch.Tensor]:
    """Return the tensors by name.

    Raises:
        ProbeError: there is something else in it.
    """
    import torch

    from porter.weights.kernel.serve import ProbeError

    if not isinstance(loaded, dict) or not loaded:
        raise ProbeError(
            f"{name} holds no table of tensors", why=f"it holds a {type(loaded).__name__}", next_step=OWN
        )
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise ProbeError(
                f"{name} holds more than a table of tensors",
                why=f"under {str(key)[:80]!r} lies a {type(value).__name__}, not a tensor",
                next_step=OWN,
            )
    return dict(loaded)


def apart(found: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], list[list[str]]]:
    """Return the tensors sorted by name, none sharing memory, and the names that shared it."""
    owners: dict[int, list[str]] = {}
    tensors = {}
    for name in sorted(found):
        tensor = found[name].detach()
        place = tensor.untyped_storage().data_ptr() if tensor.layout == tensor.new_empty(0).layout else 0
        whole = tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes() if place else True
        if place and owners.setdefault(place, []):
            whole = False
        if place:
            owners[place].append(name)
        tensors[name] = tensor.contiguous() if whole else tensor.clone().contiguous()
    return tensors, sorted(names for names in owners.values() if len(names) > 1)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text."""
    return next(iter(str(error).strip().splitlines()), "")[:300] or type(error).__name__


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
