"""A console script is one more line in setup.py, and every other byte stays."""

from __future__ import annotations

import ast
import difflib
import subprocess
import sys
from pathlib import Path

import pytest

from porter.generate.codemods import Changed, Refused, Result, Unchanged, add_console_script
from porter.reference.names import console_scripts
from tests.real_clones import real_clone
from tests.reference.trees import FILES

NAME = "vit_mine"
TARGET = "nvidia_tao_pytorch.cv.vit_mine.entrypoint.vit_mine:main"


def add(source: str, *, after: str | None = None, name: str = NAME, target: str = TARGET) -> Result:
    return add_console_script(source, name, target, after=after)


def added(source: str, *, after: str | None = None) -> str:
    """Return the one line that the edit added; nothing else may differ."""
    result = add(source, after=after)
    assert isinstance(result, Changed)
    changes = list(difflib.ndiff(source.splitlines(keepends=True), result.source.splitlines(keepends=True)))
    assert not [line for line in changes if line.startswith("- ")]
    lines = [line[2:] for line in changes if line.startswith("+ ")]
    assert len(lines) == 1
    assert console_scripts(result.source) == console_scripts(source) | {NAME: TARGET}
    assert add(result.source, after=after) == Unchanged(result.source)
    return lines[0]


def setup(scripts: str) -> str:
    points = f"{{\n        'console_scripts': {scripts}\n    }}"
    return f"import setuptools\n\nsetuptools.setup(\n    entry_points={points},\n)\n"


def test_it_follows_the_last_script_of_the_same_domain() -> None:
    source = FILES["setup.py"]

    assert added(source) == f"            '{NAME}={TARGET}',\n"
    result = add(source)
    assert isinstance(result, Changed)
    lines = [line.strip() for line in result.source.splitlines()]
    position = lines.index(f"'{NAME}={TARGET}',")
    assert lines[position - 1].startswith("'dino=")
    assert lines[position + 1] == "# SSL entry points"


def test_it_follows_the_script_that_is_named() -> None:
    result = add(FILES["setup.py"], after="classification_pyt")

    assert isinstance(result, Changed)
    assert list(console_scripts(result.source))[:3] == ["classification_pyt", NAME, "dino"]


def test_quotes_spaces_and_comments_stay_with_their_lines() -> None:
    source = setup(
        '[\n            # first\n            "one = a.b:main",  # stays with one\n'
        "            # second\n            'two=a.c:main',\n        ]"
    )

    assert added(source, after="one") == f'            "{NAME} = {TARGET}",\n'
    result = add(source, after="one")
    assert isinstance(result, Changed)
    assert '"one = a.b:main",  # stays with one\n' in result.source
    assert f'"{NAME} = {TARGET}",\n            # second\n' in result.source


def test_after_the_last_line() -> None:
    source = setup(
        "[\n            'one=a.b:main',\n            'two=a.c:main',  # last\n            # end\n        ]"
    )

    added(source, after="two")
    result = add(source, after="two")
    assert isinstance(result, Changed)
    assert (
        f"'two=a.c:main',  # last\n            '{NAME}={TARGET}',\n            # end\n        ]"
        in result.source
    )


def test_a_last_line_without_a_comma_gets_one() -> None:
    result = add(setup("[\n            'one=a.b:main'  # only\n        ]"))

    assert isinstance(result, Changed)
    assert (
        f"[\n            'one=a.b:main',  # only\n            '{NAME}={TARGET}'\n        ]" in result.source
    )


@pytest.mark.parametrize(
    ("scripts", "expected"),
    [
        ("['one=a.b:main']", f"['one=a.b:main', '{NAME}={TARGET}']"),
        ("['one=a.b:main',]", f"['one=a.b:main', '{NAME}={TARGET}',]"),
        ("['one=a.b:main', 'two=a.c:main']", f"['one=a.b:main', 'two=a.c:main', '{NAME}={TARGET}']"),
        ("[]", f"['{NAME}={TARGET}']"),
    ],
)
def test_lists_on_one_line(scripts: str, expected: str) -> None:
    result = add(setup(scripts))

    assert isinstance(result, Changed)
    assert result.source == setup(expected)


