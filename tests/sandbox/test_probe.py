"""How probes are laid out, started and believed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from porter.errors import DataError, SandboxError
from porter.records.base import Record
from porter.records.sandbox import Limits, Mount
from porter.sandbox import base
from porter.sandbox.base import Sandbox, new_run_folder, run_probe

pytestmark = pytest.mark.bwrap

Probe = Callable[[str], str]


class Question(Record, frozen=True, kw_only=True):
    text: str = "hello"


class Answer(Record, frozen=True, kw_only=True):
    text: str
    number: int = 0


ECHO = """
import json, sys
request = json.load(open(sys.argv[1]))
json.dump({"text": request["text"], "number": 3}, open(sys.argv[2], "w"))
print("said", request["text"])
"""


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Probe:
    """Put a probe where porter looks for its own, beside a kernel of one module."""
    package = tmp_path / "package"
    kernel = package / "weights" / "kernel"
    kernel.mkdir(parents=True)
    (kernel / "__init__.py").write_text("")
    (kernel / "numbers.py").write_text("SEVEN = 7\n")
    (package / "probes").mkdir()
    monkeypatch.setattr(base, "_PACKAGE", package)

    def write(source: str) -> str:
        (package / "probes" / "some_probe.py").write_text(source)
        return "some_probe"

    return write


def test_a_folder_that_is_gone_is_named_and_the_next_run_is_none_the_worse(
    sandbox: Sandbox, probe: Probe, tmp_path: Path
) -> None:
    worktree = tmp_path / "tao-pytorch"
    worktree.mkdir()
    run_probe(sandbox, probe(ECHO), Question(), Answer, mounts=(Mount(path=str(worktree)),))
    worktree.rmdir()
    with pytest.raises(SandboxError, match="tao-pytorch is not there, and some-probe needs it") as gone:
        run_probe(sandbox, "some_probe", Question(), Answer, mounts=(Mount(path=str(worktree)),))
    assert "porter resume" in gone.value.next_step
    assert run_probe(sandbox, "some_probe", Question(), Answer) == Answer(text="hello", number=3)


def test_a_probe_is_asked_and_answers(sandbox: Sandbox, probe: Probe) -> None:
    lines: list[str] = []
    request = Question(text="a 'quoted' {text}")
    answer = run_probe(sandbox, probe(ECHO), request, Answer, on_line=lines.append)
    assert answer == Answer(text="a 'quoted' {text}", number=3)
    assert lines == ["said a 'quoted' {text}"]
    folder = sandbox.runs / "001-some-probe"
    assert sorted(path.name for path in folder.iterdir()) == ["command.sh", "in", "log.txt", "out"]
    assert (folder / "out").stat().st_uid == os.getuid()


def test_a_probe_finds_the_kernel_and_the_folders_it_is_given(
    sandbox: Sandbox, probe: Probe, tmp_path: Path
) -> None:
    library, data = tmp_path / "library", tmp_path / "data"
    for folder in (library, data):
        folder.mkdir()
    (library / "helper.py").write_text("NAME = 'helper'\n")
    (data / "file").write_text("from data")
    source = (
        "import json, os, sys\n"
        "from porter.weights.kernel.numbers import SEVEN\n"
        "import helper\n"
        f"text = helper.NAME + ' ' + open({str(data / 'file')!r}).read() + ' ' + os.environ['MODE']\n"
        "json.dump({'text': text, 'number': SEVEN}, open(sys.argv[2], 'w'))\n"
    )
    answer = run_probe(
        sandbox,
        probe(source),
        Question(),
        Answer,
        mounts=[Mount(path=str(data))],
        python_path=[library],
        variables={"MODE": "fast"},
    )
    assert answer == Answer(text="helper from data fast", number=7)


def test_a_probe_runs_whatever_the_umask_is(sandbox: Sandbox, probe: Probe) -> None:
    before = os.umask(0o077)
    try:
        assert run_probe(sandbox, probe(ECHO), Question(), Answer).number == 3
    finally:
        os.umask(before)


def test_an_expected_failure_is_raised_as_the_callers_family(sandbox: Sandbox, probe: Probe) -> None:
    source = (
        "import json, sys\n"
        "told = {'what': 'an image is\\x1b[31m broken', 'why': 'cat.png', 'next_step': 'remove it'}\n"
        "json.dump({'error': told}, open(sys.argv[2], 'w'))\n"
        "sys.exit(3)\n"
    )
    with pytest.raises(DataError) as caught:
        run_probe(sandbox, probe(source), Question(), Answer, error=DataError)
    assert (caught.value.what, caught.value.why, caught.value.next_step) == (
        "an image is broken",
        "cat.png",
        "remove it",
    )


def test_a_probe_that_dies_shows_its_last_lines_and_how_to_repeat_it(sandbox: Sandbox, probe: Probe) -> None:
    source = "import sys\nfor n in range(40): print('line', n)\nraise ValueError('\\x1b[2Jno such layer')\n"
    with pytest.raises(SandboxError) as caught:
        run_probe(sandbox, probe(source), Question(), Answer)
    error = caught.value
    assert error.what == "the probe some_probe failed: it ended with exit code 1"
    assert error.why.endswith("ValueError: no such layer")
    assert "line 39" in error.why
    assert "line 0" not in error.why
    script = error.next_step.removeprefix("repeat it by hand: ")
    repeated = subprocess.run(script, shell=True, capture_output=True, text=True, check=False)
    assert repeated.returncode == 1
    assert "no such layer" in repeated.stderr


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9"),
        ("import time; time.sleep(60)", "longer than 1 s"),
        ("pass", "without an answer"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import sys; open(sys.argv[2], 'w').write('[1, 2'); sys.exit(3)", "exit code 3"),
    ],
)
def test_a_probe_without_an_answer_says_how_it_ended(
    sandbox: Sandbox, probe: Probe, source: str, text: str
) -> None:
    with pytest.raises(SandboxError, match=text):
        run_probe(sandbox, probe(source), Question(), Answer, limits=Limits(seconds=1))


@pytest.mark.parametrize(
    "answer", ['{"text": 5}', '{"text": "x", "number": "\\u001b[2J"}', '{"text": "x", "more": 1}', "[1", ""]
)
def test_an_answer_that_does_not_fit_the_schema_is_refused(
    sandbox: Sandbox, probe: Probe, answer: str
) -> None:
    with pytest.raises(SandboxError, match="does not fit") as caught:
        run_probe(sandbox, probe(f"import sys; open(sys.argv[2], 'w').write({answer!r})"), Question(), Answer)
    assert "\x1b" not in str(caught.value)


def test_an_answer_that_is_a_link_or_a_pipe_is_not_followed(
    sandbox: Sandbox, probe: Probe, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"text": "only the caller may read this"}')
    for trick in (f"os.symlink({str(secret)!r}, sys.argv[2])", "os.mkfifo(sys.argv[2])"):
        with pytest.raises(SandboxError, match="without an answer") as caught:
            run_probe(sandbox, probe(f"import os, sys; {trick}"), Question(), Answer)
        assert "only the caller" not in str(caught.value)
    assert secret.stat().st_uid == os.getuid()


def test_what_a_probe_links_to_keeps_its_owner_and_mode(
    sandbox: Sandbox, probe: Probe, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_text("x")
    target.chmod(0o600)
    before: Any = target.stat()
    source = f"import os, sys\nos.symlink({str(target)!r}, 'link')\n" + ECHO
    run_probe(sandbox, probe(source), Question(), Answer)
    after = target.stat()
    assert (after.st_uid, after.st_mode, after.st_ctime_ns) == (
        before.st_uid,
        before.st_mode,
        before.st_ctime_ns,
    )


def test_a_folder_of_a_killed_run_is_never_used_again(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert new_run_folder(runs, "first").name == "001-first"
    half = runs / "007-half"
    (half / "in").mkdir(parents=True)
    (runs / "notes").mkdir()
    assert new_run_folder(runs, "next").name == "008-next"
    assert new_run_folder(runs, "half").name == "009-half"
    (runs / "1000-many").mkdir()
    assert new_run_folder(runs, "x").name == "1001-x"
