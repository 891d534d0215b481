"""Docstrings of lifted code: the first words of those that are there, else words of the name."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Sequence

import libcst as cst

_WIDTH = 118
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+\d*|[A-Z]+\d*|\d+")
# What begins the description of arguments, results or examples, not of the thing itself.
_LIST = re.compile(
    r"^(?:(?:Args?|Arguments|Params|Parameters|Returns?|Raises|Examples?|Usage)\s*:?\s*$"
    r"|[\w, ]+ \(`|[\w]+ \()"
)
_CREDIT = re.compile(
    r"(?i)adapted from|taken from|copied from|borrowed from|based on|original implementation|comment by|"
    r"credit|from the .{0,20}(?:library|repo)|github\.com|arxiv|huggingface\.co/papers"
)


def paragraphs(docstring: str) -> list[str]:
    """Return the paragraphs of a docstring, without its indentation."""
    # Some begin with one quote too many.
    text = re.sub(r'^"\s+', "", inspect.cleandoc(docstring))
    return [part.strip("\n") for part in re.split(r"\n\s*\n", text) if part.strip()]


def summary(docstring: str, *, whole: bool = True) -> list[str]:
    """Return what a docstring says of the thing itself, and every credit that it gives; in paragraphs.

    Args:
        docstring: as it stands in the source.
        whole: whether its first paragraph is about the thing; elsewise only credits are taken.
    """
    parts = paragraphs(docstring)
    told = []
    for place, part in enumerate(parts):
        first = part.splitlines()[0].strip()
        is_told = place == 0 and whole and not _LIST.match(first)
        if is_told or (_CREDIT.search(part) and ">>>" not in part and not _LIST.match(first)):
            told.append(part)
    return told


def words(name: str, prefix: str = "") -> str:
    """Return the words of an identifier as the beginning of a sentence; *prefix* is left out."""
    bare = name[len(prefix) :] if prefix and name.startswith(prefix) and name != prefix else name
    found = _WORD.findall(bare.replace("_", " "))
    text = " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in found) or name
    return f"{text[:1].upper()}{text[1:]}"


def of_forward(parameters: Sequence[str]) -> str:
    """Return the docstring of a forward method without one."""
    names = [name for name in parameters if name != "self"]
    return f"Return the output for {names[0]}." if names else "Return the output."


def statement(told: Sequence[str], indent: int) -> cst.SimpleStatementLine:
    """Return a docstring of some paragraphs as a statement.

    Args:
        told: paragraphs; lines of a single one are joined and wrapped, lists keep their lines.
        indent: columns that it is indented by.
    """
    room = _WIDTH - indent
    blocks = [_wrapped(part, room) for part in told]
    lines = [line for place, block in enumerate(blocks) for line in ([""] * bool(place) + block)]
    text = "\n".join(lines).replace('"""', "'''")
    margin = " " * indent
    if len(lines) == 1 and len(text) + indent + 6 <= _WIDTH + 2:
        body = text
    else:
        body = "\n".join(f"{margin}{line}" if line else "" for line in lines).lstrip() + f"\n{margin}"
    if body.endswith('"'):
        body += " "
    letter = "r" if "\\" in body else ""
    return cst.SimpleStatementLine(body=[cst.Expr(cst.SimpleString(f'{letter}"""{body}"""'))])


def _wrapped(part: str, room: int) -> list[str]:
    lines = [line.rstrip() for line in part.splitlines()]
    is_list = any(re.match(r"\s*(?:[-*]|\d\.|>>>|```)", line) for line in lines)
    if is_list or any(line.startswith(" ") for line in lines[1:]):
        return [lines[0], *textwrap.dedent("\n".join(lines[1:])).splitlines()]
    joined = " ".join(line.strip() for line in lines)
    return textwrap.wrap(joined, room - 6, break_long_words=False, break_on_hyphens=False)
