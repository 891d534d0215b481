"""What the command line says and how it ends, without a sandbox."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from porter.records.options import PortOptions
from porter.workspace import Workspace
from tests.e2e.clones import kit_clone
from tests.e2e.conftest import Done, run_porter
from tests.model_folders import write_model


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kit_clone(tmp_path_factory.mktemp("kit"))


def porter(tmp_path: Path, *arguments: str | Path) -> Done:
    return run_porter(tmp_path / "cache", *arguments, cwd=tmp_path)


def test_help_names_commands_and_exit_codes(tmp_path: Path) -> None:
    done = porter(tmp_path, "--help")
    assert done.code == 0
    for word in ("port", "plan", "resume", "status", "inspect", "doctor", "130 interrupted"):
        assert word in done.out


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    from porter import __version__

    assert porter(tmp_path, "--version").out == f"porter {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["port"], 2, "No model was given"),
        (["fetch"], 2, "No model was given"),
        (["fetch", "."], 2, "is a folder"),
        (["port", "x", "--nonsense"], 2, "--nonsense"),
        (["port", "./nowhere", "--yes"], 2, "nowhere"),
        (["port", "org/model", "--task", "cooking"], 2, "image-classification"),
        (["port", "org/model", "--set", "epochs=1"], 2, "section.key=value"),
        (["port", "org/model", "--embedded", "--tao-pytorch", "."], 2, "exclude each other"),
        (["port", "org/model", "--from", "3", "--until", "1"], 2, "names no phases"),
        (["matrix"], 4, "no clone of tao-pytorch"),
        (["matrix", "nowhere.toml"], 2, "nowhere.toml cannot be read"),
        (["matrix", "--embedded", "--only", "vitt"], 2, "near it: vit"),
        (["matrix", "--embedded", "--until", "9"], 2, "the phases 0 to 6"),
        (["matrix", "--embedded", "--jobs", "-1"], 2, "number of rows"),
        (["status"], 4, "no porter workspace"),
        (["resume"], 4, "no porter workspace"),
    ],
)
def test_usage_errors_say_what_to_do(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    done = porter(tmp_path, *arguments)
    assert (done.code, "Traceback" in done.err) == (code, False), done.err
    assert said in done.err


def test_inspect_shows_facts_for_people_and_machines(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    done = porter(tmp_path, "inspect", folder)
    assert done.code == 0
    assert "image-classification" in done.out
    facts = json.loads(porter(tmp_path, "inspect", folder, "--json").out)
    assert facts["labels"] == ["cat", "dog", "fox"]


def test_a_text_model_is_rejected_in_its_own_words(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", architectures=["BertForMaskedLM"], model_type="bert")
    done = porter(tmp_path, "inspect", folder)
    assert done.code == 3
    assert "Traceback" not in done.err


def test_without_a_terminal_yes_is_asked_for(tmp_path: Path, kit: Path) -> None:
    done = porter(tmp_path, "port", write_model(tmp_path / "model"), "--tao-pytorch", kit)
    assert done.code == 2
    assert "--yes" in done.err
    assert "--name" in done.err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("classification_pyt", "console script of that name"),
        ("vit_base_patch16", "backbone registry"),
        ("Not_Snake", "snake_case"),
        ("class", "keyword"),
    ],
)
def test_a_name_that_is_taken_or_unfit_is_refused_before_anything_is_made(
    tmp_path: Path, kit: Path, name: str, said: str
) -> None:
    folder = write_model(tmp_path / "model")
    done = porter(
        tmp_path, "port", folder, "--tao-pytorch", kit, "--yes", "--name", name, "--workspace", "ws"
    )
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "ws" / "tao-pytorch").exists()


def test_the_kit_is_for_image_classification(tmp_path: Path) -> None:
    folder = write_model(
        tmp_path / "model", architectures=["SegformerForSemanticSegmentation"], model_type="segformer"
    )
    done = porter(tmp_path, "port", folder, "--embedded", "--yes")
    assert done.code == 3
    assert "The embedded kit has no network for semantic-segmentation" in done.err
    assert "--tao-pytorch PATH" in done.err


def test_a_workspace_that_is_in_use_is_locked(tmp_path: Path, kit: Path) -> None:
    folder = write_model(tmp_path / "model")
    workspace = Workspace.create(tmp_path / "ws", PortOptions(source=str(folder)))
    with workspace.lock():
        done = porter(tmp_path, "resume", tmp_path / "ws", "--yes")
    assert done.code == 8
    assert str(os.getpid()) in done.err


def test_a_bug_leaves_a_log_and_its_own_code(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    code = "import porter.cli as c, porter.commands as m; m.doctor = lambda *a: 1 / 0; c.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor"],
        env={**os.environ, "PORTER_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 70
    assert "Traceback" not in done.stderr
    (log,) = (cache / "bugs").iterdir()
    assert "ZeroDivisionError" in log.read_text()


def test_on_a_terminal_it_asks_and_control_c_is_130(tmp_path: Path, kit: Path) -> None:
    folder = write_model(tmp_path / "model")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "porter", "port", str(folder), "--tao-pytorch", str(kit)],
        cwd=tmp_path,
        env={**os.environ, "PORTER_CACHE": str(tmp_path / "cache"), "TERM": "xterm"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        # Whoever started the tests may have had it ignored, as a shell does in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    os.close(slave)
    shown = _read_until(master, b"Network name in TAO")
    assert b"ViTForImageClassification" in shown
    assert _interrupted(process) == 130
    os.close(master)


def _interrupted(process: subprocess.Popen[bytes]) -> int:
    """Press ^C as a person does: again, where the first fell between the question and the reading of it."""
    for _ in range(10):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=6)
    process.kill()
    raise AssertionError("^C does not end the question")


def _read_until(descriptor: int, text: bytes) -> bytes:
    seen = b""
    deadline = time.monotonic() + 120
    while text not in seen:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, seen
        seen += os.read(descriptor, 65536)
    return seen
