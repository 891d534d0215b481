"""Cleans a module of transformers: what only serves that library, or a loss, or pruning, goes."""

from __future__ import annotations

import builtins
import re
from collections.abc import Sequence

import libcst as cst
import libcst.matchers as m

from porter.transplant import docs
from porter.transplant.losses import without_loss
from porter.transplant.source import Module, Top, code_of, dotted, used

KEPT_DECORATORS = ("can_return_tuple", "check_model_inputs")
_DROPPED_ATTRIBUTES = re.compile(
    r"_supports_\w+|_no_split_modules|_keys_to_ignore\w*|_tied_weights_keys|_tp_plan|_pp_plan|config_class|"
    r"load_tf_weights|base_model_prefix|main_input_name|_skip_keys_device_placement|_input_embed_layer|"
    r"input_modalities|is_parallelizable|accepts_loss_kwargs|_auto_class|_checkpoint_conversion_mapping|pruned_heads"
)
_DROPPED_METHODS = re.compile(r"_?prune_\w+|(?:get|set)_(?:in|out)put_embeddings|dummy_inputs|_reorder_cache")
_DROPPED_CALLS = ("requires_backends", "add_start_docstrings")
_NEEDS_ANNOTATIONS = ("dataclass", "dataclasses.dataclass")


def clean(statement: Top, module: Module, prefix: str) -> Top | None:
    """Return a statement at top level without what means nothing outside of transformers.

    Args:
        statement: part of *module*.
        module: says what names mean.
        prefix: what the names of its classes begin with, for the docstrings.

    Returns:
        None where nothing is left.
    """
    changed = cst.Module(body=[statement]).visit(Cleaner(module, prefix))
    return changed.body[0] if changed.body else None


def _is_docstring(node: cst.CSTNode) -> bool:
    return m.matches(node, m.SimpleStatementLine(body=[m.Expr(m.SimpleString() | m.ConcatenatedString())]))


