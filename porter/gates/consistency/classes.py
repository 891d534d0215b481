"""The order of classes: as labelled, as trained, as written, as read again."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from porter.gates.consistency import source
from porter.gates.consistency.verdict import schemas, verdict
from porter.records.consistency import ConsistencyFacts
from porter.records.gates import GateResult

READER = "nvidia_tao_deploy.cv.{name}.utils:read_classes"
"""The generated function that reads a class file."""

UNSORTED = ("zebra", "Ant", "10", "9", "bee")
"""Names that no sort leaves as they are."""

_SORTS = frozenset({"sorted", "sort", "set", "frozenset", "listdir"})
_ABOUT_CLASSES = re.compile(r"class|label|line|categor", re.IGNORECASE)


def class_order(facts: ConsistencyFacts) -> GateResult:
    """Hold every order of classes to that of the labels or of the dataset that it belongs to."""
    problems = [
        f"{order.where}: {_first_difference(order.found, order.expected)}"
        for order in facts.orders
        if order.found != order.expected
    ]
    reads = facts.has_class_file and "tao-deploy" in facts.repos
    read = schemas(facts)["tao-deploy"].classes if reads else UNSORTED
    if read != UNSORTED:
        problems.append(
            f"{READER.format(name=facts.name)} reads {list(read or ())} from a file with {list(UNSORTED)}"
        )
    for path, tree in source.trees(facts.files.get("tao-deploy", {})):
        if not path.startswith("tests/"):
            problems += [
                f"{path}:{call.lineno}: {ast.unparse(call)} changes the order of classes"
                for call in _reorderings(tree)
            ]
    said = f"{len(facts.orders)} places in one order" if facts.orders else "the network has no classes"
    if facts.has_class_file:
        said += "; a file that is not sorted is read as it is"
    return verdict(
        "consistency-classes",
        facts,
        problems,
        said,
        orders={order.where: len(order.found) for order in facts.orders},
        read=list(read or ()),
    )


def _first_difference(found: Sequence[str], expected: Sequence[str]) -> str:
    for index, (one, other) in enumerate(zip(found, expected, strict=False)):
        if one != other:
            return f"class {index} is {one!r}, it has to be {other!r}"
    return f"there are {len(found)} classes, there have to be {len(expected)}"


def _reorderings(tree: ast.Module) -> Iterator[ast.Call]:
    """Yield calls that would bring class names into an order of their own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and source.called(node) in _SORTS and _about_classes(node):
            yield node


def _about_classes(call: ast.Call) -> bool:
    about = [*call.args, call.func.value] if isinstance(call.func, ast.Attribute) else call.args
    return any(
        _ABOUT_CLASSES.search(item.id if isinstance(item, ast.Name) else item.attr)
        for argument in about
        for item in ast.walk(argument)
        if isinstance(item, ast.Name | ast.Attribute)
    )
