"""Takes branches out of lifted code that cannot run: what is known to be true or false is said so."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import libcst as cst

from porter.transplant.source import dotted

AVAILABLE = {"is_torch_available": True, "is_vision_available": True}
"""Optional packages that ``is_X_available`` asks for; every other one is not there."""

_Branch = tuple[cst.BaseExpression, cst.BaseSuite]


class Folder(cst.CSTTransformer):
    """Replaces calls and names whose value is known, then drops the branches that this decides.

    Args:
        calls: value of a call without arguments, by the dotted name of what is called.
        names: value by dotted name.
        absent: classes of which the model has no instance, so that ``isinstance`` is false.
    """

    def __init__(
        self, calls: Mapping[str, bool], names: Mapping[str, bool], absent: Collection[str] = ()
    ) -> None:
        super().__init__()
        self.calls = calls
        self.names = names
        self.absent = absent

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        name = dotted(updated_node.func)
        if name in self.calls and not updated_node.args:
            return self.known(name, self.calls[name])
        if name == "isinstance" and len(updated_node.args) == 2:
            return self._narrowed(updated_node)
        return updated_node

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        value = self.names.get(updated_node.value)
        return updated_node if value is None else self.known(updated_node.value, value)

    def leave_UnaryOperation(
        self, original_node: cst.UnaryOperation, updated_node: cst.UnaryOperation
    ) -> cst.BaseExpression:
        value = truth(updated_node.expression)
        if isinstance(updated_node.operator, cst.Not) and value is not None:
            return cst.Name(str(not value))
        return updated_node

    def leave_BooleanOperation(
        self, original_node: cst.BooleanOperation, updated_node: cst.BooleanOperation
    ) -> cst.BaseExpression:
        decides = isinstance(updated_node.operator, cst.Or)
        left, right = truth(updated_node.left), truth(updated_node.right)
        if left is not None:
            kept = updated_node.left if left is decides else updated_node.right
        elif right is not None and right is not decides:
            kept = updated_node.left
        else:
            return updated_node
        return in_parentheses(kept, updated_node)

    def leave_IfExp(self, original_node: cst.IfExp, updated_node: cst.IfExp) -> cst.BaseExpression:
        value = truth(updated_node.test)
        if value is None:
            return updated_node
        return in_parentheses(updated_node.body if value else updated_node.orelse, updated_node)

    def leave_IndentedBlock(
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.BaseSuite:
        return updated_node.with_changes(body=_decided(updated_node.body))

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        return updated_node.with_changes(body=_decided(updated_node.body))

    def known(self, name: str, value: bool) -> cst.BaseExpression:
        """Return the literal that a call or name stands for."""
        return cst.Name(str(value))

    def _narrowed(self, call: cst.Call) -> cst.BaseExpression:
        kinds = call.args[1].value
        if isinstance(kinds, cst.Name):
            return cst.Name("False") if kinds.value in self.absent else call
        if not isinstance(kinds, cst.Tuple):
            return call
        kept = [each for each in kinds.elements if dotted(each.value) not in self.absent]
        if len(kept) == len(kinds.elements):
            return call
        if not kept:
            return cst.Name("False")
        last = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        rest = last.value if len(kept) == 1 else kinds.with_changes(elements=[*kept[:-1], last])
        return call.with_changes(args=[call.args[0], call.args[1].with_changes(value=rest)])


def truth(node: cst.BaseExpression) -> bool | None:
    """Return the value of a literal ``True`` or ``False``; None for anything else."""
    return {"True": True, "False": False}.get(node.value) if isinstance(node, cst.Name) else None


def in_parentheses(node: cst.BaseExpression, like: cst.BaseExpression) -> cst.BaseExpression:
    """Return *node* with the parentheses that *like* had: what is in them may go over several lines."""
    if not like.lpar or node.lpar or truth(node) is not None:
        return node
    return node.with_changes(lpar=like.lpar, rpar=like.rpar)


def statements_of(suite: cst.BaseSuite) -> list[cst.BaseStatement]:
    """Return the statements of a block."""
    if isinstance(suite, cst.SimpleStatementSuite):
        return [cst.SimpleStatementLine(body=suite.body)]
    return [part for part in suite.body if isinstance(part, cst.BaseStatement)]


def _decided(body: object) -> list[cst.BaseStatement]:
    kept: list[cst.BaseStatement] = []
    for statement in body if isinstance(body, list | tuple) else ():
        kept += _decide(statement) if isinstance(statement, cst.If) else [statement]
    return kept


def _decide(node: cst.If) -> list[cst.BaseStatement]:
    """Return what is left of a chain of branches."""
    open_branches: list[_Branch] = []
    last: cst.BaseSuite | None = None
    step: cst.If | cst.Else | None = node
    decided = False
    while step is not None:
        if isinstance(step, cst.Else):
            last, step = step.body, None
            continue
        value = truth(step.test)
        decided = decided or value is not None
        if value:
            last, step = step.body, None
            continue
        if value is None:
            open_branches.append((step.test, step.body))
        step = step.orelse
    if not decided:
        return [node]
    if not open_branches:
        return statements_of(last) if last is not None else []
    rest: cst.If | cst.Else | None = cst.Else(body=last) if last is not None else None
    for test, suite in reversed(open_branches):
        rest = cst.If(test=test, body=suite, orelse=rest)
    assert isinstance(rest, cst.If)
    return [rest.with_changes(leading_lines=node.leading_lines)]