def test_windows_line_ends_and_tabs_stay() -> None:
    source = setup("[\n\t\t'one=a.b:main',\n\t\t'two=a.c:main',\n\t]").replace("\n", "\r\n")

    assert added(source) == f"\t\t'{NAME}={TARGET}',\r\n"
    result = add(source)
    assert isinstance(result, Changed)
    assert result.source.count("\n") == result.source.count("\r\n")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (setup(f"['{NAME}=somebody.elses:main']"), f"already has {NAME}, for somebody.elses:main"),
        (setup(f"['{NAME}=a.b:main', '{NAME}={TARGET}']"), f"names {NAME} 2 times"),
        (setup("SCRIPTS"), "console_scripts is not a literal list"),
        (setup("['one=' 'a.b:main']"), "an element that is no plain 'name=target' string"),
        (setup("[f'one={x}']"), "an element that is no plain 'name=target' string"),
        (setup("['one=a.b:main', *more]"), "an element that is no plain 'name=target' string"),
        (setup("['nothing']"), "an element that is no plain 'name=target' string"),
        (setup("[b'one=a.b:main']"), "an element that is no plain 'name=target' string"),
        ("setup(entry_points=points)\n", "entry_points is not a literal dict"),
        ("setup(entry_points={KEY: []})\n", "entry_points has a key that is no plain string"),
        ("setup(entry_points={**points})\n", "entry_points has a key that is no plain string"),
        ("setup(name='x')\n", "it has 0 setup("),
        (setup("['one=a.b:main']") * 2, "it has 2 setup("),
        ("setup(\n", "it does not parse"),
    ],
)
def test_other_shapes_are_refused(source: str, reason: str) -> None:
    result = add(source)

    assert isinstance(result, Refused)
    assert reason in result.reason


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("a'b", TARGET),
        ("a=b", TARGET),
        ("", TARGET),
        (NAME, "a.b"),
        (NAME, "a.b:main\n'x'"),
        (NAME, "a b:main"),
    ],
)
def test_words_that_are_no_console_script_never_reach_the_file(name: str, target: str) -> None:
    assert isinstance(add(FILES["setup.py"], name=name, target=target), Refused)


def test_a_script_to_follow_that_is_not_there_is_refused() -> None:
    result = add(FILES["setup.py"], after="segformer")

    assert result == Refused("console_scripts has 0 scripts named segformer, the one to follow")


def test_importing_it_does_not_import_libcst() -> None:
    code = "import sys, porter.generate.codemods; sys.exit('libcst' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.real_tao
@pytest.mark.parametrize(
    ("repo", "after", "above", "below"),
    [
        ("tao-pytorch", None, "'oneformer=", "# SDG entry point"),
        ("tao-pytorch", "classification_pyt", "'classification_pyt=", "'deformable_detr="),
        ("tao-pytorch", "radio", "'radio=", "]"),
        ("tao-deploy", "classification_pyt", "'classification_pyt=", "'classification_tf1="),
        ("tao-deploy", "video_clip", "'video_clip=", "]"),
    ],
)
def test_real_setup_files(repo: str, after: str | None, above: str, below: str) -> None:
    source = (Path(real_clone(repo)) / "setup.py").read_text(encoding="utf-8")

    assert added(source, after=after) == f"            '{NAME}={TARGET}',\n"
    result = add(source, after=after)
    assert isinstance(result, Changed)
    ast.parse(result.source)
    lines = [line.strip() for line in result.source.splitlines()]
    position = lines.index(f"'{NAME}={TARGET}',")
    assert lines[position - 1].startswith(above)
    assert lines[position + 1].startswith(below)