class Cleaner(cst.CSTTransformer):
    """Takes out imports, decorators, annotations and members that mean nothing outside of transformers."""

    def __init__(self, module: Module, prefix: str) -> None:
        super().__init__()
        self.module = module
        self.prefix = prefix
        self.scopes: list[str] = []

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self.scopes.append("data" if any(_is_data(each) for each in node.decorators) else "class")

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self.scopes.append("function")

    def leave_ClassDef(self, original_node: cst.ClassDef, updated_node: cst.ClassDef) -> cst.ClassDef:
        self.scopes.pop()
        told = docs.summary(_docstring(updated_node.body) or "") or [
            f"{docs.words(updated_node.name.value, self.prefix)}."
        ]
        return updated_node.with_changes(
            decorators=self._decorators(updated_node.decorators),
            body=self._documented(updated_node.body, told, is_class=True),
        )

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef | cst.RemovalSentinel:
        self.scopes.pop()
        name = updated_node.name.value
        if self._in_class() and _DROPPED_METHODS.fullmatch(name):
            return cst.RemoveFromParent()
        if updated_node.returns is not None and not self._stays(updated_node.returns):
            updated_node = updated_node.with_changes(returns=None)
        names = [each.name.value for each in updated_node.params.params]
        is_auto = any(_called(each) == "auto_docstring" for each in updated_node.decorators)
        told = docs.summary(_docstring(updated_node.body) or "", whole=not is_auto)
        needs = self._is_public(name, updated_node)
        if needs and (not told or is_auto):
            told = [docs.of_forward(names) if name == "forward" else f"{docs.words(name)}.", *told]
        updated_node = updated_node.with_changes(
            decorators=self._decorators(updated_node.decorators),
            body=self._documented(updated_node.body, told, is_class=False),
        )
        return _tight(without_loss(updated_node))

    def leave_Param(self, original_node: cst.Param, updated_node: cst.Param) -> cst.Param:
        if updated_node.annotation is None or self._stays(updated_node.annotation):
            return updated_node
        equal: cst.AssignEqual | cst.MaybeSentinel = cst.MaybeSentinel.DEFAULT
        if updated_node.default is not None:
            bare = cst.SimpleWhitespace("")
            equal = cst.AssignEqual(whitespace_before=bare, whitespace_after=bare)
        return updated_node.with_changes(annotation=None, equal=equal)

    def leave_AnnAssign(
        self, original_node: cst.AnnAssign, updated_node: cst.AnnAssign
    ) -> cst.BaseSmallStatement | cst.RemovalSentinel:
        if self._in_class() and _DROPPED_ATTRIBUTES.fullmatch(dotted(updated_node.target)):
            return cst.RemoveFromParent()
        if self._stays(updated_node.annotation):
            return updated_node
        if self.scopes and self.scopes[-1] == "data":
            return updated_node.with_changes(
                annotation=updated_node.annotation.with_changes(annotation=cst.Name("object"))
            )
        if updated_node.value is None:
            return cst.RemoveFromParent()
        return cst.Assign(targets=[cst.AssignTarget(target=updated_node.target)], value=updated_node.value)

    def leave_Assign(
        self, original_node: cst.Assign, updated_node: cst.Assign
    ) -> cst.Assign | cst.RemovalSentinel:
        target = dotted(updated_node.targets[0].target)
        bare = target.removeprefix("self.")
        if target == "__all__" and not self.scopes:
            return cst.RemoveFromParent()
        if (self._in_class() or target != bare) and _DROPPED_ATTRIBUTES.fullmatch(bare):
            return cst.RemoveFromParent()
        return updated_node

    def leave_Expr(self, original_node: cst.Expr, updated_node: cst.Expr) -> cst.Expr | cst.RemovalSentinel:
        if isinstance(updated_node.value, cst.Call) and dotted(updated_node.value.func) in _DROPPED_CALLS:
            return cst.RemoveFromParent()
        return updated_node

    def leave_Import(self, original_node: cst.Import, updated_node: cst.Import) -> cst.RemovalSentinel:
        return cst.RemoveFromParent()

    def leave_ImportFrom(
        self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
    ) -> cst.RemovalSentinel:
        return cst.RemoveFromParent()

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.RemovalSentinel:
        return updated_node if updated_node.body else cst.RemoveFromParent()

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.Attribute:
        name = {"logging.get_logger": "getLogger", "logger.warning_once": "warning"}.get(dotted(updated_node))
        return updated_node if name is None else updated_node.with_changes(attr=cst.Name(name))

    def _in_class(self) -> bool:
        return bool(self.scopes) and self.scopes[-1] in ("class", "data")

    def _is_public(self, name: str, node: cst.FunctionDef) -> bool:
        if "function" in self.scopes or any(_called(each).endswith(".setter") for each in node.decorators):
            return False
        is_magic = name.startswith("__") and name.endswith("__")
        return name != "__init__" if is_magic else not name.startswith("_")

    def _stays(self, annotation: cst.Annotation) -> bool:
        if m.findall(annotation, m.SimpleString()):
            return False
        names = used(f"_: {code_of(annotation.annotation)}")
        return all(name in self.module.foreign or hasattr(builtins, name) for name in names)

    def _decorators(self, decorators: Sequence[cst.Decorator]) -> list[cst.Decorator]:
        return [
            each
            for each in decorators
            if _called(each).partition(".")[0] not in self.module.own or _called(each) in KEPT_DECORATORS
        ]

    def _documented(self, body: cst.BaseSuite, told: Sequence[str], *, is_class: bool) -> cst.BaseSuite:
        """Return a block with the docstring *told* in place of its own; none for no text."""
        if not isinstance(body, cst.IndentedBlock):
            if not told:
                return body
            assert isinstance(body, cst.SimpleStatementSuite)
            body = cst.IndentedBlock(body=[cst.SimpleStatementLine(body=body.body)])
        rest = list(body.body)
        if rest and _is_docstring(rest[0]):
            del rest[0]
        if rest:
            rest[0] = _spaced(rest[0], blank=is_class and bool(told))
        if not told:
            return body.with_changes(body=rest or [cst.SimpleStatementLine(body=[cst.Pass()])])
        indent = 4 * (len(self.scopes) + 1)
        return body.with_changes(body=[docs.statement(told, indent), *rest])


def _tight(function: cst.FunctionDef) -> cst.FunctionDef:
    """Return a function with no blank line after its docstring, whatever stood there."""
    body = function.body
    if not isinstance(body, cst.IndentedBlock) or len(body.body) < 2 or not _is_docstring(body.body[0]):
        return function
    first, second, *rest = body.body
    return function.with_changes(body=body.with_changes(body=[first, _spaced(second, blank=False), *rest]))


def _spaced(node: cst.BaseStatement, *, blank: bool) -> cst.BaseStatement:
    """Return a statement with one blank line before it, or none; its comments stay."""
    if not hasattr(node, "leading_lines"):
        return node
    comments = [line for line in node.leading_lines if line.comment is not None]
    return node.with_changes(leading_lines=[*([cst.EmptyLine(indent=False)] * blank), *comments])


def _called(decorator: cst.Decorator) -> str:
    node = decorator.decorator
    return dotted(node.func if isinstance(node, cst.Call) else node)


def _is_data(decorator: cst.Decorator) -> bool:
    return _called(decorator) in _NEEDS_ANNOTATIONS


def _docstring(body: cst.BaseSuite) -> str | None:
    first = next(iter(body.body), None)
    if first is None or not isinstance(first, cst.SimpleStatementLine) or not _is_docstring(first):
        return None
    value = first.body[0]
    assert isinstance(value, cst.Expr)
    assert isinstance(value.value, cst.SimpleString | cst.ConcatenatedString)
    text = value.value.evaluated_value
    return text.decode() if isinstance(text, bytes) else text
