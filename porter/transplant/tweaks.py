"""Rewrites of lifted code that its export to ONNX needs. Each is listed with what it changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import libcst as cst

from porter.records.transplant import Tweak, TweakName
from porter.transplant.fold import Folder
from porter.transplant.source import code_of, dotted

STATIC: TweakName = "static-sizes"
NORM: TweakName = "norm-by-parts"
PARTS: TweakName = "counted-parts"
ALWAYS: tuple[TweakName, ...] = (STATIC, NORM)
"""What is rewritten of every model: TAO's export fixes sizes, and TensorRT has no norm in training mode."""

ALL: tuple[TweakName, ...] = (
    *ALWAYS,
    "averaging-matrices",
    "fold-by-permute",
    "grid-dtype",
    "pooling-apart",
    PARTS,
)


@dataclass(frozen=True)
class _Fact:
    text: str
    exact: bool


_FACTS: Mapping[TweakName, _Fact] = {
    STATIC: _Fact("sizes are fixed while tracing, as TAO exports one image size", True),
    NORM: _Fact("batch norms in training mode, which TensorRT does not have, are written out", False),
    "averaging-matrices": _Fact(
        "adaptive average pooling is a product with two matrices where its grid does not divide the image",
        False,
    ),
    "fold-by-permute": _Fact("patches are put together by a permutation in place of fold", True),
    "grid-dtype": _Fact("the grid of grid_sample has the type of what is sampled", True),
    "pooling-apart": _Fact("max pooling is kept apart from the padding before it, which is of zeros", True),
    PARTS: _Fact("a batch is split into a number of parts, and not into parts of the traced size", True),
}
_CALLS: Mapping[TweakName, Mapping[str, str]] = {
    "averaging-matrices": {
        "nn.AdaptiveAvgPool2d": "AveragingPool2d",
        "torch.nn.AdaptiveAvgPool2d": "AveragingPool2d",
        "nn.functional.adaptive_avg_pool2d": "averaging_pool2d",
        "torch.nn.functional.adaptive_avg_pool2d": "averaging_pool2d",
        "F.adaptive_avg_pool2d": "averaging_pool2d",
    },
    "fold-by-permute": {
        "nn.functional.fold": "fold_patches",
        "torch.nn.functional.fold": "fold_patches",
        "F.fold": "fold_patches",
    },
    "pooling-apart": {
        "nn.functional.max_pool2d": "max_pool2d",
        "torch.nn.functional.max_pool2d": "max_pool2d",
        "F.max_pool2d": "max_pool2d",
    },
}
_NORMS = ("nn.functional.batch_norm", "torch.nn.functional.batch_norm", "F.batch_norm")
_SAMPLERS = ("nn.functional.grid_sample", "torch.nn.functional.grid_sample", "F.grid_sample")
_SHARES = ("torch.split_with_sizes",)
_NAMES = (
    *_SHARES,
    ".split(batch_size",
    *_NORMS,
    *_SAMPLERS,
    *(name for calls in _CALLS.values() for name in calls),
)
_TRACING = "torch.jit.is_tracing"


class Tweaker(cst.CSTTransformer):
    """Applies tweaks and counts the places of each.

    Attributes:
        needs: stand-ins that the changed code calls.
    """

    def __init__(self, wanted: Collection[TweakName]) -> None:
        super().__init__()
        self.wanted = wanted
        self.places: dict[TweakName, int] = {}
        self.needs: set[str] = set()

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        name = dotted(updated_node.func)
        for tweak, calls in _CALLS.items():
            if tweak in self.wanted and name in calls and not _is_one(updated_node):
                self.count(tweak)
                self.needs.add(calls[name])
                return updated_node.with_changes(func=cst.Name(calls[name]))
        if PARTS in self.wanted and self._splits(name, updated_node):
            return self._counted(updated_node)
        if NORM in self.wanted and name in _NORMS and _is_in_training(updated_node):
            self.count(NORM)
            self.needs.add("batch_norm_by_parts")
            return updated_node.with_changes(func=cst.Name("batch_norm_by_parts"))
        if "grid-dtype" in self.wanted and name in _SAMPLERS and len(updated_node.args) > 1:
            return self._with_typed_grid(updated_node)
        return updated_node

    def _with_typed_grid(self, call: cst.Call) -> cst.Call:
        value, grid = call.args[:2]
        if not dotted(value.value) or value.keyword or grid.keyword:
            return call
        self.count("grid-dtype")
        dtype = cst.Arg(cst.Attribute(value.value, cst.Name("dtype")))
        typed = cst.Call(cst.Attribute(grid.value, cst.Name("to")), [dtype])
        return call.with_changes(args=[value, grid.with_changes(value=typed), *call.args[2:]])

    def _splits(self, name: str, call: cst.Call) -> bool:
        """Return whether a call splits the axis of the batch."""
        if name in _SHARES:
            return len(call.args) == 2
        given = [code_of(each.value) for each in call.args]
        return name.endswith(".split") and given == ["batch_size", "0"]

    def _counted(self, call: cst.Call) -> cst.Call:
        self.count(PARTS)
        if dotted(call.func) in _SHARES:
            self.needs.add("split_in_shares")
            return call.with_changes(func=cst.Name("split_in_shares"))
        self.needs.add("split_by_size")
        assert isinstance(call.func, cst.Attribute)
        return cst.Call(cst.Name("split_by_size"), [cst.Arg(call.func.value), cst.Arg(call.args[0].value)])

    def count(self, tweak: TweakName) -> None:
        """Note one more place."""
        self.places[tweak] = self.places.get(tweak, 0) + 1

    def transformers(self, code: str) -> list[cst.CSTTransformer]:
        """Return what a statement with the source *code* has to be visited by, in turn."""
        found: list[cst.CSTTransformer] = []
        if STATIC in self.wanted and _TRACING in code:
            found.append(_Static(self))
        if any(name in code for name in _NAMES):
            found.append(self)
        return found

    def report(self) -> tuple[Tweak, ...]:
        """Return what was changed, in the order of :data:`ALL`."""
        return tuple(
            Tweak(name=name, text=_FACTS[name].text, places=self.places[name], exact=_FACTS[name].exact)
            for name in ALL
            if name in self.places
        )


def _is_one(call: cst.Call) -> bool:
    """Return whether a call is of pooling to a single value, which every exporter knows."""
    given = [code_of(each.value).replace(" ", "") for each in call.args if each.keyword is None]
    return dotted(call.func).endswith("AdaptiveAvgPool2d") and given in (["1"], ["(1,1)"])


def _is_in_training(call: cst.Call) -> bool:
    """Return whether a batch norm is called for the statistics of what it is given, and to keep none."""
    kept = [code_of(each.value) for each in call.args[1:3]]
    training = {
        code_of(each.value) for each in call.args if each.keyword and each.keyword.value == "training"
    }
    return kept == ["None", "None"] and training == {"True"}


class _Static(Folder):
    """Takes for granted that nothing is traced."""

    def __init__(self, tweaker: Tweaker) -> None:
        super().__init__({_TRACING: False}, {})
        self.tweaker = tweaker

    def known(self, name: str, value: bool) -> cst.BaseExpression:
        self.tweaker.count(STATIC)
        return super().known(name, value)
