"""What is left of the folders that a run was lent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from porter.sandbox.shown import lent


@pytest.mark.parametrize("fails", [False, True])
def test_no_file_is_left_that_runs_with_the_callers_rights(tmp_path: Path, fails: bool) -> None:
    """Where a run is the caller itself, as in a container without root, nothing changes hands."""
    tool, folder = tmp_path / "tool", tmp_path / "folder"
    target = tmp_path.parent / "outside"
    target.write_text("not the run's")
    target.chmod(0o4755)
    try:
        with lent([str(tmp_path)], os.getuid()):
            folder.mkdir()
            folder.chmod(0o2755)
            tool.write_text("#!/bin/sh\n")
            tool.chmod(0o6755)
            (tmp_path / "link").symlink_to(target)
            assert not fails
    except AssertionError:
        assert fails
    assert tool.stat().st_mode & 0o7777 == 0o755
    assert folder.stat().st_mode & 0o7777 == 0o2755
    assert target.stat().st_mode & 0o7777 == 0o4755
