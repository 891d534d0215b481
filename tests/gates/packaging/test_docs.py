"""The documentation page is the one that the clone's own tool writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.errors import SandboxError
from porter.gates.docs import docs_gate
from porter.records.sandbox import Environment
from tests.e2e.clones import private_clone
from tests.gates.packaging.port import DEPLOYED, NAME, Packaged
from tests.repositories import git, write

pytestmark = [pytest.mark.torch_env, pytest.mark.deploy_env]

PAGE, TOOL = "docs/supported_commands.md", "tools/update_docs_supported_commands.py"
TOOL_TEXT = """
from pathlib import Path

root = Path(__file__).resolve().parents[1]
page = root / "docs" / "supported_commands.md"
lines = (root / "setup.py").read_text().splitlines()
rows = []
for name in sorted(line.split("=")[0].strip(" '\\"") for line in lines if ":main" in line):
    scripts = (root / "nvidia_tao_deploy" / "cv" / name / "scripts").glob("[a-z]*.py")
    rows.append(f"`{name}`: {', '.join(sorted(path.stem for path in scripts))}")
page.write_text("\\n".join([page.read_text().splitlines()[0], *rows]) + "\\n")
"""


@pytest.fixture(scope="module")
def documented(deploy_clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of tao-deploy with a tool, whose page is up to date."""
    clone = private_clone(deploy_clone, tmp_path_factory.mktemp("documented") / "clone")
    write(clone, {TOOL: TOOL_TEXT, PAGE: "# Commands\n"})
    exec(compile(TOOL_TEXT, TOOL, "exec"), {"__file__": str(clone / TOOL)})
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "document the commands")
    return clone


@pytest.fixture(scope="module")
def port(
    e2e_cache: Path,
    kit: Path,
    deploy_environment: Environment,
    documented: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Packaged:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTER_CACHE", str(e2e_cache))
        return Packaged(tmp_path_factory.mktemp("port"), kit, documented)


@pytest.fixture(autouse=True)
def _cache(shared_cache: Path) -> None:
    """Every port of this module looks for its environments in the shared cache."""


def test_the_port_adds_its_row_and_no_other(port: Packaged) -> None:
    diff = git(port.session.deploy_worktree, "diff", "--unified=0", "--", PAGE).splitlines()
    changed = [line for line in diff if line[0] in "+-" and line[:3] not in ("+++", "---")]
    assert changed == [f"+`{NAME}`: evaluate, gen_trt_engine, inference"]


def test_the_page_is_what_the_tool_writes(port: Packaged) -> None:
    gate = docs_gate(port.session)
    assert gate.state == "passed", gate.summary
    assert gate.evidence["line"] == f"`{NAME}`: evaluate, gen_trt_engine, inference"
    runs = port.runs()
    assert docs_gate(port.session) == gate
    assert port.runs() == runs


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (f"tao-deploy/{PAGE}", f"`{NAME}`: evaluate, ", f"`{NAME}`: "),
        (f"tao-deploy/{PAGE}", "`ssd`", "`sdd`"),
        (f"{DEPLOYED}/scripts/inference.py", "", None),
        ("tao-deploy/setup.py", f"{NAME}=", "renamed="),
        ("tao-deploy/nvidia_tao_deploy/cv/ssd/scripts/evaluate.py", "", None),
    ],
    ids=["row", "other-row", "script", "command", "other-script"],
)
def test_a_page_that_is_stale(port: Packaged, path: str, old: str, new: str | None) -> None:
    with port.changed(path, old, new):
        gate = docs_gate(port.session)
    assert gate.state == "failed"
    assert f"{PAGE} is not what {TOOL} writes" in gate.summary
    assert TOOL in gate.fix


def test_a_page_that_is_gone(port: Packaged) -> None:
    with port.changed(f"tao-deploy/{PAGE}", "", None):
        gate = docs_gate(port.session)
    assert gate.state == "failed"
    assert f"{PAGE} is gone" in gate.summary


def test_what_a_sparse_checkout_leaves_out_keeps_its_row(port: Packaged) -> None:
    script = "nvidia_tao_deploy/cv/ssd/scripts/evaluate.py"
    worktree = port.session.deploy_worktree
    git(worktree, "update-index", "--skip-worktree", script)
    try:
        with port.changed(f"tao-deploy/{script}", "", None):
            port.forget()
            assert docs_gate(port.session).state == "passed"
    finally:
        git(worktree, "update-index", "--no-skip-worktree", script)


def test_a_persons_words_around_the_table_stay(port: Packaged) -> None:
    with port.changed(f"tao-deploy/{PAGE}", "# Commands", "# All commands"):
        assert docs_gate(port.session).state == "passed"


def test_a_tool_that_fails_says_why(port: Packaged) -> None:
    setup = port.file("tao-deploy/setup.py")
    before = setup.read_bytes()
    setup.write_bytes(b"\xff\n")  # no text: the tool cannot read it
    try:
        with pytest.raises(SandboxError, match="UnicodeDecodeError"):
            docs_gate(port.session)
    finally:
        setup.write_bytes(before)


def test_a_clone_without_a_tool(kit_port: Packaged) -> None:
    gate = docs_gate(kit_port.session)
    assert gate.state == "passed"
    assert "neither clone has a tool" in gate.summary


def test_without_tao_deploy(lone_port: Packaged) -> None:
    assert docs_gate(lone_port.session).state == "blocked"


@pytest.mark.real_tao
@pytest.mark.parametrize("which", ["real_port", "released_port"])
def test_the_real_tool(request: pytest.FixtureRequest, which: str) -> None:
    real: Packaged = request.getfixturevalue(which)
    gate = docs_gate(real.session)
    assert gate.state == "passed", gate.summary
    tasks = "evaluate, gen_trt_engine, inference, default_specs"
    row = f"| `{NAME}` | cv | `nvidia_tao_deploy.cv.{NAME}` | {tasks} |"
    assert gate.evidence["line"] == row
    diff = git(real.session.deploy_worktree, "diff", "--numstat", "--", PAGE)
    assert diff.split()[:2] == ["1", "0"]
    with real.changed(f"tao-deploy/{PAGE}", row, row.replace("evaluate, ", "")):
        assert docs_gate(real.session).state == "failed"
