"""What a lifted class says of itself."""

from __future__ import annotations

import pytest

from porter.transplant.docs import summary


@pytest.mark.parametrize(
    ("docstring", "told"),
    [
        ('" For hybrids alone.\n', ["For hybrids alone."]),
        ('"Hybrids" have two parts.', ['"Hybrids" have two parts.']),
        ("Fuses features.\n\nArgs:\n    x (`int`): none.\n", ["Fuses features."]),
        ("Fuses.\n\nTaken from somewhere.\n", ["Fuses.", "Taken from somewhere."]),
    ],
)
def test_the_words_on_the_thing_and_its_credits_are_kept(docstring: str, told: list[str]) -> None:
    assert summary(docstring) == told
