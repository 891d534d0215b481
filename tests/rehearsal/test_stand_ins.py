"""The stand-ins for TensorRT and PyCUDA, inside the environment that they are for."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from porter.records.sandbox import Environment
from tests.rehearsal.inside import run_inside

pytestmark = pytest.mark.deploy_env

CASES = Path(__file__).parent / "cases.py"
NAMES = [
    node.name
    for node in ast.parse(CASES.read_text()).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
]


@pytest.fixture(scope="module")
def outcomes(
    deploy_environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """What failed, by case; all of them run in one process, as importing onnxruntime takes the time."""
    folder = tmp_path_factory.mktemp("rehearsal")
    result = folder / "result.xml"
    options = ["--quiet", "--noconftest", "-c", "/dev/null", "-p", "no:cacheprovider"]
    ran = run_inside(
        deploy_environment,
        ["-m", "pytest", *options, f"--junitxml={result}", f"--basetemp={folder / 'tmp'}", str(CASES)],
        home=folder,
    )
    assert result.exists(), ran.stdout + ran.stderr
    found: dict[str, list[str]] = {}
    for case in ElementTree.parse(result).iter("testcase"):
        failures = found.setdefault(case.attrib["name"].partition("[")[0], [])
        failures += [
            f"{case.attrib['name']}\n{child.text}"
            for child in case
            if child.tag in ("failure", "error", "skipped")
        ]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_case(name: str, outcomes: dict[str, list[str]]) -> None:
    assert outcomes[name] == [], "\n".join(outcomes[name])
