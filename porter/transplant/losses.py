"""Takes the loss out of a model's forward method: TAO's trainer has its own."""

from __future__ import annotations

import libcst as cst

from porter.transplant.fold import statements_of, truth
from porter.transplant.source import code_of, used

LABELS, LOSS = "labels", "loss"
_RAISE = cst.parse_statement('raise ValueError("The loss is the trainer\'s.")')


def without_loss(function: cst.FunctionDef) -> cst.FunctionDef:
    """Return *function* without the argument ``labels`` and what is computed of it.

    Where labels are used in a way that is not known, they stay an argument, and giving them is an error.
    """
    names = [each.name.value for each in function.params.params]
    if LABELS not in names:
        return function
    changed = function.visit(_LossOut())
    assert isinstance(changed, cst.FunctionDef)
    bare = changed.with_changes(params=_without_labels(changed.params))
    body = cst.FunctionDef(name=cst.Name("f"), params=cst.Parameters(), body=bare.body, asynchronous=None)
    if {LABELS, LOSS} & used(code_of(body)):
        refused = function.visit(_Refuse())
        assert isinstance(refused, cst.FunctionDef)
        return refused
    return bare


def _without_labels(parameters: cst.Parameters) -> cst.Parameters:
    kept = [each for each in parameters.params if each.name.value != LABELS]
    last = parameters.params[-1]
    if kept and last.name.value == LABELS:
        # What comes after the last one, a line break perhaps, comes after the one before it.
        kept[-1] = kept[-1].with_changes(comma=last.comma, whitespace_after_param=last.whitespace_after_param)
    return parameters.with_changes(params=kept)


def _is_none_test(test: cst.BaseExpression, name: str) -> bool | None:
    """Return the value of ``name is None`` or ``name is not None`` where the name is None."""
    text = " ".join(code_of(test).strip("() \n").split())
    return {f"{name} is None": True, f"{name} is not None": False}.get(text)


class _LossOut(cst.CSTTransformer):
    """Takes labels and loss for None."""

    def leave_IfExp(self, original_node: cst.IfExp, updated_node: cst.IfExp) -> cst.BaseExpression:
        value = _known(updated_node.test)
        return updated_node if value is None else (updated_node.body if value else updated_node.orelse)

    def leave_If(
        self, original_node: cst.If, updated_node: cst.If
    ) -> cst.If | cst.RemovalSentinel | cst.FlattenSentinel[cst.BaseStatement]:
        value = _known(updated_node.test)
        if value is None:
            return updated_node
        if value:
            return cst.FlattenSentinel(statements_of(updated_node.body))
        if isinstance(updated_node.orelse, cst.Else):
            return cst.FlattenSentinel(statements_of(updated_node.orelse.body))
        if updated_node.orelse is not None:
            return updated_node.orelse
        return cst.RemoveFromParent()

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.RemovalSentinel:
        if len(updated_node.body) == 1 and code_of(updated_node.body[0]) == f"{LOSS} = None":
            return cst.RemoveFromParent()
        return updated_node

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        kept = [each for each in updated_node.args if not _passes_loss(each)]
        if len(kept) == len(updated_node.args):
            return updated_node
        if kept and not isinstance(kept[-1].comma, cst.MaybeSentinel):
            kept[-1] = kept[-1].with_changes(comma=updated_node.args[-1].comma)
        return updated_node.with_changes(args=kept)


def _known(test: cst.BaseExpression) -> bool | None:
    for name in (LABELS, LOSS):
        value = _is_none_test(test, name)
        if value is not None:
            return value
    return truth(test)


def _passes_loss(argument: cst.Arg) -> bool:
    return (
        argument.keyword is not None
        and argument.keyword.value in (LABELS, LOSS)
        and isinstance(argument.value, cst.Name)
        and argument.value.value == argument.keyword.value
    )


class _Refuse(cst.CSTTransformer):
    """Makes it an error to give labels."""

    def leave_If(self, original_node: cst.If, updated_node: cst.If) -> cst.If:
        if _is_none_test(updated_node.test, LABELS) is False:
            return updated_node.with_changes(body=cst.IndentedBlock(body=[_RAISE]))
        return updated_node
