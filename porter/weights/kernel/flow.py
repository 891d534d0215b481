"""Watches a model run: which tensors of its state each operation reads, in executed order, on what values.

An operation that reads both something computed from the input and something of the state is a *use*.
What is computed from the state alone (an indexed table, joined biases) is kept as an expression, and its
tensors count as read by the use that it ends in.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from porter.weights.kernel.prints import Print, print_of

FAMILIES = {
    **dict.fromkeys(("linear", "addmm", "matmul", "bmm", "einsum", "conv1d", "conv2d", "conv3d"), "linear"),
    **dict.fromkeys(("layer_norm", "batch_norm", "group_norm", "instance_norm", "rms_norm"), "norm"),
    **dict.fromkeys(("cat", "concat", "concatenate", "stack"), "cat"),
}
"""Operations that one model may use where another uses its sibling; the others stand for themselves."""

_EPSILONS = {"layer_norm": 4, "group_norm": 4, "batch_norm": 7, "instance_norm": 7}
"""Place of the epsilon among a norm's arguments."""

_ROLES = {
    "linear": {1: "weight", 2: "bias"},
    "conv1d": {1: "weight", 2: "bias"},
    "conv2d": {1: "weight", 2: "bias"},
    "conv3d": {1: "weight", 2: "bias"},
    "layer_norm": {2: "weight", 3: "bias"},
    "group_norm": {2: "weight", 3: "bias"},
    "batch_norm": {1: "running_mean", 2: "running_var", 3: "weight", 4: "bias"},
}


Leaves = tuple[tuple[str, torch.Tensor], ...]
"""Tensors of the state, by name."""

Passed = list[tuple[int | str, torch.Tensor]]
"""The tensors of a call, by their place in it."""


@dataclasses.dataclass(frozen=True)
class Slot:
    """One tensor of the state as a use reads it: name, part that it plays, shape."""

    name: str
    role: str
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Use:
    """One operation that reads the state.

    Attributes:
        family: what kind of operation it is, see :data:`FAMILIES`.
        module: path of the module that runs it.
        inputs: prints of what it was given that depends on the model's input.
        output: print of what it made.
        epsilon: of a norm; None for everything else.
    """

    family: str
    module: str
    slots: tuple[Slot, ...]
    inputs: tuple[Print, ...]
    output: Print
    epsilon: float | None = None


class Expression:
    """What was computed from the state alone, so that it can be computed again when the state changes."""

    def __init__(self, call: Call, place: int | None, leaves: Leaves) -> None:
        self._call = call
        self._place = place
        self.leaves = leaves
        self._versions = [leaf._version for _, leaf in leaves]

    def is_stale(self) -> bool:
        """Return whether a tensor of it has changed since."""
        return any(leaf._version != seen for (_, leaf), seen in zip(self.leaves, self._versions, strict=True))

    def value(self) -> Any:
        """Compute it again."""
        made = self._call.run(apart=True)
        return made if self._place is None else made[self._place]


class Call:
    """One call of a torch function under the watch.

    Attributes:
        name: of the function, without the marks of its in-place and operator forms.
    """

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raw = getattr(function, "__name__", "")
        self._function, self._args, self._kwargs = function, args, kwargs
        marked = (
            (raw.endswith("_") and not raw.endswith("__")) or raw.startswith("__i") or raw == "__setitem__"
        )
        self.is_in_place = marked or _is_told_in_place(function, args, kwargs)
        self.name = _plain(raw)
        self.family = FAMILIES.get(self.name, self.name)

    @property
    def epsilon(self) -> float | None:
        """The epsilon of a norm; None for everything else."""
        place = _EPSILONS.get(self.name)
        if place is None:
            return None
        value = self._args[place] if place < len(self._args) else self._kwargs.get("eps")
        return float(value) if isinstance(value, float) else None

    def set_epsilon(self, value: float) -> None:
        """Give a norm another epsilon."""
        place = _EPSILONS[self.name]
        if place < len(self._args):
            self._args = (*self._args[:place], value, *self._args[place + 1 :])
        else:
            self._kwargs = {**self._kwargs, "eps": value}

    def tensors(self) -> Iterator[tuple[int | str, torch.Tensor]]:
        """Yield every tensor that is passed, with its place in the call."""
        passed: list[tuple[int | str, Any]] = [*enumerate(self._args), *self._kwargs.items()]
        for place, value in passed:
            for tensor in _tensors(value):
                yield place, tensor

    def before(self) -> Call:
        """Return the same call on a copy of what it is about to change."""
        changed = self._args[0]
        kept = changed.clone()
        if hasattr(changed, "_made_of"):
            kept._made_of = changed._made_of
        return Call(self._function, (kept, *self._args[1:]), self._kwargs)

    def run(self, *, apart: bool = False) -> Any:
        """Run it on the state as it is now; *apart*: without changing what it is given."""
        change = _apart if apart and self.is_in_place else _current
        args = [_map(value, change) for value in self._args]
        kwargs = {key: _map(value, change) for key, value in self._kwargs.items()}
        return self._function(*args, **kwargs)


