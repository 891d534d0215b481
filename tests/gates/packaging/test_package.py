"""Console commands that resolve, and licence headers."""

from __future__ import annotations

import pytest

from porter.gates.package import console_gate, headers_gate
from tests.gates.packaging.port import DEPLOYED, NAME, TRAINER, Packaged

pytestmark = [pytest.mark.torch_env, pytest.mark.deploy_env]

DEPLOY_LINE = f"{NAME}=nvidia_tao_deploy.cv.{NAME}.entrypoint.{NAME}:main"


def test_the_commands_resolve_and_list_their_subtasks(kit_port: Packaged) -> None:
    gate = console_gate(kit_port.session)
    assert gate.state == "passed", gate.summary
    assert gate.evidence["scripts"] == {
        "tao-pytorch/setup.py": DEPLOY_LINE.partition("=")[2].replace("deploy", "pytorch"),
        "tao-deploy/setup.py": DEPLOY_LINE.partition("=")[2],
        "tao-deploy/setup_l4t.py": DEPLOY_LINE.partition("=")[2],
    }


def test_without_tao_deploy_the_trainers_command_is_asked_alone(lone_port: Packaged) -> None:
    gate = console_gate(lone_port.session)
    assert gate.state == "passed", gate.summary
    assert list(gate.evidence["scripts"]) == ["tao-pytorch/setup.py"]


@pytest.mark.parametrize("setup", ["setup.py", "setup_l4t.py"])
def test_a_setup_file_without_the_command(kit_port: Packaged, setup: str) -> None:
    with kit_port.changed(f"tao-deploy/{setup}", DEPLOY_LINE, "other=nvidia_tao_deploy.cv.other:main"):
        gate = console_gate(kit_port.session)
    assert gate.state == "failed"
    assert f"{setup} of tao-deploy declares no such command" in gate.summary


def test_a_command_that_leads_elsewhere(kit_port: Packaged) -> None:
    elsewhere = f"{NAME}=nvidia_tao_deploy.cv.classification_pyt.entrypoint.classification_pyt:main"
    with kit_port.changed("tao-deploy/setup_l4t.py", DEPLOY_LINE, elsewhere):
        gate = console_gate(kit_port.session)
    assert gate.state == "failed"
    assert "setup_l4t.py of tao-deploy declares nvidia_tao_deploy.cv.classification_pyt" in gate.summary


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("entrypoint/{name}.py", "def main(", "def start("), "cannot import name 'main'"),
        (("scripts/inference.py", "import", "import nowhere\nimport"), "nowhere"),
        (("scripts/inference.py", "", None), "does not list inference"),
    ],
    ids=["no-main", "broken-script", "no-script"],
)
def test_a_command_that_does_not_start(
    kit_port: Packaged, change: tuple[str, str, str | None], said: str
) -> None:
    path, old, new = change
    with kit_port.changed(f"{DEPLOYED}/{path.format(name=NAME)}", old, new):
        gate = console_gate(kit_port.session)
    assert gate.state == "failed"
    assert "of tao-deploy" in gate.summary
    assert said in gate.summary


def test_a_subtask_that_a_log_line_names_is_not_listed(kit_port: Packaged) -> None:
    script = f"{TRAINER}/scripts/export.py"
    says = "\nprint('ready to export')\n"
    with (
        kit_port.changed(f"{TRAINER}/entrypoint/{NAME}.py", "import argparse", f"import argparse\n{says}"),
        kit_port.changed(script, "", None),
    ):
        gate = console_gate(kit_port.session)
    assert gate.state == "failed"
    assert "of tao-pytorch does not list export" in gate.summary


def test_every_generated_file_has_its_header(kit_port: Packaged) -> None:
    gate = headers_gate(kit_port.session)
    assert gate.state == "passed", gate.summary
    assert gate.evidence["files"] > 40


@pytest.mark.parametrize("path", [f"{TRAINER}/scripts/train.py", f"{DEPLOYED}/utils.py"])
@pytest.mark.parametrize("change", ["another year", "another owner", "gone"])
def test_a_header_that_is_not_the_repositorys(kit_port: Packaged, path: str, change: str) -> None:
    line = kit_port.file(path).read_text().splitlines()[0]
    new = {"another year": line.replace("2026", "2019"), "another owner": "# Copyright (c) me", "gone": ""}
    with kit_port.changed(path, line, new[change]):
        gate = headers_gate(kit_port.session)
    assert gate.state == "failed"
    assert path in gate.summary


def test_a_header_that_goes_on_differently(kit_port: Packaged) -> None:
    path = f"{DEPLOYED}/scripts/evaluate.py"
    with kit_port.changed(path, "Apache-2.0\n", "Apache-2.0 OR MIT\n"):
        assert headers_gate(kit_port.session).state == "failed"


def test_a_file_that_a_person_took_away_needs_no_header(kit_port: Packaged) -> None:
    with kit_port.changed(f"{DEPLOYED}/utils.py", "", None):
        assert headers_gate(kit_port.session).state == "passed"


@pytest.mark.real_tao
def test_the_real_clones(real_port: Packaged) -> None:
    console, headers = console_gate(real_port.session), headers_gate(real_port.session)
    assert console.state == "passed", console.summary
    assert headers.state == "passed", headers.summary
    assert "check_license_header.py agrees" in headers.summary


@pytest.mark.real_tao
def test_tao_deploys_own_checker_is_asked(real_port: Packaged) -> None:
    checker = "tao-deploy/.github/hooks/check_license_header.py"
    with real_port.changed(checker, "MAX_HEADER_LINES = 10", "MAX_HEADER_LINES = 0"):
        gate = headers_gate(real_port.session)
    assert gate.state == "failed"
    assert "check_license_header.py" in gate.summary
    assert "nvidia_tao_deploy" in gate.summary
