"""`porter review` as a person or a machine runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from porter.gates.catalogue import GATES
from tests.e2e.conftest import Done, run_porter
from tests.report.conftest import Make
from tests.report.sample import HOSTILE, Sample


def porter_review(sample: Sample, *arguments: str | Path) -> Done:
    return run_porter(Path("/nonexistent"), "review", sample.workspace.root, *arguments)


def test_the_page_and_a_summary_are_written(make: Make) -> None:
    sample = make("open")
    done = porter_review(sample)
    assert (done.code, done.err) == (0, "")
    page = sample.workspace.results / "review.html"
    assert done.out.splitlines()[0] == "tiny_vit: incomplete"
    assert done.out.splitlines()[-1] == f"page        {page}"
    assert "Hugging Face -> TAO module: 5e-7 (bound 1e-5)" in done.out
    assert "2 created, 1 edited" in done.out
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in page.parent.iterdir()] == ["review.html"]


def test_check_is_silent_about_nothing(make: Make) -> None:
    sample = make("open")
    done = porter_review(sample, "--check")
    assert done.code == 10
    last = max(gate.phase for gate in GATES)
    for gate in GATES:
        open_gate = gate.phase == last or not gate.cpu or bool(gate.stand_in)
        assert (f": {gate.id}: " in done.err) == open_gate, gate.id
    assert "unblock: find one" in done.err


def test_check_passes_where_all_is_proven_and_fails_after_an_edit(make: Make) -> None:
    sample = make("complete")
    assert porter_review(sample, "--check").code == 0
    path = sample.workspace.clone_path("tao-pytorch") / "pkg" / "tiny_vit" / "labels.py"
    path.write_text("x = 2\n")
    done = porter_review(sample, "--check")
    assert done.code == 10
    assert "changed: phase 3 (implement): changed since: worktree" in done.err
    assert "changed" in done.out.splitlines()[1]


@pytest.mark.parametrize(("ending", "code"), [("failed", 1), ("none", 10)])
def test_check_tells_failed_from_unfinished(make: Make, ending: str, code: int) -> None:
    done = porter_review(make(ending), "--check")
    assert (done.code, "Traceback" in done.err) == (code, False)


def test_json_is_the_same_data_and_writes_no_page(make: Make) -> None:
    sample = make("failed")
    done = porter_review(sample, "--json", "--check")
    assert done.code == 1
    told = done.json
    assert (told["state"], told["name"]) == ("failed", "tiny_vit")
    assert {gate["gate"] for phase in told["phases"] for gate in phase["gates"]} == {
        gate.id for gate in GATES
    }
    assert told["unproven"][0]["kind"] == "failed"
    assert not sample.workspace.results.exists()


def test_the_page_goes_where_it_is_wanted(make: Make, tmp_path: Path) -> None:
    sample = make("none")
    target = tmp_path / "out" / "page.html"
    done = porter_review(sample, "--output", target)
    assert done.code == 0
    assert target.is_file()
    assert not sample.workspace.results.exists()
    done = porter_review(sample, "--json", "--output", tmp_path / "both.html")
    assert json.loads(done.out)["state"] == "incomplete"
    assert (tmp_path / "both.html").is_file()
    done = porter_review(sample, "--output", "/proc/page.html")
    assert done.code == 4
    assert "--output FILE" in done.err


def test_it_changes_nothing_in_the_workspace_but_the_page(make: Make) -> None:
    sample = make("open")

    def state() -> dict[str, bytes]:
        root = sample.workspace.root
        found = (path for path in root.rglob("*") if path.is_file() and path.name != "review.html")
        return {str(path): path.read_bytes() for path in found}

    before = state()
    assert porter_review(sample).code == 0
    assert state() == before


def test_the_terminal_acts_on_no_text_of_others(make: Make) -> None:
    done = porter_review(make("failed", f"\x1b[31m{HOSTILE}"), "--check")
    assert done.code == 1
    assert "\x1b" not in done.out + done.err
    assert "\u202e" not in done.out


def test_a_folder_that_is_no_workspace_is_said(tmp_path: Path) -> None:
    done = run_porter(tmp_path, "review", tmp_path)
    assert done.code == 4
    assert "no porter workspace" in done.err