class Flow(TorchFunctionMode):  # type: ignore[misc]
    """Follows the input of *module* through one run.

    Attributes:
        uses: what was seen so far.
        read: names of the state's tensors that anything read.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self._module = module
        self._names = _names_of(module)
        self._path: list[str] = []
        self.uses: list[Use] = []
        self.read: set[str] = set()

    def follow(self, images: torch.Tensor) -> Any:
        """Run the module on *images* and return what it answers."""
        renew(self._module)
        images = images.clone()
        images._is_flow = True
        with torch.no_grad(), self._hooked(), self:
            return self._module(images)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run *func* and note what its result depends on."""
        call = Call(func, args, kwargs or {})
        passed = list(call.tensors())
        has_flow = any(hasattr(tensor, "_is_flow") for _, tensor in passed)
        slots, leaves = self._state_in(call, passed)
        if not has_flow:
            return self._of_state(call, passed, leaves)
        flows = [tensor for _, tensor in passed if hasattr(tensor, "_is_flow")]
        made = self.used(call, slots, flows) if slots else call.run()
        _mark_flow(made)
        if call.is_in_place and passed:
            _mark_flow(passed[0][1])
        return made

    def _of_state(self, call: Call, passed: Passed, leaves: Leaves) -> Any:
        """Run what does not depend on the input, and keep how to run it again."""
        again = call
        if leaves and call.is_in_place and id(passed[0][1]) not in self._names:
            again = call.before()
        made = call.run()
        if leaves:
            # What is given back as it was passed is what it was, unless it was changed in place.
            same = {id(tensor) for _, tensor in passed} if again is call else set()
            _mark_expression(made, again, leaves, same)
        return made

    def used(self, call: Call, slots: tuple[Slot, ...], flows: list[torch.Tensor]) -> Any:
        """Carry out an operation that reads the state; a subclass may change the state first."""
        inputs = tuple(print_of(tensor) for tensor in flows)
        made = call.run()
        self.note(call, slots, inputs, made)
        return made

    def note(self, call: Call, slots: tuple[Slot, ...], inputs: tuple[Print, ...], made: Any) -> Use:
        """Remember a use."""
        output = print_of(next(_tensors(made)))
        use = Use(call.family, self.where(), slots, inputs, output, call.epsilon)
        self.uses.append(use)
        return use

    def where(self) -> str:
        """Return the path of the module that runs now."""
        return self._path[-1] if self._path else ""

    def _state_in(self, call: Call, passed: Passed) -> tuple[tuple[Slot, ...], Leaves]:
        slots: list[Slot] = []
        leaves: dict[str, torch.Tensor] = {}
        for place, tensor in passed:
            own = self._names.get(id(tensor))
            expression = getattr(tensor, "_made_of", None)
            found = ((own, tensor),) if own else expression.leaves if expression else ()
            for name, leaf in found:
                self.read.add(name)
                if name not in leaves and leaf.is_floating_point():
                    slots.append(Slot(name, _role(call.name, place, bool(own)), tuple(leaf.shape)))
                leaves[name] = leaf
        return tuple(slots), tuple(leaves.items())

    @contextmanager
    def _hooked(self) -> Iterator[None]:
        handles = []
        for path, module in self._module.named_modules():
            handles.append(module.register_forward_pre_hook(lambda *_, path=path: self._path.append(path)))
            handles.append(module.register_forward_hook(self._left))
        try:
            yield
        finally:
            self._path.clear()
            for handle in handles:
                handle.remove()

    def _left(self, module: torch.nn.Module, given: tuple[Any, ...], made: Any) -> None:
        self._path.pop()
        # Compiled functions are not seen: what a module makes of the input depends on the input.
        if any(hasattr(tensor, "_is_flow") for tensor in _tensors(given)):
            _mark_flow(made)


def renew(module: torch.nn.Module) -> None:
    """Let *module* forget what it computed from an earlier state, as it does when training begins."""
    module.train()
    module.eval()


def _names_of(module: torch.nn.Module) -> dict[int, str]:
    state = set(module.state_dict())
    named = (*module.named_parameters(), *module.named_buffers())
    return {id(tensor): name for name, tensor in named if name in state}


def _role(function: str, place: int | str, is_whole: bool) -> str:
    role = place if isinstance(place, str) else _ROLES.get(function, {}).get(place, "state")
    return role if is_whole else f"part of {role}"


def _is_told_in_place(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether an activation is told to overwrite what it is given."""
    if "inplace" in kwargs:
        return bool(kwargs["inplace"])
    place = _place_of_inplace(function)
    return place is not None and place < len(args) and args[place] is True


@functools.cache
def _place_of_inplace(function: Callable[..., Any]) -> int | None:
    if getattr(function, "__module__", "") != "torch.nn.functional":
        return None
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return None
    return names.index("inplace") if "inplace" in names else None


def _plain(name: str) -> str:
    if name.startswith("__") and name.endswith("__"):
        name = name[2:-2]
        if len(name) > 3 and name[0] in "ir" and name[1:] in {"add", "sub", "mul", "matmul", "truediv"}:
            name = name[1:]
    return name.rstrip("_")


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)


def _map(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        return change(value)
    if type(value) in {list, tuple}:
        return type(value)(_map(each, change) for each in value)
    return value


def _current(tensor: torch.Tensor) -> torch.Tensor:
    expression = getattr(tensor, "_made_of", None)
    if expression is None or not expression.is_stale():
        return tensor
    current: torch.Tensor = expression.value()
    return current


def _apart(tensor: torch.Tensor) -> torch.Tensor:
    return _current(tensor).clone()


def _mark_flow(made: Any) -> None:
    for tensor in _tensors(made):
        tensor._is_flow = True


def _mark_expression(made: Any, call: Call, leaves: Leaves, same: set[int]) -> None:
    whole = isinstance(made, torch.Tensor)
    for place, tensor in enumerate((made,) if whole else made if isinstance(made, (list, tuple)) else ()):
        if isinstance(tensor, torch.Tensor) and id(tensor) not in same:
            tensor._made_of = Expression(call, None if whole else place, leaves)
