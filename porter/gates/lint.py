"""Gates of phase 6: the repositories' own lint on what the port wrote; only new findings fail."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from porter import resources
from porter.gates.results import blocked, failed, passed
from porter.records.gates import GateResult
from porter.records.plan import FilePlan
from porter.records.reference import Repo
from porter.records.validate import Finding, LintReport
from porter.session import PortSession

RCFILE = ".pylintrc"
HOOKS = ".pre-commit-config.yaml"
_PLANS: dict[Repo, str] = {"tao-pytorch": "file-plan", "tao-deploy": "deploy-file-plan"}
_FLAKE8 = re.compile(r"^(?P<path>[^:]+):(?P<line>\d+):\d+: (?P<code>\w+) (?P<text>.*)$", re.M)
_PYDOCSTYLE = re.compile(r"^(?P<path>\S+):(?P<line>\d+).*:\n\s+(?P<code>D\d+): (?P<text>.*)$", re.M)
_IMPORT_ERROR = "import-error"
_OWN = re.compile(r"'(nvidia_tao_\w+)")


def lint_gate(session: PortSession, repo: Repo) -> GateResult:
    """Run pylint, flake8 and pydocstyle as the repository's hooks run them."""
    gate = f"lint-{repo}"
    if repo == "tao-deploy" and not session.has_deploy:
        return blocked(gate, session.why_no_deploy)
    report = session.prove(
        f"lint-{repo}",
        {"rules": session.code("tao-deploy"), "tools": session.rehearsal_environment.digest},
        LintReport,
        lambda: _lint(session, repo),
        repos=(repo,),
    )
    evidence: dict[str, Any] = {
        "files": report.files,
        "known": report.known,
        "commands": report.commands,
        "found": [f"{f.path}:{f.line}: {f.tool} {f.code} {f.text}" for f in report.found],
    }
    if report.problem:
        return failed(gate, f"a linter did not run: {report.problem}", **evidence)
    if report.found:
        first = report.found[0]
        return failed(
            gate,
            f"{len(report.found)} new findings; {first.path}:{first.line}: {first.code} {first.text}",
            fix="mend it in the worktree (porter keeps your edit); in generated text it is porter's bug",
            **evidence,
        )
    tools = ", ".join(report.commands)
    already = f"; {report.known} findings in edited files were there before" if report.known else ""
    return passed(gate, f"{report.files} files, no new finding of {tools}{already}", **evidence)


def _lint(session: PortSession, repo: Repo) -> LintReport:
    plan = session.journal.made(_PLANS[repo], FilePlan)
    worktree = session.workspace.clone_path(repo)
    files = [file for file in plan.files if file.path.endswith(".py") and (worktree / file.path).is_file()]
    edited = [file.path for file in files if file.action == "edit"]
    work = session.workspace.state / "work" / f"lint-{repo}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    commands = dict(_commands(session, repo, work))
    after, problem = _run(session, worktree, work, commands, [file.path for file in files])
    before: list[Finding] = []
    if edited and not problem:
        base = work / "base"
        _lay_base(session, repo, edited, base)
        before, problem = _run(session, base, work, commands, edited)
    new, known = _new(after, before)
    return LintReport(
        files=len(files),
        found=tuple(new),
        known=known,
        commands={tool: shlex.join(argv) for tool, argv in commands.items()},
        problem=problem,
    )


def _new(after: Sequence[Finding], before: Sequence[Finding]) -> tuple[list[Finding], int]:
    """Return what was not there before; lines move, so a finding is what is said of which file."""
    there = Counter((item.tool, item.path, item.code, item.text) for item in before)
    new, known = [], 0
    for item in after:
        key = (item.tool, item.path, item.code, item.text)
        if there[key]:
            there[key] -= 1
            known += 1
        else:
            new.append(item)
    return new, known


def _lay_base(session: PortSession, repo: Repo, paths: Sequence[str], folder: Path) -> None:
    from porter import clones

    record = clones.read_record(session.workspace, repo)
    commit = record.commit if record else "HEAD"
    for path, version in clones.committed(session.workspace.clone_path(repo), commit, paths).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(version.data)


