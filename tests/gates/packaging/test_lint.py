"""New findings fail, old ones do not, and a linter that did not run is no linter that found nothing."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from porter.gates.findings import hook_arguments, new_findings, read_end, recorded, steps
from porter.gates.lint import lint_gate
from porter.records.reference import Repo
from porter.records.validate import Finding, LintEnd, LintStep
from tests.gates.packaging.port import DEPLOYED, NAME, Packaged

HOME = Path("/clone")
FILES = ("a b/c.py", "d.py")


# What a clone's hooks ask for


def test_the_hooks_of_a_clone() -> None:
    config = """
repos:
- repo: https://example.org/scan
  hooks: [{id: scan, entry: scan --all}]
- repo: local
  hooks:
  - {id: pylint, entry: pylint --rcfile .pylintrc, language: system}
  - {id: style, entry: 'pydocstyle --ignore=D4 "--match=((?!_pb2).)*\\.py"'}
  - {id: flake8, entry: python -m flake8, args: [--ignore=E24, "--exclude=*_pb2.py"]}
  - {id: wrapped, entry: ci/run_static_tests.sh pylint}
"""
    assert hook_arguments(config, HOME) == {
        "pylint": ["--rcfile=/clone/.pylintrc"],
        "pydocstyle": ["--ignore=D4", "--match=((?!_pb2).)*\\.py"],
        "flake8": ["--ignore=E24", "--exclude=*_pb2.py"],
    }


def test_a_hook_that_has_only_its_name() -> None:
    config = "repos: [{repo: x, hooks: [{id: pylint, args: [--rcfile=lint/rc]}]}]"
    assert hook_arguments(config, HOME) == {"pylint": ["--rcfile=/clone/lint/rc"]}


@pytest.mark.parametrize(
    "config",
    ["", "repos:", "- a\n- b", "repos: [1, {hooks: 2}]", "repos: [{hooks: [{entry: 'flake8 \"'}]}]", "a: [b"],
)
def test_a_configuration_without_linters(config: str) -> None:
    try:
        assert hook_arguments(config, HOME) == {}
    except TypeError as error:  # pragma: no cover - what this test is against
        pytest.fail(str(error))


# What they answer


def step(tool: str) -> LintStep:
    found = steps(dict(recorded()), "/clone", FILES)
    return next(item for item in found if item.tool == tool)


def read(tool: str, out: str, code: int = 1, err: str = "") -> list[tuple[str, int, str, str]]:
    found = read_end(step(tool), LintEnd(exit_code=code, out=out, err=err))
    return [(item.path, item.line, item.code, item.text) for item in found]


def pylint(*messages: tuple[str, str, str]) -> str:
    return json.dumps(
        [
            {"path": path, "line": 7, "symbol": code, "message": text, "type": "error"}
            for path, code, text in messages
        ]
    )


def test_flake8() -> None:
    out = "a b/c.py:3:1: F401 'os' imported but unused\nd.py:12:80: W291 trailing whitespace\n"
    assert read("flake8", out) == [
        ("a b/c.py", 3, "F401", "'os' imported but unused"),
        ("d.py", 12, "W291", "trailing whitespace"),
    ]


def test_pydocstyle() -> None:
    out = "a b/c.py:1 at module level:\n        D100: Missing docstring\n"
    out += "d.py:4 in public method `f`:\n        D102: No\n"
    assert read("pydocstyle", out) == [
        ("a b/c.py", 1, "D100", "Missing docstring"),
        ("d.py", 4, "D102", "No"),
    ]


def test_pylint() -> None:
    out = pylint(
        ("d.py", "unused-import", "Unused import os\nmore"), ("/rc", "unknown-option", "of the rcfile")
    )
    assert read("pylint", out, code=4) == [("d.py", 7, "unused-import", "Unused import os")]


@pytest.mark.parametrize("tool", ["flake8", "pydocstyle"])
def test_nothing_found(tool: str) -> None:
    assert read(tool, "", code=0) == []


@pytest.mark.parametrize(
    ("tool", "out", "code", "err"),
    [
        ("flake8", "", 1, "Traceback (most recent call last):\nImportError: mccabe"),
        ("flake8", "", 2, "usage: flake8"),
        ("flake8", "d.py:1:1: F401 x\n", 0, ""),
        ("pydocstyle", "Usage: pydocstyle", 2, ""),
        ("pydocstyle", "", 1, "No module named pydocstyle"),
        ("pylint", "", 32, "usage: pylint"),
        ("pylint", "[broken", 1, ""),
        ("pylint", '{"messages": []}', 0, ""),
        ("pylint", "", 0, ""),
    ],
)
def test_a_linter_that_did_not_do_its_work(tool: str, out: str, code: int, err: str) -> None:
    with pytest.raises(ValueError, match=f"exit code {code}"):
        read(tool, out, code, err)


@pytest.mark.parametrize(
    ("code", "text", "kept"),
    [
        ("import-error", "Unable to import 'torch'", False),
        ("no-name-in-module", "No name 'resize' in module 'cv2'", False),
        ("import-error", "Unable to import 'nvidia_tao_core.nowhere'", False),
        ("import-error", "Unable to import 'nvidia_tao_pytorch.nowhere'", True),
        ("no-name-in-module", "No name 'x' in module 'nvidia_tao_deploy.cv'", True),
        ("undefined-variable", "Undefined variable 'torch'", True),
    ],
)
def test_imports_that_the_linters_cannot_resolve(code: str, text: str, kept: bool) -> None:
    assert bool(read("pylint", pylint(("d.py", code, text)), code=2)) is kept


def finding(text: str, line: int = 1, path: str = "setup.py") -> Finding:
    return Finding(tool="flake8", path=path, line=line, code="F401", text=text)


def test_a_finding_that_moved_is_not_new() -> None:
    new, known = new_findings([finding("os", 9), finding("sys", 3)], [finding("os", 2)])
    assert [item.text for item in new] == ["sys"]
    assert known == 1


def test_one_more_of_the_same_is_new() -> None:
    new, known = new_findings([finding("os", 2), finding("os", 5)], [finding("os", 2)])
    assert [item.line for item in new] == [5]
    assert known == 1


def test_the_same_in_another_file_is_new() -> None:
    assert new_findings([finding("os", path="b.py")], [finding("os")])[1] == 0


# The gates


def lint(port: Packaged, repo: Repo, *, state: str) -> dict[str, Any]:
    gate = lint_gate(port.session, repo)
    assert gate.state == state, (gate.summary, gate.evidence)
    return {"summary": gate.summary, **gate.evidence}


@pytest.mark.torch_env
@pytest.mark.deploy_env
@pytest.mark.parametrize("repo", ["tao-pytorch", "tao-deploy"])
def test_generated_code_is_clean(kit_port: Packaged, repo: Repo) -> None:
    said = lint(kit_port, repo, state="passed")
    assert "flake8, pydocstyle, pylint" in said["summary"]
    assert said["arguments from"] == dict.fromkeys(("flake8", "pydocstyle", "pylint"), "references/lint.toml")
    assert set(said["versions"]) == {"flake8", "pydocstyle", "pylint"}
    runs = kit_port.runs()
    assert lint(kit_port, repo, state="passed") == said
    assert kit_port.runs() == runs


CHANGES = {
    f"{DEPLOYED}/utils.py": ("\nimport", "\nimport sys\nimport"),
    f"{DEPLOYED}/dataloader.py": (
        "\nfrom",
        "\nfrom nvidia_tao_deploy.cv.nowhere import x\nfrom nvidia_tao_deploy.utils import y\nfrom",
    ),
    f"{DEPLOYED}/scripts/evaluate.py": (
        "if __name__ ==",
        "def late():\n    return open('x')\n\n\nif __name__ ==",
    ),
    f"tao-deploy/tests/{NAME}/test_{NAME}.py": (
        "import pytest",
        "import pytest\n\n\ndef test_it():\n    pass\n",
    ),
    "tao-deploy/setup.py": ("import setuptools\n", "import os\nimport setuptools\n"),
}


@pytest.fixture
def findings(kit_port: Packaged) -> str:
    """What the gate finds in a deploy package with a fault for every linter, a line each."""
    with contextlib.ExitStack() as stack:
        for path, (old, new) in CHANGES.items():
            stack.enter_context(kit_port.changed(path, old, new))
        return "\n".join(lint(kit_port, "tao-deploy", state="failed")["found"])


@pytest.mark.torch_env
@pytest.mark.deploy_env
def test_what_each_linter_finds_fails_the_gate(findings: str) -> None:
    network = DEPLOYED.partition("/")[2]
    for path, words in (
        (f"{network}/utils.py", "flake8 F401 'sys' imported but unused"),
        (f"{network}/utils.py", "pylint unused-import"),
        (f"{network}/dataloader.py", "pylint import-error Unable to import 'nvidia_tao_deploy.cv.nowhere'"),
        (
            f"{network}/dataloader.py",
            "pylint no-name-in-module No name 'y' in module 'nvidia_tao_deploy.utils'",
        ),
        (f"{network}/scripts/evaluate.py", "pylint unspecified-encoding"),
        (f"{network}/scripts/evaluate.py", "pydocstyle D103"),
        (f"tests/{NAME}/test_{NAME}.py", "pydocstyle D103"),
        ("setup.py", "flake8 F401 'os' imported but unused"),
    ):
        assert [line for line in findings.splitlines() if line.startswith(f"{path}:") and words in line]


@pytest.mark.torch_env
def test_without_tao_deploy(lone_port: Packaged) -> None:
    assert lint_gate(lone_port.session, "tao-deploy").state == "blocked"


@pytest.mark.torch_env
@pytest.mark.deploy_env
@pytest.mark.real_tao
@pytest.mark.parametrize("repo", ["tao-pytorch", "tao-deploy"])
def test_the_real_clones_with_tao_deploys_hooks(real_port: Packaged, repo: Repo) -> None:
    said = lint(real_port, repo, state="passed")
    assert set(said["arguments from"].values()) == {".pre-commit-config.yaml of tao-deploy"}
    # setup.py and setup_l4t.py had findings before the port touched them.
    assert said["known"] > 0


@pytest.mark.torch_env
@pytest.mark.deploy_env
@pytest.mark.real_tao
def test_a_release_without_hooks_is_held_to_the_record(released_port: Packaged) -> None:
    said = lint(released_port, "tao-deploy", state="passed")
    assert set(said["arguments from"].values()) == {"references/lint.toml"}
