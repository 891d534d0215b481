"""Gates about the generated unit tests: each repository's pytest collects them, and they pass."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from porter.errors import SandboxError
from porter.gates.results import blocked, failed, log_tail, passed
from porter.records.gates import GateResult
from porter.records.reference import Repo
from porter.records.sandbox import RunResult
from porter.records.validate import UnitTests
from porter.session import PortSession

_CHOSEN: dict[Repo, tuple[str, ...]] = {"tao-pytorch": ("-m", "cv_unit")}
_VARIABLES = {"PYTHONDONTWRITEBYTECODE": "1", "TELEMETRY_OPT_OUT": "yes"}
_NOTHING_COLLECTED = 5


def unit_test_gate(session: PortSession, gate: str, repo: Repo, paths: Sequence[str]) -> GateResult:
    """Run the port's unit tests in the environment of their repository.

    Args:
        session: the port.
        gate: id of the gate.
        repo: whose tests they are.
        paths: the generated test files, relative to the worktree.
    """
    if repo == "tao-deploy" and not session.tao.has_deploy:
        return blocked(gate, session.tao.why_no_deploy)
    files = _test_files(paths)
    if not files:
        return failed(gate, "the plan has no unit tests")

    def execute() -> GateResult:
        out = _empty(session.workspace.state / "work" / gate)
        report = out / "junit.xml"
        result = _pytest(session, gate, repo, out, [f"--junitxml={report}", *files])
        shutil.rmtree(out / "tmp", ignore_errors=True)
        return session.with_command(_tests_gate(gate, report, result))

    return session.prove(gate, {"files": files}, GateResult, execute, repos=[repo])


def collected_gate(session: PortSession, gate: str, repo: Repo, paths: Sequence[str]) -> GateResult:
    """Let pytest collect the port's unit tests; every test file has at least one.

    Args:
        session: the port.
        gate: id of the gate.
        repo: whose tests they are.
        paths: the generated test files, relative to the worktree.
    """
    if repo == "tao-deploy" and not session.tao.has_deploy:
        return blocked(gate, session.tao.why_no_deploy)
    files = _test_files(paths)
    if not files:
        return failed(gate, "the plan has no unit tests")

    def execute() -> GateResult:
        out = _empty(session.workspace.state / "work" / gate)
        result = _pytest(session, gate, repo, out, ["--collect-only", *files])
        return session.with_command(_collection_gate(gate, files, result))

    return session.prove(gate, {"files": files}, GateResult, execute, repos=[repo])


def core_gate(session: PortSession) -> GateResult:
    """Say whether the port has code in tao-core that tests could be of."""
    release = session.references[0].release
    name = session.options.name
    if session.tao.has_core:
        return passed(
            "tests-tao-core",
            f"the schema in tao-core is tested where it is used: tests/cv_unit_test/{name}/test_config.py "
            f"of tao-pytorch, tests/{name} of tao-deploy",
            layout=release.layout,
        )
    return passed(
        "tests-tao-core",
        "the release has its schema in its own repositories, so nothing of the port is in tao-core",
        layout=release.layout,
    )


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _test_files(paths: Sequence[str]) -> list[str]:
    return sorted(path for path in paths if PurePosixPath(path).match("test_*.py"))


def _pytest(session: PortSession, gate: str, repo: Repo, out: Path, arguments: Sequence[str]) -> RunResult:
    """Run pytest on the read-only worktree; it may write into *out* alone."""
    root = session.workspace.clone_path(repo)
    paths = [str(root / word) if word.endswith(".py") else word for word in arguments]
    return session.command(
        gate,
        [
            *("-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider"),
            *(f"--rootdir={root}", f"--basetemp={out / 'tmp'}", *_CHOSEN.get(repo, ()), *paths),
        ],
        read=[root],
        write=[out],
        packages=[root],
        runtime=repo,
        variables=_VARIABLES,
    )


def read_report(path: Path) -> UnitTests:
    """Read a JUnit file of pytest.

    Raises:
        SandboxError: there is none, or it is cut off.
    """
    try:
        cases = list(ElementTree.parse(path).iter("testcase"))  # noqa: S314 - of our own pytest run
    except (OSError, ElementTree.ParseError) as error:
        raise SandboxError("pytest ended before it wrote its report", why=str(error)) from error
    wrong: dict[str, str] = {}
    reasons: Counter[str] = Counter()
    good = 0
    for case in cases:
        ends = {end.tag: _message(end) for end in case}
        problem = next((ends[tag] for tag in ("failure", "error") if tag in ends), None)
        if problem is not None:
            name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
            wrong[name] = (problem.strip().splitlines() or ["no reason given"])[0]
        elif "skipped" in ends:
            reasons[ends["skipped"]] += 1
        else:
            good += 1
    return UnitTests(passed=good, failed=wrong, skipped=dict(reasons))


def _message(end: ElementTree.Element) -> str:
    """Return why a test ended as it did; a file that skips itself has its reason in the text."""
    message, text = end.get("message", ""), end.text or ""
    return text.rpartition("Skipped: ")[2].rstrip("')\" \n") if message == "collection skipped" else message


def _tests_gate(gate: str, report: Path, result: RunResult) -> GateResult:
    text = log_tail(result.log)
    try:
        tests = read_report(report)
    except SandboxError as error:
        ending = result.reason or f"exit code {result.exit_code}"
        return failed(gate, f"{error.what} ({ending})", text=text)
    evidence: dict[str, Any] = {
        "passed": tests.passed,
        "failed": tests.failed,
        "skipped": tests.skipped,
        "seconds": result.seconds,
    }
    skipped = sum(tests.skipped.values())
    if tests.failed:
        name, why = next(iter(tests.failed.items()))
        count = f"{len(tests.failed)} of {tests.passed + skipped + len(tests.failed)}"
        return failed(gate, f"{count} unit tests failed: {name}: {why}", text=text, **evidence)
    if not tests.passed:
        reason = "; ".join(tests.skipped) or "pytest collected none"
        return failed(gate, f"no unit test ran: {reason}", text=text, **evidence)
    if result.exit_code != 0:
        return failed(gate, f"pytest ended with {result.exit_code}", text=text, **evidence)
    left_out = f", {skipped} skipped: {'; '.join(sorted(tests.skipped))}" if skipped else ""
    said = f"{tests.passed} unit tests passed in {result.seconds:.0f} s{left_out}"
    return passed(gate, said, **evidence)


def _collection_gate(gate: str, files: Sequence[str], result: RunResult) -> GateResult:
    text = log_tail(result.log, lines=100_000)
    found = Counter(line.partition("::")[0] for line in text.splitlines() if "::" in line.split(" ")[0])
    tests = {path: found[path] for path in files}
    without = [path for path, number in tests.items() if not number]
    if without:
        return failed(gate, f"pytest collects no test of {', '.join(without)}", text=text, tests=tests)
    if result.exit_code not in (0, _NOTHING_COLLECTED):
        return failed(gate, f"pytest cannot collect the tests (exit code {result.exit_code})", text=text)
    return passed(gate, f"{sum(tests.values())} unit tests in {len(tests)} files", tests=tests)
