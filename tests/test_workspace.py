from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from porter.errors import LockedError, WorkspaceError
from porter.records.options import PortOptions
from porter.records.sandbox import Limits, LimitSettings
from porter.workspace import Workspace

OPTIONS = PortOptions(
    source="some/where",
    name="vit_x",
    task="image-classification",
    clones={"tao-pytorch": '/a "quoted" path\\'},
    settings={"train.num_epochs": "3"},
)


def created(folder: Path) -> Workspace:
    workspace = Workspace(folder / "port")
    workspace.root.mkdir()
    workspace.save(OPTIONS)
    return workspace


HOLD_THE_LOCK = """
import sys
from pathlib import Path
from porter.workspace import Workspace
with Workspace(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_options_survive_the_file_and_people_can_read_it(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "w", OPTIONS)
    assert Workspace.open(tmp_path / "w").load() == OPTIONS
    text = workspace.options_file.read_text()
    assert text.startswith("#")
    assert 'name = "vit_x"\n' in text
    assert "revision" not in text


def test_defaults_come_back_as_defaults(tmp_path: Path) -> None:
    options = PortOptions(source="folder")
    assert Workspace.create(tmp_path, options).load() == options


def test_an_edit_by_hand_is_what_counts(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path, OPTIONS)
    text = workspace.options_file.read_text()
    workspace.options_file.write_text(text.replace('"3"', '"7"') + "\n# a note\n")
    assert workspace.load().settings == {"train.num_epochs": "7"}


def test_creating_again_with_the_same_options_opens(tmp_path: Path) -> None:
    Workspace.create(tmp_path, OPTIONS)
    assert Workspace.create(tmp_path, OPTIONS).load() == OPTIONS


def test_creating_over_another_port_names_what_differs(tmp_path: Path) -> None:
    Workspace.create(tmp_path, OPTIONS)
    with pytest.raises(WorkspaceError) as caught:
        Workspace.create(tmp_path, PortOptions(source="other/model", name="vit_x"))
    assert "source is 'some/where' there and 'other/model' here" in caught.value.why
    assert f"porter resume {tmp_path}" in caught.value.next_step
    assert Workspace.open(tmp_path).load() == OPTIONS


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(WorkspaceError, match="not porter's") as caught:
        Workspace.create(tmp_path, OPTIONS)
    assert "thesis.tex" in caught.value.why
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w").write_text("mine")
    with pytest.raises(WorkspaceError, match="is a file"):
        Workspace.create(tmp_path / "w", OPTIONS)


def test_creating_goes_on_where_a_kill_left_only_the_state_folder(tmp_path: Path) -> None:
    (tmp_path / ".porter").mkdir()
    (tmp_path / ".porter.toml.porter-tmp").write_text("hal")
    assert Workspace.create(tmp_path, OPTIONS).load() == OPTIONS
    assert not (tmp_path / ".porter.toml.porter-tmp").exists()


def test_opening_what_is_no_workspace_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="no porter workspace") as caught:
        Workspace.open(tmp_path)
    assert "porter port" in caught.value.next_step


@pytest.mark.parametrize(
    ("content", "what", "why"),
    [
        (b"format = 1\nsource = what?\n", "cannot be read", "line 2"),
        (b"format = 1\nsource = '\xff'", "cannot be read", "utf-8"),
        (b'[build]\nkind = "other tool"\n', "is not porter's", "format = 1"),
        (b'format = 1\nname = "x"\n', "does not hold", "source"),
        (b'format = 1\nsource = "x"\nsettings = 3\n', "does not hold", "settings"),
        (b'format = 1\nsource = "x"\ncolour = "red"\n', "does not hold", "colour"),
        (b"format = 2\nanything = 1\n", "newer porter", "format 2"),
    ],
)
def test_unusable_options_are_refused_with_the_reason_and_the_way_out(
    tmp_path: Path, content: bytes, what: str, why: str
) -> None:
    (tmp_path / "porter.toml").write_bytes(content)
    with pytest.raises(WorkspaceError, match=what) as caught:
        Workspace.open(tmp_path)
    assert why in caught.value.why
    assert caught.value.next_step
    assert (tmp_path / "porter.toml").read_bytes() == content


def test_a_second_process_is_told_who_holds_the_lock_and_a_killed_holder_lets_go(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path, OPTIONS)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockedError) as caught, workspace.lock():
            pass
        assert f"process {holder.pid} holds it" in caught.value.why
        assert f"kill {holder.pid}" in caught.value.next_step
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        holder.stdin.close()
        holder.stdout.close()
    with workspace.lock():
        pass


def test_the_lock_is_free_again_after_an_error_inside(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path, OPTIONS)
    with pytest.raises(ZeroDivisionError), workspace.lock():
        raise ZeroDivisionError
    with workspace.lock():
        pass


def test_limits_are_settings_that_stay_when_porter_writes_the_options(tmp_path: Path) -> None:
    workspace = created(tmp_path)
    assert "limits" not in workspace.options_file.read_text()
    with workspace.options_file.open("a") as file:
        file.write("[limits]\nmemory_gb = 8\ncpus = 1\n")
    workspace.save(msgspec.structs.replace(workspace.load(), name="vit"))
    limits = workspace.load().limits
    usual = Limits()
    assert limits.applied(usual) == msgspec.structs.replace(usual, memory_bytes=8 * 2**30, cpus=1)


@pytest.mark.parametrize("line", ["memory_gb = 0", 'memory_gb = "8"', "cpus = -1", "memory = 8"])
def test_a_limit_that_is_none_is_refused_by_name(tmp_path: Path, line: str) -> None:
    workspace = created(tmp_path)
    with workspace.options_file.open("a") as file:
        file.write(f"[limits]\n{line}\n")
    with pytest.raises(WorkspaceError, match=line.partition(" ")[0]):
        workspace.load()


@pytest.mark.parametrize(("seconds", "minutes", "left"), [(900, 5, 300), (900, 20, 1200), (36000, 5, 36000)])
def test_a_run_that_was_given_hours_keeps_them(seconds: int, minutes: int, left: int) -> None:
    assert LimitSettings(minutes=minutes).applied(Limits(seconds=seconds)).seconds == left
