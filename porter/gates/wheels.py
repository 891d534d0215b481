"""Gates of phase 6: the wheels hold what was generated; extensions are built where there is a tool chain."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

from porter import git
from porter.gates.results import blocked, failed, log_tail, passed
from porter.records.gates import GateResult
from porter.records.plan import FilePlan
from porter.records.reference import Repo
from porter.records.validate import WheelReport
from porter.session import PortSession

_PLANS: dict[Repo, str] = {"tao-pytorch": "file-plan", "tao-deploy": "deploy-file-plan"}

# setup.py runs as it is; only what needs a compiler is taken out of what it declares.
_DRIVER = """
import runpy, sys
import setuptools

declared = setuptools.setup

def setup(**keywords):
    keywords.pop("ext_modules", None)
    keywords.pop("cmdclass", None)
    return declared(**keywords)

setuptools.setup = setup
sys.argv = ["setup.py", "--quiet", "bdist_wheel", "--dist-dir", sys.argv[1]]
sys.path.insert(0, ".")
runpy.run_path("setup.py", run_name="__main__")
"""


def wheel_gate(session: PortSession, repo: Repo) -> GateResult:
    """Build the wheel in a throw-away copy, extensions left out, and look for every generated file."""
    gate = f"wheel-{repo}"
    if repo == "tao-deploy" and not session.has_deploy:
        return blocked(gate, session.why_no_deploy)
    if not (session.workspace.clone_path(repo) / "setup.py").is_file():
        return blocked(gate, f"{repo} has no setup.py, so no wheel can be built; unblock: give a full clone")
    report = session.prove(
        f"wheel-{repo}", {"driver": _DRIVER}, WheelReport, lambda: _build(session, repo), repos=(repo,)
    )
    name = session.options.name
    evidence: dict[str, Any] = {
        "wheel": report.name,
        "files": report.files,
        "missing": list(report.missing),
        # setup.py ships data of packages only, and a folder of specs is none: so it is for every network.
        "specs left out": list(report.left_out),
    }
    if not report.name:
        return failed(gate, "the wheel was not built", text=log_tail(report.log), **evidence)
    if report.missing:
        return failed(
            gate,
            f"{len(report.missing)} generated modules are not in {report.name}: {report.missing[0]}",
            fix="a package without __init__.py is left out",
            **evidence,
        )
    if name not in report.scripts:
        return failed(gate, f"{report.name} declares no console script {name}", **evidence)
    return passed(
        gate,
        f"{report.name}: {report.files} files, every generated module there, built in {report.seconds:.0f} s "
        f"without extensions; {name} = {report.scripts[name]}",
        **evidence,
    )


def _build(session: PortSession, repo: Repo) -> WheelReport:
    worktree = session.workspace.clone_path(repo)
    work = session.workspace.state / "work" / f"wheel-{repo}"
    shutil.rmtree(work, ignore_errors=True)
    copy, out = work / "copy", work / "out"
    _copy(worktree, copy)
    out.mkdir()
    result = session.command(
        f"wheel-{repo}",
        ["-c", _DRIVER, str(out)],
        write=[copy, out],
        packages=[],
        runtime=repo if repo == "tao-pytorch" else "rehearsal",
    )
    wheel = next(out.glob("*.whl"), None)
    planned = [
        file.path
        for file in session.journal.made(_PLANS[repo], FilePlan).files
        if file.path.startswith("nvidia_tao_")
    ]
    members: list[str] = []
    scripts: dict[str, str] = {}
    if wheel is not None and result.exit_code == 0:
        with zipfile.ZipFile(wheel) as archive:
            members = archive.namelist()
            entry = next((member for member in members if member.endswith("/entry_points.txt")), None)
            text = archive.read(entry).decode("utf-8") if entry else ""
        found = re.findall(rf"^({re.escape(session.options.name)})\s*=\s*(\S+)$", text, re.M)
        scripts = dict(found)
    report = WheelReport(
        name=wheel.name if wheel is not None and result.exit_code == 0 else "",
        files=len(members),
        missing=tuple(sorted(path for path in planned if path.endswith(".py") and path not in members)),
        left_out=tuple(sorted(path for path in planned if path.endswith(".yaml") and path not in members)),
        scripts=scripts,
        seconds=result.seconds,
        log=result.log,
    )
    shutil.rmtree(work, ignore_errors=True)
    return report


def _copy(worktree: Path, target: Path) -> None:
    """Copy what git knows or would add; a sparse checkout's absent files stay absent."""
    target.mkdir(parents=True)
    for name in git.names(worktree, "ls-files", "-z", "--cached", "--others", "--exclude-standard"):
        source = worktree / name
        if source.is_file() and not source.is_symlink():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / name)


def extensions_gate(session: PortSession) -> GateResult:
    """Say what the whole wheel needs: porter builds no CUDA extension."""
    from porter import doctor

    nvcc, gpu = shutil.which("nvcc"), doctor.check_gpu()
    lacking = [] if nvcc else ["no nvcc on the PATH"]
    if gpu.state != "passed":
        lacking.append("no NVIDIA GPU, or no driver")
    why = "; ".join(lacking) or "this version builds no CUDA extension"
    return blocked(
        "wheel-extensions",
        f"{why}; unblock: run `pip wheel --no-deps --no-build-isolation {session.worktree}` in TAO's image "
        "on a machine with a GPU",
        nvcc=nvcc or "",
    )
