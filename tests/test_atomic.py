from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from porter.atomic import remove_atomic, temporary, write_atomic


def names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def test_writes_bytes_as_they_are_and_makes_parents(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "ünï.txt"
    write_atomic(path, b"one\r\ntwo\xff no newline")
    assert path.read_bytes() == b"one\r\ntwo\xff no newline"
    assert names(path.parent) == ["ünï.txt"]


def test_keeps_the_mode_of_what_it_replaces_and_sets_the_one_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "run.sh"
    write_atomic(path, b"1", mode=0o755)
    write_atomic(path, b"2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    write_atomic(path, b"3", mode=0o640)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_takes_over_what_a_killed_write_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    temporary(path).write_bytes(b"half of someth")
    temporary(path).chmod(0o400)
    write_atomic(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert names(tmp_path) == ["file"]
    assert os.access(path, os.W_OK)


def test_a_link_in_place_of_the_temporary_file_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    path = tmp_path / "file"
    temporary(path).symlink_to(victim)
    write_atomic(path, b"whole")
    assert victim.read_bytes() == b"untouched"
    assert path.read_bytes() == b"whole"
    assert not path.is_symlink()


def test_a_link_at_the_path_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"untouched")
    path = tmp_path / "link"
    path.symlink_to(target)
    write_atomic(path, b"new")
    assert target.read_bytes() == b"untouched"
    assert not path.is_symlink()


def test_a_write_that_fails_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"):
        write_atomic(path, b"new")
    assert names(tmp_path) == ["taken"]
    assert (path / "inside").is_dir()


def test_removing_is_fine_with_nothing_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    remove_atomic(path)
    remove_atomic(path)
    remove_atomic(tmp_path / "no folder" / "file")
    assert names(tmp_path) == []
