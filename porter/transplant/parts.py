"""Names the classes that the lifted code looks up, and takes out the branches that build others."""

from __future__ import annotations

from collections.abc import Collection

import libcst as cst
import libcst.matchers as m

from porter.records.transplant import LiftFacts
from porter.transplant.fold import Folder, in_parentheses
from porter.transplant.source import dotted

BACKBONE = "backbone_config"
"""The setting by which ``load_backbone`` finds what to build."""

_LOADER = "load_backbone"
_FACTORIES = ("AutoBackbone.from_config", "AutoModel.from_config")
_MIXIN = "BackboneMixin"
_INIT = "__init__"


class Parts(Folder):
    """Builds the parts of a model by their classes, and no branch that builds what the model has not.

    Every module was built once from this config: a branch of ``__init__`` that builds a class of which the
    model has no instance was not taken.

    Args:
        facts: say what was built.
        absent: classes of which the model has no instance.
    """

    def __init__(self, facts: LiftFacts, absent: Collection[str]) -> None:
        super().__init__({}, {}, absent)
        self.parts = facts.parts
        self.has_backbone = _MIXIN in facts.live
        self.functions: list[str] = []

    def wanted(self, code: str) -> bool:
        """Return whether there is anything to change in *code*."""
        if any(name in code for name in (_LOADER, *_FACTORIES)):
            return True
        return f"def {_INIT}" in code and any(f"{name}(" in code for name in self.absent)

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self.functions.append(node.name.value)

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        self.functions.pop()
        return updated_node

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        name = dotted(updated_node.func)
        if name not in (_LOADER, *_FACTORIES) or len(updated_node.args) != 1:
            return super().leave_Call(original_node, updated_node)
        config = updated_node.args[0].value
        if name == _LOADER:
            config = cst.Attribute(config, cst.Name(BACKBONE))
        part = self.parts.get(config.attr.value) if isinstance(config, cst.Attribute) else None
        if part is None:
            return updated_node
        return cst.Call(cst.Name(part.architecture), [cst.Arg(config)])

    def leave_If(self, original_node: cst.If, updated_node: cst.If) -> cst.If:
        if self.functions[-1:] != [_INIT]:
            return updated_node
        if self._never_runs(original_node.body):
            return updated_node.with_changes(test=cst.Name("False"))
        other = original_node.orelse
        if isinstance(other, cst.Else) and self._never_runs(other.body):
            return updated_node.with_changes(test=cst.Name("True"))
        return updated_node

    def leave_IfExp(self, original_node: cst.IfExp, updated_node: cst.IfExp) -> cst.BaseExpression:
        if self.functions[-1:] == [_INIT]:
            if self._builds_absent(original_node.body):
                return in_parentheses(updated_node.orelse, updated_node)
            if self._builds_absent(original_node.orelse):
                return in_parentheses(updated_node.body, updated_node)
        return super().leave_IfExp(original_node, updated_node)

    def _never_runs(self, body: cst.BaseSuite) -> bool:
        """Return whether a block builds what is not there."""
        return any(
            self._builds_absent(each) for each in body.body if isinstance(each, cst.SimpleStatementLine)
        )

    def _builds_absent(self, node: cst.CSTNode) -> bool:
        return bool(m.findall(node, m.Call(func=m.Name(m.MatchIfTrue(self._is_absent)))))

    def _is_absent(self, name: str) -> bool:
        return name in self.absent or (name == _LOADER and not self.has_backbone)
