"""Gates of phase 6: the wheels hold what was generated; extensions are built where there is a tool chain."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from porter import git
from porter.errors import SandboxError
from porter.gates.results import blocked, failed, passed
from porter.records.gates import GateResult
from porter.records.plan import FilePlan
from porter.records.reference import Repo
from porter.records.sandbox import Limits
from porter.records.validate import WheelFacts, WheelRequest
from porter.runtimes import Runtime
from porter.session import PortSession

_PLANS: dict[Repo, str] = {"tao-pytorch": "file-plan", "tao-deploy": "deploy-file-plan"}
# tao-pytorch's setup.py imports torch; tao-deploy's needs setuptools alone.
_BUILDERS: dict[Repo, Runtime] = {"tao-pytorch": "tao-pytorch", "tao-deploy": "rehearsal"}

# setup.py names its CUDA extensions also where they are left out, and torch then asks where CUDA lies.
_NO_CUDA = {"CUDA_HOME": "/nonexistent"}
_CUDA = Path("/usr/local/cuda")
_SECONDS = 20
_HOURS = 2 * 3600


def wheel_gate(session: PortSession, repo: Repo) -> GateResult:
    """Build the wheel in a throw-away copy, extensions left out, and look for every generated module."""
    gate = f"wheel-{repo}"
    if repo == "tao-deploy" and not session.tao.has_deploy:
        return blocked(gate, session.tao.why_no_deploy)
    worktree = session.workspace.clone_path(repo)
    if not (worktree / "setup.py").is_file():
        return blocked(gate, f"{repo} has no setup.py, so no wheel can be built; unblock: give a full clone")
    plan = session.journal.made(_PLANS[repo], FilePlan)
    planned = [file.path for file in plan.files if file.path.startswith("nvidia_tao_")]
    generated = [path for path in planned if (worktree / path).is_file()]
    request = _request(worktree, generated, extensions=False, variables=_NO_CUDA)

    def execute() -> GateResult:
        facts = session.probe("build_wheel", request, WheelFacts, read=[worktree], runtime=_BUILDERS[repo])
        return session.with_command(_verdict(gate, session.options.name, generated, facts))

    builder = {"builder": session.runtimes.of(_BUILDERS[repo]).digest}
    return session.prove(gate, {"request": request, **builder}, GateResult, execute, repos=(repo,))


def _request(
    worktree: Path, generated: list[str], *, extensions: bool, variables: dict[str, str]
) -> WheelRequest:
    """Ask for a wheel of what git knows or would add; what a sparse checkout leaves out stays out."""
    known = git.names(worktree, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    there = (name for name in known if (worktree / name).is_file() and not (worktree / name).is_symlink())
    # A name that the clone's .gitignore happens to match is generated all the same.
    files = tuple(sorted({*there, *generated}))
    return WheelRequest(root=str(worktree), files=files, extensions=extensions, variables=variables)


def _verdict(gate: str, name: str, generated: list[str], facts: WheelFacts) -> GateResult:
    members = set(facts.members)
    absent = [path for path in generated if path not in members]
    missing = [path for path in absent if path.endswith(".py")]
    evidence: dict[str, Any] = {
        "wheel": facts.name,
        "files": len(members),
        "missing": missing,
        # setup.py ships data of packages only, and a folder of specs is none: so it is for every network.
        "specs left out": [path for path in absent if not path.endswith(".py")],
        "extensions": list(facts.extensions),
    }
    if facts.error:
        last = facts.error.strip().splitlines()[-1]
        return failed(gate, f"the wheel was not built: {last}", text=facts.error, **evidence)
    if missing:
        return failed(
            gate,
            f"{len(missing)} generated modules are not in {facts.name}: {missing[0]}",
            fix="a package without __init__.py is left out",
            **evidence,
        )
    target = facts.scripts.get(name)
    if target is None:
        return failed(gate, f"{facts.name} declares no console script {name}", **evidence)
    left_out = f", {len(facts.extensions)} extensions left out" if facts.extensions else ""
    return passed(
        gate,
        f"{facts.name}: {len(members)} files, every generated module there{left_out}; {name} = {target}",
        **evidence,
    )


def extensions_gate(session: PortSession) -> GateResult:
    """Build the whole wheel of tao-pytorch where this machine can, and say what it takes where it cannot."""
    gate = "wheel-extensions"
    try:
        declared = session.journal.made("wheel-tao-pytorch", GateResult).evidence["extensions"]
    except LookupError:
        return blocked(
            gate, "the wheel without extensions was not built; unblock: porter gate wheel-tao-pytorch"
        )
    if not declared:
        return passed(gate, "setup.py of tao-pytorch declares no extension: the wheel is whole")
    found = tool_chain()
    if found.lacking:
        return blocked(
            gate,
            f"{len(declared)} extensions are not built here: {', '.join(found.lacking)}; unblock, on a "
            f"machine with a GPU and CUDA's compiler: {_by_hand(session)}",
            extensions=declared,
            nvcc=found.home,
        )
    return session.prove(
        gate, {"home": found.home, "for": found.architectures}, GateResult, lambda: _build_all(session, found)
    )


@dataclass(frozen=True)
class ToolChain:
    """What CUDA extensions are built with.

    Attributes:
        home: folder with ``bin/nvcc``; empty for none.
        architectures: compute capabilities of the GPUs, as torch's builder takes them.
        lacking: what is not there, in words.
    """

    home: str
    architectures: str
    lacking: tuple[str, ...]


def tool_chain() -> ToolChain:
    """Look for CUDA's compiler, the C++ compiler that it calls, and a GPU to build for."""
    on_path = shutil.which("nvcc")
    homes = [Path(os.environ.get("CUDA_HOME", "")), _CUDA]
    homes += [Path(on_path).parents[1]] if on_path else []
    home = next((str(home) for home in homes if (home / "bin" / "nvcc").is_file()), "")
    architectures = ";".join(sorted(set(_compute_capabilities())))
    lacking = []
    if not home:
        lacking.append("there is no nvcc (CUDA_HOME, PATH)")
    if not shutil.which("c++"):
        lacking.append("there is no C++ compiler")
    if not architectures:
        lacking.append("nvidia-smi names no GPU")
    return ToolChain(home, architectures, tuple(lacking))


