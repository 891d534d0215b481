"""What the templates of the strategy ``native`` need: calls of TAO's classes as Python text."""

from __future__ import annotations

import ast

from porter.generate.filters import python_literal
from porter.records.base import Record
from porter.records.reference import BackboneMatch, Pooling

_STANDARD = frozenset({"functools"})
_NN = "torch.nn."


class FixLines(Record, frozen=True, kw_only=True):
    """A comment and the statements below it; ``model`` is the backbone."""

    comment: str
    lines: tuple[str, ...]


class NativeBackbone(Record, frozen=True, kw_only=True):
    """How generated code builds and loads a backbone of TAO's.

    Attributes:
        registered: whether generated code registers the backbone itself.
        standard, third_party: import lines that *arguments* need.
        arguments: keyword arguments as Python.
        module, kind: where the class comes from, and its name.
        image_argument: the argument that takes the image size; empty for none.
        position_embedding: whether ``pos_embed`` follows the image size.
        fixes: what is done to the finished backbone.
        head: path of the head, whose input is *features* wide.
        pooling: what the head is given, where that is not what the class gives it.
        registers: number of register tokens behind the patches.
        batch_norms: whether there are any.
    """

    registered: bool
    standard: tuple[str, ...]
    third_party: tuple[str, ...]
    arguments: dict[str, str]
    module: str
    kind: str
    image_argument: str
    position_embedding: bool
    fixes: tuple[FixLines, ...]
    head: str
    features: int
    pooling: Pooling | None
    registers: int
    batch_norms: bool


def native_backbone(match: BackboneMatch) -> NativeBackbone:
    """Return what the templates need of *match*; pure."""
    module, _, kind = match.target.partition(":")
    arguments = {name: python_literal(value) for name, value in match.arguments.items()}
    imports: set[str] = set()
    for name, text in match.code.items():
        arguments[name], needed = with_imports(text)
        imports |= needed
    if match.pooling is not None:
        imports |= {"import torch", "from torch import nn"}
    standard = {line for line in imports if line.split()[1] in _STANDARD}
    return NativeBackbone(
        registered=not match.name,
        standard=tuple(sorted(standard)),
        third_party=tuple(sorted(imports - standard, key=lambda line: (line.split()[1], line))),
        arguments=arguments,
        module=module,
        kind=kind,
        image_argument=match.image_argument,
        position_embedding=match.position_embedding,
        fixes=tuple(
            FixLines(
                comment=fix.comment,
                lines=tuple(
                    f"model.{path}.{fix.attribute} = {python_literal(fix.value)}" for path in fix.modules
                ),
            )
            for fix in match.fixes
        ),
        head=match.head,
        features=match.embed_dim,
        pooling=match.pooling,
        registers=match.registers,
        batch_norms=match.batch_norms,
    )


def with_imports(code: str) -> tuple[str, set[str]]:
    """Return *code*, in which names stand by their import path, in short, and the import lines it needs.

    ``functools.partial(torch.nn.LayerNorm)`` becomes ``partial(nn.LayerNorm)``.
    """
    shortened = _Shortened()
    return ast.unparse(shortened.visit(ast.parse(code, mode="eval"))), shortened.imports


class _Shortened(ast.NodeTransformer):
    def __init__(self) -> None:
        self.imports: set[str] = set()

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        path = ast.unparse(node)
        if path.startswith(_NN):
            self.imports.add("from torch import nn")
            return ast.parse(path.removeprefix("torch."), mode="eval").body
        module, _, name = path.rpartition(".")
        self.imports.add(f"from {module} import {name}")
        return ast.Name(id=name)
