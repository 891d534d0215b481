"""README says what is: gates, commands and files."""

from __future__ import annotations

import re
from pathlib import Path

from porter.gates.catalogue import GATES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_every_gate_is_in_the_table_with_its_title() -> None:
    rows = dict(re.findall(r"^\|[^|]*\| `([\w-]+)`[ *~]*\| (.*) \|$", README, re.M))
    assert rows == {gate.id: gate.title for gate in GATES}


def test_gates_that_may_be_blocked_are_marked() -> None:
    marked = set(re.findall(r"`([\w-]+)` \*", README))
    assert marked == {gate.id for gate in GATES if not gate.cpu}


def test_gates_that_may_be_rehearsed_are_marked() -> None:
    marked = set(re.findall(r"`([\w-]+)` ~", README))
    assert marked == {gate.id for gate in GATES if gate.stand_in}


def test_every_command_is_described() -> None:
    from typer.main import get_command

    from porter.cli import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    described = set(re.findall(r"^\| `porter (\w+)", README, re.M))
    assert described == set(commands)


def test_no_placeholder_is_left() -> None:
    assert "@@" not in README


def test_files_that_it_names_are_there() -> None:
    for name in (
        "LICENSE",
        "containers/install-bubblewrap.sh",
        "Makefile",
        "docs/matrix.md",
        "docs/matrix-tao-7.0.1.md",
    ):
        assert (ROOT / name).exists()
