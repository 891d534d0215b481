"""What is read from a workspace: finished, failed, half made, edited, damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from porter.gates.catalogue import GATES
from porter.records.base import from_json, to_json
from porter.records.reference import HeldModel, StrategyChoice
from porter.records.review import Review, ReviewFile, ReviewGate
from porter.records.transplant import Lifted, Tweak
from porter.report import changes
from porter.report import page as page_module
from porter.report.page import render
from porter.report.proofs import read_hops
from porter.report.review import build_review
from tests.report.conftest import Make
from tests.report.sample import PICTURED, TAME, Sample
from tests.repositories import git


def review(sample: Sample) -> Review:
    return build_review(sample.workspace, sample.now())


def files(found: Review, repo: str = "tao-pytorch") -> dict[str, ReviewFile]:
    return {file.path: file for each in found.repos if each.repo == repo for file in each.files}


def gate_states(found: Review) -> dict[str, str]:
    return {gate.gate: gate.state for phase in found.phases for gate in phase.gates}


def test_a_port_where_all_passed_is_complete(make: Make) -> None:
    found = review(make("complete"))
    assert found.state == "complete"
    assert found.unproven == ()
    assert found.counts["passed"] == len(GATES)
    assert gate_states(found) == {gate.id: "passed" for gate in GATES}
    assert from_json(to_json(found), Review) == found


def test_what_is_open_is_named_with_its_remedy_and_stand_in(make: Make) -> None:
    found = review(make("open"))
    assert found.state == "incomplete"
    by_gate = {item.gate: item for item in found.unproven}
    last = max(gate.phase for gate in GATES)
    for gate in GATES:
        if gate.phase == last:
            assert by_gate[gate.id].kind == "not run"
        elif not gate.cpu:
            assert by_gate[gate.id].kind == "blocked"
            assert (by_gate[gate.id].why, by_gate[gate.id].remedy) == (f"no GPU here: {TAME}", "find one")
            assert by_gate[gate.id].command == f"porter gate {gate.id} {found.workspace}"
        elif gate.stand_in:
            assert (by_gate[gate.id].kind, by_gate[gate.id].stand_in) == ("rehearsed", gate.stand_in)
        else:
            assert gate.id not in by_gate
    kinds = [item.kind for item in found.unproven]
    assert kinds == sorted(kinds, key=("failed", "changed", "blocked", "rehearsed", "not run").index)


def test_a_failed_port_shows_the_failure_first_and_what_was_found_before_it(make: Make) -> None:
    found = review(make("failed"))
    assert found.state == "failed"
    first = found.unproven[0]
    assert (first.kind, first.why) == ("failed", f"not equal: {TAME}")
    assert "two tensors are swapped" in first.remedy
    assert "correct the rules" in first.remedy
    assert found.findings is not None
    assert found.ledger is not None
    assert found.ledger.fates["leftover"] == 1
    (left,) = [row for row in found.ledger.rows if row.fate == "leftover"]
    assert left.hint.endswith("only a hint: classifier.extra (same shape, name 50% alike)")
    assert f"Hint: {left.hint}.".encode() in render(found)
    # The gates after the failed one have not run.
    names = [gate.gate for gate in found.phases[3].gates]
    assert [gate_states(found)[name] for name in names[names.index(first.gate) :]] == [
        "failed",
        *["not run"] * 2,
    ]


def test_files_say_who_made_them_and_from_what(make: Make) -> None:
    sample = make("complete")
    worktree = sample.workspace.clone_path("tao-pytorch")
    (worktree / "pkg" / "tiny_vit" / "labels.py").write_text("x = 1\n")
    (worktree / "pkg" / "__init__.py").write_text("mine = 1\n")
    (worktree / "pkg" / "own file.py").write_text("one\ntwo\n")
    (worktree / "setup.py").unlink()
    found = review(sample)
    shown = files(found)
    assert {path: (file.change, file.by) for path, file in shown.items()} == {
        "pkg/__init__.py": ("edited", "you"),
        "pkg/own file.py": ("created", "you"),
        "pkg/tiny_vit/__init__.py": ("created", "porter"),
        "pkg/tiny_vit/labels.py": ("created", "both"),
        "setup.py": ("removed", "both"),
    }
    assert shown["setup.py"].produced_by == "codemod add_console_script"
    template = "tao_pytorch/classification_pyt/{{ name }}/labels.py.jinja"
    assert shown["pkg/tiny_vit/labels.py"].produced_by == template
    assert (shown["pkg/own file.py"].added, shown["pkg/own file.py"].removed) == (2, 0)
    assert shown["pkg/own file.py"].diff.endswith("@@ -0,0 +1,2 @@\n+one\n+two\n")
    assert (shown["setup.py"].added, shown["setup.py"].removed) == (0, 5)
    # The other repository's files come from another phase's plan.
    other = files(found, "tao-deploy")
    assert other["pkg/tiny_vit/labels.py"].produced_by.startswith("tao_deploy/")


def test_a_diff_is_the_one_of_git_whatever_the_users_settings(make: Make) -> None:
    sample = make("complete")
    worktree = sample.workspace.clone_path("tao-pytorch")
    expected = git(worktree, "diff", "HEAD", "--", "setup.py")
    for key, value in {"diff.noprefix": "true", "color.ui": "always", "diff.external": "false"}.items():
        git(worktree, "config", key, value)
    shown = files(review(sample))["setup.py"]
    assert shown.diff == f"{expected}\n"
    assert (shown.added, shown.removed) == (1, 1)


def test_a_long_diff_is_cut_and_says_so(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_FILE_LINES", 10)
    monkeypatch.setattr(changes, "_ALL_LINES", 25)
    shown = [file for repo in review(make("complete")).repos for file in repo.files]
    labels = shown[1]
    assert (labels.diff.count("\n"), labels.added) == (10, 44)
    assert labels.left_out == 6 + 44 - 10
    assert sum(file.diff.count("\n") for file in shown) == 25


def test_a_file_that_was_planned_and_is_not_there_is_shown(make: Make) -> None:
    sample = make("complete")
    worktree = sample.workspace.clone_path("tao-pytorch")
    git(worktree, "rm", "-q", "-f", "--cached", "pkg/tiny_vit/labels.py")
    (worktree / "pkg" / "tiny_vit" / "labels.py").unlink()
    labels = files(review(sample))["pkg/tiny_vit/labels.py"]
    assert (labels.change, labels.diff) == ("absent", "")


@pytest.mark.parametrize("repo", ["tao-pytorch", "tao-deploy"])
def test_an_edit_after_the_gates_makes_the_port_unproven_until_it_is_undone(make: Make, repo: Any) -> None:
    sample = make("complete")
    path = sample.workspace.clone_path(repo) / "pkg" / "tiny_vit" / "labels.py"
    before = path.read_bytes()
    path.write_bytes(before + b"# by hand\n")
    found = review(sample)
    assert found.state == "incomplete"
    # tao-deploy is written by phase 4, and nothing before that rests on it.
    first = 3 if repo == "tao-pytorch" else 4
    changed = [phase.number for phase in found.phases if phase.changed]
    assert changed == [number for number in sample.known if number >= first]
    for phase in found.phases:
        states = {gate.state for gate in phase.gates}
        assert states == ({"changed"} if phase.changed else {"passed"})
    by_gate = gate_states(found)
    assert [hop.state for hop in found.hops] == [by_gate[hop.gate] for hop in found.hops]
    path.write_bytes(before)
    assert review(sample).state == "complete"


def test_a_file_that_git_does_not_know_makes_the_port_unproven(make: Make) -> None:
    sample = make("complete")
    worktree = sample.workspace.clone_path("tao-pytorch")
    (worktree / "extra.py").write_text("x = 1\n")
    found = review(sample)
    assert [(item.kind, item.what) for item in found.unproven] == [("changed", "tao-pytorch")]
    assert "extra.py" in found.unproven[0].why
    assert f"git -C {worktree} add --intent-to-add -- extra.py" in found.unproven[0].command
    assert files(found)["extra.py"].by == "you"


def test_a_lost_output_makes_the_port_unproven(make: Make) -> None:
    sample = make("complete")
    record = sample.workspace.phases / "2.json"
    told = json.loads(record.read_bytes())
    told["outputs"] = {"results/gone.pth": {"size": 1, "mtime_ns": 1, "sha256": "0" * 64}}
    record.write_text(json.dumps(told))
    found = review(sample)
    assert found.phases[2].changed == "not as it was left: results/gone.pth"
    assert found.state == "incomplete"


def test_records_that_cannot_be_read_are_noted_and_the_rest_is_shown(make: Make) -> None:
    sample = make("complete")
    steps, phases = sample.workspace.steps, sample.workspace.phases
    told = json.loads((steps / "1-inspection.json").read_bytes())
    told["result"] = {"something": "else"}
    (steps / "1-inspection.json").write_text(json.dumps(told))
    (steps / "3-target.json").write_text("{")
    (phases / "2.json").write_text("[]")
    (sample.workspace.clones / "tao-deploy.json").write_text("{}")
    (sample.workspace.state / "evidence" / "preprocessing" / "index.json").write_text("[{}]")
    found = review(sample)
    assert found.findings is None
    assert found.reference is not None
    assert found.ledger is not None
    assert found.ledger.target_tensors == 0
    assert {gate.state for gate in found.phases[2].gates} == {"not run"}
    assert [repo.repo for repo in found.repos if repo.problem] == ["tao-deploy"]
    assert found.images == ()
    said = " ".join(found.notes)
    assert "inspection" in said
    assert "2.json" in said
    assert "index.json" in said
    assert found.state == "incomplete"
    assert render(found)


def test_a_worktree_that_is_gone_is_said(make: Make) -> None:
    sample = make("complete")
    sample.workspace.clone_path("tao-deploy").rename(sample.workspace.root / "away")
    found = review(sample)
    gone = next(repo for repo in found.repos if repo.repo == "tao-deploy")
    assert "there is no worktree" in gone.problem
    assert any(item.what == "tao-deploy" for item in found.unproven)


def test_a_log_is_its_end_without_what_a_terminal_acts_on(make: Make) -> None:
    sample = make("open")
    run = next(iter(sorted(sample.workspace.runs.iterdir())))
    (run / "log.txt").write_bytes(
        b"".join(b"line %d \x1b[31mred\x1b[0m\n" % i for i in range(4000)) + b"10%\r99%\n"
    )
    shown = next(each for each in review(sample).runs if each.name == run.name)
    assert shown.log.endswith("line 3999 red\n99%\n")
    assert shown.log.startswith("line ")
    assert len(shown.log) < 24_000
    assert shown.left_out > 40_000
    assert shown.script.startswith("#!/bin/sh\n")


def test_nothing_outside_the_workspace_gets_into_the_page(make: Make, tmp_path: Path) -> None:
    sample = make("open")
    secret = tmp_path / "secret"
    secret.write_bytes(b"\x89PNG\r\n\x1a\nSECRET")
    run = next(iter(sorted(sample.workspace.runs.iterdir())))
    (run / "log.txt").unlink()
    (run / "log.txt").symlink_to(secret)
    folder = sample.workspace.state / "evidence" / "preprocessing"
    (folder / "0-source.png").unlink()
    (folder / "0-source.png").symlink_to(secret)
    (folder / "0-trainer.png").unlink()
    os.mkfifo(folder / "0-trainer.png")
    (folder / "0-huggingface.png").write_bytes(b"<svg onload='x'/>")
    index = json.loads((folder / "index.json").read_bytes())
    index[-1]["file"] = os.path.relpath(secret, folder)
    (folder / "index.json").write_text(json.dumps(index))
    page = render(review(sample))
    assert b"SECRET" not in page
    assert page.count(b"data:image/png;base64,") == 2 * len(PICTURED) - 3


def test_the_page_has_an_end_however_many_pictures_there_are(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = review(make("open"))
    whole = render(found).count(b"data:image/png;base64,")
    monkeypatch.setattr(page_module, "_PICTURES_BYTES", 300)
    cut = render(found)
    assert 0 < cut.count(b"data:image/png;base64,") < whole == 2 * len(PICTURED)
    assert cut.count(b"no picture") == whole - cut.count(b"data:image/png;base64,")


def hop(**evidence: Any) -> Any:
    gate = ReviewGate(gate="g", phase=3, title="", state="passed", evidence={"hop": "a -> b", **evidence})
    (found,) = read_hops([gate])
    return found


def test_a_hop_is_read_however_its_gate_wrote_the_numbers() -> None:
    other = ReviewGate(gate="g", phase=3, title="", state="passed", evidence={"relative": 1.0})
    assert read_hops([other]) == ()
    one = hop(relative=2e-6, max_abs=1e-5, tolerance=1e-4)
    assert (one.relative, one.max_abs, one.tolerance) == (2e-6, 1e-5, 1e-4)
    assert [series.values for series in one.series] == [(2e-6,)]
    assert hop(relative=[1e-6, 3e-6, 2e-6]).relative == 3e-6
    named = hop(relative={"cat.png": 1e-6, "dog.png": 0})
    assert (named.series[0].names, named.series[0].values) == (("cat.png", "dog.png"), (1e-6, 0.0))
    inputs = hop(relative=2e-6, per_input={"cat.png": 1e-6, "dog.png": 2e-6})
    assert (inputs.relative, inputs.series[0].names) == (2e-6, ("cat.png", "dog.png"))
    assert inputs.series[0].values == (1e-6, 2e-6)
    several = hop(
        tolerance=1e-3,
        max_abs={"fp32": 0.1, "fp16": 0.3},
        parities=[{"output": "logits", "each": [1e-5, 2e-5]}, {"relative": 4e-5, "batches": [2, 5]}],
        controls={"a.weight": 0.5},
    )
    assert [series.values for series in several.series] == [(1e-5, 2e-5), (4e-5,), (0.5,)]
    assert [series.label for series in several.series[:2]] == ["logits", "batch 2, 5"]
    assert [series.control for series in several.series] == [False, False, True]
    assert (several.relative, several.max_abs) == (4e-5, 0.3)
    for odd in (
        {},
        {"relative": "small"},
        {"relative": None, "tolerance": True, "parities": 3, "controls": [None]},
    ):
        empty = hop(**odd)
        assert (empty.relative, empty.tolerance, empty.series) == (None, None, ())


def test_what_was_lifted_and_rewritten_is_said(make: Make) -> None:
    found = review(make("complete"))
    assert found.reference is not None
    strategy = StrategyChoice(
        strategy="transplant",
        reason="it was lifted",
        held=HeldModel(
            architecture="OddForImageClassification",
            config={"depths": [1]},
            attention="eager",
            heads=("head",),
            embed_dim=8,
            head_bias=True,
            stages=("stem",),
        ),
        lifted=Lifted(
            architecture="OddForImageClassification",
            transformers="4.57.6",
            text="",
            header=(),
            config={},
            origins=("odd",),
            copyrights=("Copyright 2020 Somebody",),
            tweaks=(Tweak(name="grid-dtype", text="the grid has a type", places=2, exact=True),),
        ),
    )
    reference = msgspec.structs.replace(found.reference, strategy=strategy)
    page = render(msgspec.structs.replace(found, reference=reference)).decode()
    assert "<code>OddForImageClassification</code> lifted from transformers" in page
    assert "lifted from <code>odd</code> of transformers 4.57.6" in page
    assert "in 2 places: the grid has a type; the numbers are the same, bit for bit" in page


def test_facts_of_the_model_and_why_this_strategy_are_there(make: Make) -> None:
    found = review(make("complete"))
    assert found.findings is not None
    assert found.findings.labels[0] == TAME
    assert found.findings.parameters > 1000
    assert found.reference is not None
    assert [candidate.name for candidate in found.reference.candidates] == ["classification_pyt", "segformer"]
    assert "native" in found.reference.strategy.rejected
    groups = {group.title: group.entries for group in found.versions}
    assert groups["model"]["pinned to"] == "5" * 40
    assert groups["tao-pytorch"]["release"] == "7.0.1"
    assert len(groups["requirement set tao-pytorch-7.0.1"]) > 100
    page = render(found).decode()
    for text in ("passed over: no backbone of the clone has it", "not needed: it comes after one that fits"):
        assert text in page
