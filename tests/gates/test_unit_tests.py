"""The gates about unit tests run a repository's pytest and believe nothing but what it reports."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from porter.errors import SandboxError
from porter.gates.unit_tests import collected_gate, core_gate, read_report, unit_test_gate
from porter.records.gates import GateResult
from porter.records.inspection import Source
from porter.records.options import PortOptions
from porter.records.reference import Reference
from porter.records.sandbox import Environment
from porter.runtimes import Runtimes
from porter.session import PortSession
from porter.ui import Ui
from porter.workspace import Workspace
from tests.repositories import repository, write

GATE = "tests-tao-pytorch"
FOLDER = "tests/cv_unit_test/net"
MARK = "import pytest\n\npytestmark = pytest.mark.cv_unit\n\n\n"
GOOD = f"{MARK}@pytest.mark.parametrize('n', [1, 2])\ndef test_good(n):\n    assert n\n"
SKIPPED = f"{MARK}@pytest.mark.skip(reason='there is no GPU')\ndef test_skipped():\n    pass\n"


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PortSession:
    """A port with a worktree, whose environment is the one of these tests."""
    here = Environment(
        name="test", prefix=sys.prefix, python=sys.executable, digest="", read_only=(sys.base_prefix,)
    )
    monkeypatch.setattr(Runtimes, "of", lambda _runtimes, _repo: here)
    workspace = Workspace.create(tmp_path / "port", PortOptions(source="org/net", name="net"))
    made = PortSession(workspace, Ui(quiet=True))
    source = Source(kind="hub", ref="org/net", sha="0" * 40, folder="/nowhere")
    made.journal.enter(1)
    made.journal.step("source", {}, Source, lambda: source)
    made.journal.enter(6)
    repository(made.worktree, {"setup.py": ""})
    return made


def ran(session: PortSession, **files: str) -> GateResult:
    """Run the gate on test files, given by their short names."""
    return unit_test_gate(session, GATE, "tao-pytorch", lay(session, files))


def collected(session: PortSession, **files: str) -> GateResult:
    return collected_gate(session, "tests-collected-tao-pytorch", "tao-pytorch", lay(session, files))


def lay(session: PortSession, files: dict[str, str]) -> list[str]:
    """Write test files beside the package's other files, and return the paths of all of them."""
    paths = {f"{FOLDER}/test_{name}.py": text for name, text in files.items()}
    paths |= {f"{FOLDER}/__init__.py": "", f"{FOLDER}/conftest.py": ""}
    write(session.worktree, paths)
    return list(paths)


def runs(session: PortSession) -> int:
    return len(list(session.workspace.runs.glob("*")))


def test_counts_and_reasons_are_evidence(session: PortSession) -> None:
    gate = ran(session, good=GOOD, skipped=SKIPPED)
    assert gate.state == "passed"
    assert gate.evidence["passed"] == 2
    assert gate.evidence["skipped"] == {"there is no GPU": 1}
    assert gate.evidence["seconds"] > 0
    assert "1 skipped: there is no GPU" in gate.summary
    assert Path(gate.log).is_file()
    assert gate.command


def test_what_passed_is_not_run_again_until_code_changes(session: PortSession) -> None:
    first = ran(session, good=GOOD)
    assert ran(session, good=GOOD) == first
    assert runs(session) == 1
    write(session.worktree, {"setup.py": "changed = True\n"})
    assert ran(session, good=GOOD).state == "passed"
    assert runs(session) == 2


def test_one_failing_test_fails_the_gate_and_is_tried_again(session: PortSession) -> None:
    bad = f"{MARK}def test_bad():\n    raise ValueError('the head is frozen')\n"
    gate = ran(session, good=GOOD, bad=bad)
    assert gate.state == "failed"
    assert "1 of 3" in gate.summary
    assert "test_bad" in gate.summary
    assert "the head is frozen" in gate.summary
    ran(session, good=GOOD, bad=bad)
    assert runs(session) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SKIPPED, "there is no GPU"),
        ("import pytest\n\npytest.importorskip('no_such_package')\n", "no_such_package"),
        ("def test_without_the_marker():\n    pass\n", "collected none"),
        ("", "collected none"),
    ],
    ids=["skipped", "file-skipped", "unmarked", "empty"],
)
def test_a_run_without_a_passed_test_fails(session: PortSession, text: str, said: str) -> None:
    gate = ran(session, net=text)
    assert gate.state == "failed"
    assert gate.summary.startswith("no unit test ran")
    assert said in gate.summary


