"""What every generated module has to be, whatever it is for."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def assert_clean(files: Mapping[str, str], folder: Path, longest: int | None = 200) -> None:
    """Hold the modules among *files* (text by path) to Python, docstrings, line length and ruff.

    Args:
        files: what was generated; setup files at the root are the clone's own.
        folder: scratch.
        longest: line that is allowed; None where a schema states a palette, which is one.
    """
    modules = {path: text for path, text in files.items() if path.endswith(".py") and "/" in path}
    assert modules
    for path, text in modules.items():
        assert ast.get_docstring(ast.parse(text)), path
        assert "import porter" not in text, path
        assert "from porter" not in text, path
        assert longest is None or max(map(len, text.splitlines())) <= longest, path
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    command = [sys.executable, "-m", "ruff", "check", "--isolated"]
    checked = subprocess.run(
        [*command, "--select=E,F,W,D1", "--ignore=E501", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
