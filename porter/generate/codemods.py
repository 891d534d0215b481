"""Edits of files that TAO already has: tree to tree, idempotent, every other byte kept.

A shape that is not understood is refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    import libcst as cst

_GROUP = "console_scripts"
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_TARGET = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Changed:
    """The edit was made."""

    source: str


@dataclass(frozen=True)
class Unchanged:
    """The source already says it."""

    source: str


@dataclass(frozen=True)
class Refused:
    """The edit was not made, and why."""

    reason: str


Result = Union[Changed, Unchanged, Refused]  # noqa: UP007 - evaluated on import, also by Python 3.10


class _RefusedError(Exception):
    pass


def add_console_script(source: str, name: str, target: str, *, after: str | None = None) -> Result:
    """Add ``name=target`` to the console scripts of a ``setup.py``.

    The new line comes after the script *after*; without one, after the last script whose target
    shares the most leading packages with *target*. It takes the quotes and the indentation of the
    line above it.

    Args:
        source: text of ``setup.py``.
        name: command name.
        target: ``package.module:function``.
        after: name of the script to follow.

    Returns:
        Refused where the file has another shape than one ``setup(entry_points={...})`` with a
        literal list, where *after* is not in that list, or where *name* has another target.
    """
    if not _NAME.fullmatch(name) or not _TARGET.fullmatch(target):
        return Refused(f"{name}={target} is not a console script of the form name=package.module:function")
    try:
        module, scripts = _parse(source)
        entries = _entries(scripts)
        found = [entry for entry in entries if entry.name == name]
        if len(found) > 1:
            raise _RefusedError(f"{_GROUP} names {name} {len(found)} times")
        if found and found[0].target != target:
            raise _RefusedError(f"{_GROUP} already has {name}, for {found[0].target}")
        if found:
            return Unchanged(source)
        position = _neighbour(entries, target, after)
    except _RefusedError as refusal:
        return Refused(str(refusal))
    edited = _with_entry(scripts, entries, position, f"{name}={target}")
    return Changed(module.with_deep_changes(scripts, elements=edited.elements, rbracket=edited.rbracket).code)


@dataclass(frozen=True)
class _Entry:
    name: str
    target: str
    quote: str
    spaced: bool


def _parse(source: str) -> tuple[cst.Module, cst.List]:
    """Return the module and the one list of console scripts in it."""
    import libcst as cst

    try:
        module = cst.parse_module(source)
    except cst.ParserSyntaxError as error:
        raise _RefusedError(f"it does not parse: {error.message}") from error
    lists = [found for call in _setup_calls(module) for found in _script_lists(call)]
    if len(lists) != 1:
        raise _RefusedError(
            f"it has {len(lists)} setup(entry_points={{'{_GROUP}': [...]}}) with a literal list, not one"
        )
    return module, lists[0]


def _setup_calls(module: cst.Module) -> Sequence[cst.Call]:
    import libcst as cst

    calls: list[cst.Call] = []

    class Finder(cst.CSTVisitor):
        def visit_Call(self, node: cst.Call) -> None:  # noqa: N802 - the name is libcst's
            name = node.func.attr if isinstance(node.func, cst.Attribute) else node.func
            if isinstance(name, cst.Name) and name.value == "setup":
                calls.append(node)

    module.visit(Finder())
    return calls


def _script_lists(call: cst.Call) -> Sequence[cst.List]:
    import libcst as cst

    found: list[cst.List] = []
    for argument in call.args:
        if argument.keyword is None or argument.keyword.value != "entry_points":
            continue
        if not isinstance(argument.value, cst.Dict):
            raise _RefusedError("entry_points is not a literal dict")
        for element in argument.value.elements:
            if not isinstance(element, cst.DictElement) or not isinstance(element.key, cst.SimpleString):
                raise _RefusedError("entry_points has a key that is no plain string")
            if element.key.evaluated_value == _GROUP:
                if not isinstance(element.value, cst.List):
                    raise _RefusedError(f"{_GROUP} is not a literal list")
                found.append(element.value)
    return found


def _entries(scripts: cst.List) -> list[_Entry]:
    import libcst as cst

    entries = []
    for element in scripts.elements:
        value = element.value
        text = value.evaluated_value if isinstance(value, cst.SimpleString) else None
        if not isinstance(value, cst.SimpleString) or not isinstance(text, str) or "=" not in text:
            raise _RefusedError(f"{_GROUP} has an element that is no plain 'name=target' string")
        name, _, target = text.partition("=")
        entries.append(
            _Entry(
                name=name.strip(),
                target=target.strip(),
                quote=value.quote,
                spaced=text.partition("=")[2][:1] == " ",
            )
        )
    return entries


def _neighbour(entries: Sequence[_Entry], target: str, after: str | None) -> int:
    """Return the position of the entry to follow; -1 for an empty list."""
    if after is not None:
        named = [position for position, entry in enumerate(entries) if entry.name == after]
        if len(named) != 1:
            raise _RefusedError(f"{_GROUP} has {len(named)} scripts named {after}, the one to follow")
        return named[0]
    ranks = [_shared(entry.target, target) for entry in entries]
    return max(range(len(entries)), key=lambda position: (ranks[position], position), default=-1)


def _shared(left: str, right: str) -> int:
    """Return how many leading packages two targets share."""
    pairs = zip(left.split("."), right.split("."), strict=False)
    count = 0
    for one, other in pairs:
        if one != other:
            break
        count += 1
    return count


def _with_entry(scripts: cst.List, entries: Sequence[_Entry], position: int, line: str) -> cst.List:
    import libcst as cst

    if position < 0:
        return scripts.with_changes(elements=[cst.Element(cst.SimpleString(f"'{line}'"))])
    model = entries[position]
    text = line.replace("=", " = ", 1) if model.spaced else line
    above = scripts.elements[position]
    added = cst.Element(cst.SimpleString(f"{model.quote}{text}{model.quote}"), comma=above.comma)
    elements = list(scripts.elements)
    if isinstance(above.comma, cst.Comma) and position < len(elements) - 1:
        gap = above.comma.whitespace_after
        elements[position] = above.with_changes(
            comma=above.comma.with_changes(whitespace_after=_line_end(gap))
        )
        below = above.comma.with_changes(whitespace_after=_rest(gap))
        elements.insert(position + 1, added.with_changes(comma=below))
        return scripts.with_changes(elements=elements)

    # After the last element comes the bracket: a comment on its line stands before that.
    bracket = scripts.rbracket.with_changes(whitespace_before=_rest(scripts.rbracket.whitespace_before))
    elements[position] = above.with_changes(comma=cst.Comma(whitespace_after=_last_gap(scripts)))
    elements.append(added)
    return scripts.with_changes(elements=elements, rbracket=bracket)


def _last_gap(scripts: cst.List) -> cst.BaseParenthesizableWhitespace:
    """Return what to put between the last element and one after it."""
    import libcst as cst

    before = scripts.elements[-2].comma if len(scripts.elements) > 1 else None
    sample = before.whitespace_after if isinstance(before, cst.Comma) else scripts.lbracket.whitespace_after
    if not isinstance(sample, cst.ParenthesizedWhitespace):
        return cst.SimpleWhitespace(" ")
    closing = scripts.rbracket.whitespace_before
    end = closing.first_line if isinstance(closing, cst.ParenthesizedWhitespace) else _plain_end(sample)
    return cst.ParenthesizedWhitespace(first_line=end, indent=sample.indent, last_line=sample.last_line)


def _line_end(gap: cst.BaseParenthesizableWhitespace) -> cst.BaseParenthesizableWhitespace:
    """Return the end of the line that *gap* begins with (its comment stays), up to the next item."""
    import libcst as cst

    return gap.with_changes(empty_lines=[]) if isinstance(gap, cst.ParenthesizedWhitespace) else gap


def _rest(gap: cst.BaseParenthesizableWhitespace) -> cst.BaseParenthesizableWhitespace:
    """Return *gap* without the comment that belongs to the line before it."""
    import libcst as cst

    if not isinstance(gap, cst.ParenthesizedWhitespace):
        return gap
    return gap.with_changes(first_line=_plain_end(gap))


def _plain_end(gap: cst.ParenthesizedWhitespace) -> cst.TrailingWhitespace:
    import libcst as cst

    return cst.TrailingWhitespace(newline=gap.first_line.newline)
