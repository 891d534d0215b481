"""Literals with names and arithmetic are worked out; anything else is not guessed."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from porter.reference.literals import NotLiteralError, evaluate


def parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-1e-5", -1e-5),
        ("(2, 2, 18)", [2, 2, 18]),
        ("[1] * (depth // 2) + [3]", [1, 1, 1, 3]),
        ("5472 / 1024", 5.34375),
        ("{'a': [1], 'b': None}", {"a": [1], "b": None}),
        ("','.join(['x', 'y'])", "x,y"),
        ("MISSING", "???"),
        ("omegaconf.MISSING", "???"),
        ("f'vit_{depth}'", "vit_6"),
        ("widths[1]", 20),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert evaluate(parsed(text), {"depth": 6, "widths": [10, 20]}) == value


@pytest.mark.parametrize(
    "text",
    [
        "f(1)",
        "unknown",
        "'a' + 1",
        "1 / 0",
        "{**a}",
        "widths[7]",
        "[x for x in y]",
        "'a' * 1000000000",
        "b'x'",
        "...",
    ],
)
def test_what_a_run_would_have_to_tell(text: str) -> None:
    with pytest.raises(NotLiteralError):
        evaluate(parsed(text), {"widths": [10]})