def _compute_capabilities() -> list[str]:
    question = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        done = subprocess.run(question, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split() if done.returncode == 0 else []


def _by_hand(session: PortSession) -> str:
    python, worktree = session.runtimes.environment().python, session.worktree
    out = session.workspace.results / "wheels"
    words = [python, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out)]
    return shlex.join([*words, str(worktree)])


def _build_all(session: PortSession, found: ToolChain) -> GateResult:
    """Build the wheel with its extensions. They are not the port's, so a failure is none of it."""
    gate, worktree = "wheel-extensions", session.worktree
    variables = {"CUDA_HOME": found.home, "TORCH_CUDA_ARCH_LIST": found.architectures}
    request = _request(worktree, [], extensions=True, variables=variables)
    home = Path(os.path.realpath(found.home))
    # What lies under /usr every run sees.
    read = [worktree] if home.is_relative_to("/usr") else [worktree, home]
    problem, built, name = "", [], ""
    try:
        facts = session.probe("build_wheel", request, WheelFacts, read=read, limits=Limits(seconds=_HOURS))
        name, built = facts.name, [member for member in facts.members if member.endswith(".so")]
        if facts.error:
            problem = facts.error.strip().splitlines()[-1]
        elif len(built) < len(facts.extensions):
            problem = f"{name} has {len(built)} of {len(facts.extensions)}"
    except SandboxError as stopped:
        problem = stopped.what
    tools = f"with {found.home}, for {found.architectures}"
    if problem:
        said = f"the extensions do not build here {tools}: {problem}; unblock, elsewhere: {_by_hand(session)}"
        return session.with_command(blocked(gate, said))
    return session.with_command(
        passed(gate, f"{name}: {len(built)} extensions, built {tools}", extensions=built)
    )
