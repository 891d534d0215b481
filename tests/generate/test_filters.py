"""Values reach generated code as literals, whatever is in them."""

from __future__ import annotations

import ast

import pytest
import yaml

from porter.generate.filters import comment_text, python_literal, yaml_literal

HOSTILE = [
    'a "quoted" label',
    "back\\slash",
    "two\nlines",
    "{{ jinja }} {% raw %}",
    "'''triple\"\"\"",
    "nul\x00 and bell\x07",
    "line\u2028separator\u2029",
    "next\x85line \x7f \x9f",
    "half \ud800 a pair",
    "\ufeffmarks \ufffe \uffff",
    "naïve ✓ 猫 🎈",
    "",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_survives_python(text: str) -> None:
    assert ast.literal_eval(python_literal(text)) == text
    assert python_literal(text).encode()
    assert "\n" not in python_literal(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_survives_yaml(text: str) -> None:
    assert yaml.safe_load(f"key: {yaml_literal(text)}".encode()) == {"key": text}


@pytest.mark.parametrize(
    "value", [True, False, None, 3, -1, 1e-12, 0.1, [1, "a"], (0.5, None), {"a": [1, 2.5]}, []]
)
def test_plain_values_survive_python(value: object) -> None:
    expected = list(value) if isinstance(value, tuple) else value
    assert ast.literal_eval(python_literal(value)) == expected


def test_a_value_without_a_literal_is_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        python_literal({1, 2})


def test_a_comment_stays_one_line() -> None:
    assert comment_text("evil\nimport os\r\n  # x") == "evil import os # x"