def test_an_import_error_fails_beside_passing_tests(session: PortSession) -> None:
    gate = ran(session, good=GOOD, broken="import no_such_package\n")
    assert gate.state == "failed"
    assert "test_broken" in gate.summary


def test_an_error_of_a_fixture_fails(session: PortSession) -> None:
    broken = f"{MARK}@pytest.fixture\ndef model():\n    raise OSError('no weights')\n\n\n"
    gate = ran(session, good=GOOD, broken=f"{broken}def test_it(model):\n    pass\n")
    assert gate.state == "failed"
    assert "no weights" in gate.summary


def test_a_crash_fails(session: PortSession) -> None:
    gate = ran(session, good=GOOD, crash=f"{MARK}import os\n\n\ndef test_it():\n    os._exit(0)\n")
    assert gate.state == "failed"
    assert "before it wrote its report (exit code 0)" in gate.summary


def test_no_planned_test_fails(session: PortSession) -> None:
    paths = [f"{FOLDER}/__init__.py", f"{FOLDER}/conftest.py"]
    for gate in (
        unit_test_gate(session, GATE, "tao-pytorch", paths),
        collected_gate(session, "tests-collected-tao-pytorch", "tao-pytorch", paths),
    ):
        assert gate.state == "failed"
        assert "no unit tests" in gate.summary


def test_the_worktree_stays_as_it_was(session: PortSession) -> None:
    writes = f"{MARK}def test_it(tmp_path):\n    (tmp_path / 'big').write_text('x')\n"
    paths = lay(session, {"good": GOOD, "writes": writes})
    assert unit_test_gate(session, GATE, "tao-pytorch", paths).state == "passed"
    below = session.worktree / "tests"
    left = {path.relative_to(session.worktree).as_posix() for path in below.rglob("*") if path.is_file()}
    assert left == set(paths)
    assert not list((session.workspace.state / "work").rglob("big"))


def test_every_file_is_collected(session: PortSession) -> None:
    gate = collected(session, good=GOOD, skipped=SKIPPED)
    assert gate.state == "passed"
    assert gate.evidence["tests"] == {f"{FOLDER}/test_good.py": 2, f"{FOLDER}/test_skipped.py": 1}


@pytest.mark.parametrize(
    "text", ["", "def test_unmarked():\n    pass\n", "import no_such_package\n", "def test_it(:\n"]
)
def test_a_file_without_collected_tests_fails(session: PortSession, text: str) -> None:
    gate = collected(session, good=GOOD, net=text)
    assert gate.state == "failed"
    assert f"{FOLDER}/test_net.py" in gate.summary
    assert "test_good" not in gate.summary


def test_without_tao_deploy_its_gates_are_blocked(session: PortSession) -> None:
    for gate in (
        unit_test_gate(session, "tests-tao-deploy", "tao-deploy", ["tests/net/test_net.py"]),
        collected_gate(session, "tests-collected-tao-deploy", "tao-deploy", ["tests/net/test_net.py"]),
    ):
        assert gate.state == "blocked"
        assert "unblock" in gate.summary


@pytest.mark.parametrize(("layout", "state"), [("in-repo", "passed"), ("core", "passed")])
def test_tao_core_has_nothing_of_the_port(
    session: PortSession, reference: Reference, layout: str, state: str
) -> None:
    release = msgspec.structs.replace(reference.release, layout=layout)
    known = (msgspec.structs.replace(reference, release=release),)
    session.journal.enter(1)
    session.journal.step("references", {}, tuple[Reference, ...], lambda: known)
    gate = core_gate(session)
    assert gate.state == state
    assert gate.evidence["layout"] == layout


def test_a_report_that_is_cut_off_is_no_report(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text('<testsuites><testsuite><testcase name="a"')
    with pytest.raises(SandboxError, match="report"):
        read_report(tmp_path / "junit.xml")
