from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import porter
from porter.journal import Journal
from porter.records.gates import GateResult, GateState
from porter.records.options import PortOptions
from porter.records.reference import Candidate
from porter.workspace import Workspace


class Bench:
    """A workspace, and a step that counts how often it really ran."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace.create(root, PortOptions(source="x"))
        self.runs = 0
        self.said: list[str] = []

    def journal(self) -> Journal:
        return Journal(self.workspace, self.said.append)

    def write(self, inputs: Mapping[str, Any], content: str = "made") -> str:
        def run() -> str:
            self.runs += 1
            self.file.write_text(content)
            return content

        return self.journal().step("write", inputs, str, run, lambda _: [self.file])

    @property
    def file(self) -> Path:
        return self.workspace.root / "made.txt"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "w")


def test_a_step_runs_once_for_the_same_inputs(bench: Bench) -> None:
    assert bench.write({"a": 1, "b": ["x"]}) == "made"
    assert bench.write({"b": ["x"], "a": 1}) == "made"
    assert bench.runs == 1
    assert bench.said == []


@pytest.mark.parametrize(("inputs", "named"), [({"a": 2}, "a"), ({"a": 1, "extra": 0}, "extra"), ({}, "a")])
def test_a_step_runs_again_for_other_inputs_and_names_them(
    bench: Bench, inputs: dict[str, int], named: str
) -> None:
    bench.write({"a": 1})
    bench.write(inputs)
    assert bench.runs == 2
    assert bench.said == [f"write runs again: changed since: {named}"]


def _edit(path: Path) -> None:
    path.write_text("MADE")


def _lengthen(path: Path) -> None:
    path.write_text("made longer")


@pytest.mark.parametrize("damage", [_edit, _lengthen, Path.unlink])
def test_a_step_runs_again_when_its_output_is_not_intact(
    bench: Bench, damage: Callable[[Path], None]
) -> None:
    bench.write({})
    damage(bench.file)
    bench.write({})
    assert bench.file.read_text() == "made"
    assert bench.said == ["write runs again: not as it was left: made.txt"]


def test_an_output_with_a_new_time_and_the_same_content_is_intact(bench: Bench) -> None:
    bench.write({})
    os.utime(bench.file, ns=(1, 1))
    bench.write({})
    assert bench.runs == 1


def test_outputs_are_not_read_again_while_size_and_time_agree(bench: Bench) -> None:
    bench.write({})
    times = bench.file.stat()
    bench.file.write_text("fake")
    os.utime(bench.file, ns=(times.st_atime_ns, times.st_mtime_ns))
    bench.write({})
    assert bench.runs == 1


def test_outputs_may_be_folders_or_lie_elsewhere(bench: Bench, tmp_path: Path) -> None:
    def run() -> None:
        bench.runs += 1
        for path in (tmp_path / "far" / "a", bench.workspace.results / "deep" / "b"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")

    def step() -> None:
        bench.journal().step(
            "many", {}, type(None), run, lambda _: [tmp_path / "far", bench.workspace.results]
        )

    step()
    step()
    assert bench.runs == 1
    (tmp_path / "far" / "a").unlink()
    step()
    (bench.workspace.results / "deep" / "b").write_text("y")
    step()
    assert bench.runs == 3


def test_a_step_of_another_version_of_porter_runs_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write({})
    old = porter.__version__
    monkeypatch.setattr(porter, "__version__", "99.0")
    bench.write({})
    assert bench.said == [f"write runs again: porter {old} did it, this is 99.0"]


def test_a_damaged_record_means_running_again(bench: Bench) -> None:
    bench.write({})
    (record,) = bench.workspace.steps.iterdir()
    record.write_bytes(record.read_bytes()[:40])
    bench.write({})
    assert bench.said == ["write runs again: its record cannot be read"]


def test_a_result_of_another_form_means_running_again(bench: Bench) -> None:
    bench.journal().step("facts", {}, dict[str, int], lambda: {"a": 1})
    assert bench.journal().step("facts", {}, tuple[int, ...], lambda: (1, 2)) == (1, 2)
    assert bench.said == ["facts runs again: its recorded result has another form"]


def test_results_come_back_as_what_they_were(bench: Bench) -> None:
    value = (Candidate(name="c", score=-1, reasons=("because", 'of "quotes" \n and ü')),)
    kind = tuple[Candidate, ...]
    bench.journal().step("score", {}, kind, lambda: value)
    assert bench.journal().step("score", {}, kind, lambda: ()) == value
    assert bench.journal().made("score", kind) == value


def test_a_first_run_and_a_resumed_one_see_the_same_order(bench: Bench) -> None:
    value = {"valid_min": 0, "valid_max": "inf", "automl_enabled": "TRUE"}
    first = bench.journal().step("field", {}, dict[str, Any], lambda: value)
    again = bench.journal().step("field", {}, dict[str, Any], dict)
    assert list(first) == list(again) == list(value)


def test_what_a_first_run_sees_went_through_the_record(bench: Bench) -> None:
    kind = dict[str, tuple[int, ...]]
    value: Any = {"of another form than its record's": [1, 2]}
    assert bench.journal().step("form", {}, kind, lambda: value) == {
        "of another form than its record's": (1, 2)
    }


def test_a_result_is_found_from_any_phase(bench: Bench) -> None:
    journal = bench.journal()
    journal.enter(2)
    journal.step("choice", {}, str, lambda: "native")
    journal.enter(3)
    assert journal.made("choice", str) == "native"
    with pytest.raises(LookupError, match="hoice"):
        journal.made("hoice", str)


def test_a_step_that_raises_leaves_no_record(bench: Bench) -> None:
    def fail() -> str:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        bench.journal().step("x", {}, str, fail)
    assert bench.journal().step("x", {}, str, lambda: "done") == "done"


@pytest.mark.parametrize(("state", "runs"), [("passed", 1), ("rehearsed", 1), ("failed", 2), ("blocked", 2)])
@pytest.mark.parametrize("many", [False, True])
def test_only_gates_that_ran_well_are_kept(bench: Bench, state: GateState, runs: int, many: bool) -> None:
    result = GateResult(gate="g", state=state, summary="s")
    fine = GateResult(gate="f", state="passed", summary="s")

    def run() -> GateResult:
        bench.runs += 1
        return result

    for _ in range(2):
        if many:
            bench.journal().step("g", {}, tuple[GateResult, ...], lambda: (fine, run()))
        else:
            assert bench.journal().step("g", {}, GateResult, run) == result
    assert bench.runs == runs


def test_a_gate_that_fails_now_takes_its_older_pass_out_of_the_records(bench: Bench) -> None:
    passed = GateResult(gate="g", state="passed", summary="s")
    failed = GateResult(gate="g", state="failed", summary="s")
    bench.journal().step("g", {"v": 1}, GateResult, lambda: passed)
    bench.journal().step("g", {"v": 2}, GateResult, lambda: failed)
    assert bench.journal().step("g", {"v": 1}, GateResult, lambda: failed) == failed


def test_a_name_that_would_leave_the_folder_is_a_mistake(bench: Bench) -> None:
    with pytest.raises(ValueError, match="not a step name"):
        bench.journal().step("../x", {}, str, lambda: "")
