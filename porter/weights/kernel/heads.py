"""Which linear layers of a model make its logits, and what of the model is body."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

Run = Callable[[torch.Tensor], torch.Tensor]
"""Makes logits (B, classes) of images."""


def find_head(model: torch.nn.Module, run: Run, images: torch.Tensor, count: int) -> dict[str, Any]:
    """Return the facts of the classification head (``porter.records.inspection.HeadFacts``).

    The head are the last linear layers to run that decide the logits: with their outputs at zero, different
    images get the same. What the model makes of their outputs (their mean, say) is its own affair.

    Args:
        model: in eval mode.
        run: makes its logits.
        images: at least two different ones.
        count: number of classes.
    """
    with torch.no_grad():
        logits, made = _observed(model, run, images, count)
        names = _deciding(model, run, images, logits, made)
        if not names:
            reason = (
                f"the logits do not come from {' and '.join(made)} alone"
                if made
                else f"no linear layer has {count} rows"
            )
            return {"prefix": " + ".join(made), "tensors": [], "separable": False, "reason": reason}
        owners = [_owner(model, name, names) for name in names]
        tensors = sorted({t for owner in owners for t in _tensors(model, owner)})
        answer = {
            "prefix": " + ".join(dict.fromkeys(owners)),
            "tensors": tensors,
            "linear": names[0],
            "others": names[1:],
            "in_features": model.get_submodule(names[0]).in_features,
            "combined": len(names) > 1 or not torch.equal(made[names[0]], logits),
        }
        reason = _not_separable(model, run, images, names, tensors, count)
        return {**answer, "separable": not reason, "reason": reason}


def body(model: torch.nn.Module, head_tensors: Sequence[str]) -> list[str]:
    """Return the paths of the modules that make up the model beside its head, in their order.

    They are the model's children, or those of its one child where that holds the head as well.
    """
    root, heads = "", set(head_tensors)
    while True:
        children = [
            f"{root}{name}"
            for name, child in model.get_submodule(root.rstrip(".")).named_children()
            if any(True for _ in child.parameters())
        ]
        beside = [name for name in children if not set(_tensors(model, name)) <= heads]
        inside = [name for name in beside if heads & set(_tensors(model, name))]
        if len(beside) > 1 or not inside:
            return [name for name in beside if name not in inside]
        root = f"{inside[0]}."


def _observed(
    model: torch.nn.Module, run: Run, images: torch.Tensor, count: int
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return the logits, and the outputs of the linear layers for *count* classes as they ran, by path."""
    made: dict[str, torch.Tensor] = {}

    def remember(name: str) -> Any:
        def hook(_module: Any, _inputs: Any, output: torch.Tensor) -> None:
            made.pop(name, None)
            made[name] = output.clone()

        return hook

    hooks = [
        module.register_forward_hook(remember(name))
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module.out_features == count
    ]
    try:
        logits = run(images)
    finally:
        for hook in hooks:
            hook.remove()
    return logits, made


def _deciding(
    model: torch.nn.Module,
    run: Run,
    images: torch.Tensor,
    logits: torch.Tensor,
    made: dict[str, torch.Tensor],
) -> list[str]:
    """Return the paths of the fewest layers, counted from the last that ran, that decide the logits."""
    names = [name for name, output in made.items() if output.shape == logits.shape]
    equal = [name for name in names if torch.equal(made[name], logits)]
    if equal:
        return equal[-1:]
    for number in range(1, len(names) + 1):
        with _silenced(model, names[-number:]):
            silent = run(images)
        if torch.equal(silent[0], silent[1]):
            return names[-number:]
    return []


@contextmanager
def _silenced(model: torch.nn.Module, names: Sequence[str]) -> Iterator[None]:
    hooks = [
        model.get_submodule(name).register_forward_hook(lambda _module, _inputs, output: output * 0)
        for name in names
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _owner(model: torch.nn.Module, name: str, heads: Sequence[str]) -> str:
    """Return the largest module around a head layer that has no more than heads, norms and biases."""
    shapes = {key: tensor.ndim for key, tensor in model.state_dict().items()}
    layers = {tensor for each in heads for tensor in _tensors(model, each)}
    owner, parts = name, name.split(".")
    for depth in range(len(parts) - 1, 0, -1):
        above = ".".join(parts[:depth])
        if any(shapes[tensor] > 1 for tensor in _tensors(model, above) if tensor not in layers):
            break
        owner = above
    return owner


def _tensors(model: torch.nn.Module, path: str) -> list[str]:
    return [f"{path}.{key}" for key in model.get_submodule(path).state_dict()]


def _not_separable(
    model: torch.nn.Module,
    run: Run,
    images: torch.Tensor,
    names: Sequence[str],
    tensors: Sequence[str],
    count: int,
) -> str:
    """Return why other layers cannot stand in the place of these; empty where they can."""
    layers = {name: model.get_submodule(name) for name in names}
    mine = {id(p): f"{name}.{leaf}" for name, layer in layers.items() for leaf, p in layer.named_parameters()}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if id(parameter) in mine and name not in tensors:
            return f"it shares its weights with {name}"
    try:
        for name, layer in layers.items():
            other = torch.nn.Linear(layer.in_features, count + 1, bias=layer.bias is not None)
            _put(model, name, other)
        shape = tuple(run(images).shape)
    except Exception as error:
        return f"with one class more the model fails: {type(error).__name__}"
    finally:
        for name, layer in layers.items():
            _put(model, name, layer)
    return "" if shape == (len(images), count + 1) else f"with one class more the logits are {shape}"


def _put(model: torch.nn.Module, path: str, layer: torch.nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, layer)
