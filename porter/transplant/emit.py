"""Puts a lifted file together: header, imports, stand-ins, statements."""

from __future__ import annotations

import itertools
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence

import libcst as cst

from porter.transplant.source import PACKAGE, Import, Top, code_of, used

_APACHE = """\
Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License."""
_NAME = "Apache License, Version 2.0"
_COPYRIGHT = re.compile(r"(?i)^[#\s]*(copyright\b.*)$")
_CODE = ("import ", "from ", "class ", "def ", "@", '"""', 'r"""')
_WIDTH = 100
_PRAGMAS = """\
# Names and layout are those of transformers, so that the two can be compared.
# flake8: noqa: E125,E203,E741,W503
# pylint: disable=R,redefined-builtin,unused-variable,possibly-used-before-assignment"""


def copyrights(sources: Iterable[str]) -> tuple[str, ...]:
    """Return every distinct copyright line at the head of the *sources*."""
    found: dict[str, None] = {}
    for text in sources:
        for line in head_of(text):
            if match := _COPYRIGHT.match(line):
                found[" ".join(match[1].split())] = None
    return tuple(found)


def head_of(text: str) -> list[str]:
    """Return the comments and the text before the first statement or docstring of a source."""
    return list(itertools.takewhile(lambda line: not line.startswith(_CODE), text.splitlines()[:60]))


def licence_problem(origin: str, text: str, licence: str) -> str:
    """Say why a source cannot be taken under the Apache License 2.0; empty where it can.

    Args:
        origin: name of the module.
        text: its source; where its head says nothing, the package's licence holds.
        licence: the package's.
    """
    head = "\n".join(head_of(text))
    if _NAME in head or ("licen" not in head.lower() and "Apache License" in licence):
        return ""
    return f"{origin} is not under the {_NAME}"


def header(
    architecture: str, version: str, origins: Sequence[str], holders: Sequence[str]
) -> tuple[str, ...]:
    """Return the first lines of the file: whose it is, its licence, where it is from, that it was changed."""
    shown = ", ".join(origin.removeprefix(f"{PACKAGE}.") for origin in origins)
    notice = (
        f"Modified: {architecture} and what it needs were taken from {PACKAGE} {version} ({shown}) and put "
        f"into this one file, which does without that library. Losses, pruning and what the model does not "
        f"use were left out; short classes with the names of its base classes stand in their place."
    )
    lines = [*holders, "", *_APACHE.splitlines(), "", *textwrap.wrap(notice, _WIDTH, break_on_hyphens=False)]
    return tuple(f"# {line}".rstrip() for line in lines)


def render(
    head: Sequence[str], summary: str, imports: Mapping[str, Sequence[Import]], statements: Sequence[Top]
) -> str:
    """Return the text of the file.

    Args:
        head: its header.
        summary: its docstring.
        imports: of other packages, by the name that they bind; what the statements do not use is left out.
        statements: in the order in which they are needed.
    """
    bodies = [spaced(statement) for statement in statements]
    text = "\n".join(bodies)
    names = {name for body in bodies for name in used(body)}
    wanted = [each for name, found in imports.items() if name in names for each in _fitting(found, text)]
    parts = [*head, "", _PRAGMAS, f'"""{summary}"""', "", *import_lines(wanted), ""]
    out = "\n".join(parts)
    last: Top | None = None
    for statement, body in zip(statements, bodies, strict=True):
        simple = isinstance(statement, cst.SimpleStatementLine)
        joined = simple and isinstance(last, cst.SimpleStatementLine)
        out += ("" if joined else "\n" if last is None and simple else "\n\n") + body
        last = statement
    return out.rstrip() + "\n"


def _fitting(found: Sequence[Import], text: str) -> list[Import]:
    """Return the imports of one name that are used: ``import a.b`` only where ``a.b`` stands in the text."""
    plain = [
        each for each in found if each.name or each.alias or "." not in each.module or each.module in text
    ]
    deep = [each for each in plain if not each.name and not each.alias and "." in each.module]
    # `import a.b` binds `a` as well.
    is_bound = any(each.module.partition(".")[0] == other.module for each in deep for other in plain)
    return [each for each in plain if not (is_bound and each not in deep and each.module == "collections")]


def import_lines(wanted: Iterable[Import]) -> list[str]:
    """Return import statements, the standard library's first."""
    whole = {each for each in wanted if not each.name}
    named: dict[str, set[Import]] = {}
    for each in wanted:
        if each.name:
            named.setdefault(each.module, set()).add(each)
    groups: list[list[tuple[str, str]]] = [[], []]
    for each in whole:
        line = f"import {each.module}" + (f" as {each.alias}" if each.alias else "")
        groups[not _is_standard(each.module)].append((f"0{each.module}", line))
    for module, names in named.items():
        listed = ", ".join(
            sorted(f"{each.name} as {each.alias}" if each.alias else each.name for each in names)
        )
        groups[not _is_standard(module)].append((f"1{module}", f"from {module} import {listed}"))
    lines: list[str] = []
    for group in groups:
        if group and lines:
            lines.append("")
        lines += [line for _, line in sorted(group)]
    return lines


def _is_standard(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def spaced(statement: Top) -> str:
    """Return the source of a statement with its comments and without blank lines before it."""
    comments = [line for line in statement.leading_lines if line.comment is not None]
    return code_of(statement.with_changes(leading_lines=comments))