@functools.cache
def _recorded() -> dict[str, list[str]]:
    import msgspec

    path = resources.tree("references") / "lint.toml"
    return msgspec.toml.decode(path.read_bytes(), type=dict[str, list[str]])


def _commands(session: PortSession, repo: Repo, work: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the argv of each linter, files left out; the clone's own hooks decide, then tao-deploy's."""
    homes = [session.workspace.clone_path(repo)]
    if session.has_deploy and repo != "tao-deploy":
        homes.append(session.deploy_worktree)
    hooks = next((found for home in homes if (found := hook_arguments(home / HOOKS))), {})
    arguments = {**_recorded(), **hooks}
    rcfile = next((home / RCFILE for home in homes if (home / RCFILE).is_file()), None)
    yield "flake8", ["-m", "flake8", "--isolated", *arguments["flake8"]]
    yield "pydocstyle", ["-m", "pydocstyle", *arguments["pydocstyle"]]
    pylint = ["-m", "pylint", "--persistent=n", "--output-format=json", "--score=n"]
    if rcfile is not None:
        shutil.copyfile(rcfile, work / "pylintrc")
        yield "pylint", [*pylint, f"--rcfile={work / 'pylintrc'}"]
    yield "pylint --errors-only", [*pylint, "--errors-only", "--rcfile=/dev/null", *arguments["pylint"]]


def hook_arguments(path: Path) -> dict[str, list[str]]:
    """Return the arguments of the flake8 and pydocstyle hooks of a pre-commit configuration."""
    import yaml

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    found = {}
    for source in (config or {}).get("repos", ()):
        for hook in source.get("hooks", ()):
            words = shlex.split(str(hook.get("entry", "")))
            if words[:1] and words[0] in ("flake8", "pydocstyle"):
                arguments = [*words[1:], *map(str, hook.get("args", ()))]
                # What a hook leaves out or matches by name does not concern files that are named.
                found[words[0]] = [a for a in arguments if not a.startswith(("--exclude", "--match"))]
    return found


def _run(
    session: PortSession, root: Path, work: Path, commands: dict[str, list[str]], paths: Sequence[str]
) -> tuple[list[Finding], str]:
    """Run every linter on *paths* below *root*; return findings, or why one did not run."""
    found: list[Finding] = []
    roots = [root, *(session.workspace.clone_path(repo) for repo in session.repos)]
    for tool, argv in commands.items():
        result = session.command(
            f"lint-{tool.split()[0]}",
            [*argv, *(str(root / path) for path in paths)],
            read=[root],
            write=[work],
            packages=roots,
            runtime="rehearsal",
        )
        text = Path(result.log).read_text(encoding="utf-8", errors="replace")
        try:
            items = _parse(tool, text)
        except ValueError:
            return found, f"{tool}: {text.strip().splitlines()[-1] if text.strip() else 'it printed nothing'}"
        # Exit codes of linters say that something was found; without a finding they mean a crash.
        if result.exit_code not in (0, 1) and not items and tool == "flake8":
            return found, f"{tool} ended with {result.exit_code}"
        for item in items:
            # Linters name a file below their working folder from there.
            path = Path(os.path.normpath(work / item["path"])).relative_to(root)
            if not _is_foreign(item):
                found.append(
                    Finding(
                        tool=tool,
                        path=path.as_posix(),
                        line=int(item["line"]),
                        code=item["code"],
                        text=item["text"],
                    )
                )
    return found, ""


def _parse(tool: str, text: str) -> list[dict[str, str]]:
    if tool.startswith("pylint"):
        start = text.find("[")
        if start < 0:
            raise ValueError(text)
        return [
            {
                "path": str(item["path"]),
                "line": str(item["line"]),
                "code": str(item["symbol"]),
                "text": str(item["message"]).splitlines()[0],
            }
            for item in json.JSONDecoder().raw_decode(text[start:])[0]
        ]
    if "Traceback (most recent call last)" in text or "No module named" in text:
        raise ValueError(text)
    pattern = _FLAKE8 if tool == "flake8" else _PYDOCSTYLE
    return [match.groupdict() for match in pattern.finditer(text)]


def _is_foreign(item: dict[str, str]) -> bool:
    """Return whether it is an import of a package that the linters' environment does not have."""
    return item["code"] == _IMPORT_ERROR and not _OWN.search(item["text"])
