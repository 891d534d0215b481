from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from porter.engine import Event, Phase, walk
from porter.errors import GateFailedError, PorterError, SandboxError
from porter.journal import Journal
from porter.records.gates import GateResult, GateState
from porter.records.journal import PhaseRecord
from porter.records.options import PortOptions
from porter.workspace import Workspace


class Port:
    """A port of three phases: read a number, double it, judge it."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace.create(root, PortOptions(source="x"))
        self.journal = Journal(self.workspace)
        self.options: dict[str, Any] = {"number": 4}
        self.verdict: GateState = "passed"
        self.worked: list[str] = []
        self.seen: list[str] = []
        self.phases: tuple[Phase[Port], ...] = (
            Phase[Port](1, "read", (), ("number",), Port.read),
            Phase[Port](2, "double", ("number",), ("double",), Port.double),
            Phase[Port](3, "judge", ("double",), (), Port.judge),
        )

    def inputs(self, number: int) -> Mapping[str, Any]:
        return dict(self.options) if number == 1 else {}

    @property
    def file(self) -> Path:
        return self.workspace.root / "double.txt"

    def read(self) -> Iterator[GateResult]:
        def run() -> int:
            self.worked.append("read")
            return int(self.options["number"]) // 2 * 2

        self.journal.step("number", self.options, int, run)
        yield GateResult(gate="is-read", state="passed", summary="read")

    def double(self) -> Iterable[GateResult]:
        number = self.journal.made("number", int)

        def run() -> int:
            self.worked.append("double")
            self.file.write_text(str(number * 2))
            return number * 2

        self.journal.step("double", {"number": number}, int, run, lambda _: [self.file])
        return (GateResult(gate="is-doubled", state="rehearsed", summary="doubled"),)

    def judge(self) -> Iterator[GateResult]:
        def run() -> GateResult:
            self.worked.append("judge")
            return GateResult(
                gate="verdict",
                state=self.verdict,
                summary="judged",
                cause="odd",
                fix="use another",
                command="bc",
            )

        yield self.journal.step("verdict", {}, GateResult, run)
        self.worked.append("after the verdict")

    def show(self, event: Event) -> None:
        what = event.gate.gate if event.gate else event.text
        self.seen.append(f"{event.phase} {event.kind} {what}".rstrip())

    def walk(self, last: int = 7) -> tuple[PhaseRecord, ...]:
        self.worked.clear()
        self.seen.clear()
        return walk(self.phases, self, last=last, on_event=self.show)


@pytest.fixture
def port(tmp_path: Path) -> Port:
    return Port(tmp_path / "w")


def test_walks_all_phases_in_order_and_records_them(port: Port) -> None:
    records = port.walk()
    assert port.worked == ["read", "double", "judge", "after the verdict"]
    assert port.seen == [
        "1 started", "1 gate is-read", "1 finished",
        "2 started", "2 gate is-doubled", "2 finished",
        "3 started", "3 gate verdict", "3 finished",
    ]  # fmt: skip
    assert [record.number for record in records] == [1, 2, 3]
    assert list(records[1].outputs) == ["double.txt"]
    assert [gate.state for record in records for gate in record.gates] == ["passed", "rehearsed", "passed"]
    assert port.journal.phase(2) == records[1]


def test_a_finished_port_does_nothing(port: Port) -> None:
    before = port.walk()
    assert port.walk() == before
    assert port.worked == []
    assert port.seen == ["1 skipped", "2 skipped", "3 skipped"]


def test_a_changed_input_is_named_and_only_what_depends_on_it_runs(port: Port) -> None:
    port.walk()
    port.options["number"] = 10
    port.walk()
    assert "1 started changed since: number" in port.seen
    assert "2 started changed since: made: number" in port.seen
    assert port.worked == ["read", "double", "after the verdict"]
    assert port.file.read_text() == "20"


def test_a_change_that_makes_no_difference_stops_where_it_makes_none(port: Port) -> None:
    port.walk()
    port.options["number"] = 5
    port.walk()
    assert port.worked == ["read"]
    assert port.seen[-2:] == ["2 skipped", "3 skipped"]


def test_a_damaged_output_is_named_and_made_again(port: Port) -> None:
    port.walk()
    port.file.write_text("9")
    port.walk()
    assert "2 started not as it was left: double.txt" in port.seen
    assert port.file.read_text() == "8"
    assert port.seen[-1] == "3 skipped"


def test_a_failed_gate_stops_right_there_and_is_on_record(port: Port) -> None:
    port.verdict = "failed"
    with pytest.raises(GateFailedError) as caught:
        port.walk()
    assert "gate verdict failed: judged" in caught.value.what
    assert caught.value.why == "odd"
    assert caught.value.next_step == "use another; or repeat it: bc"
    assert port.worked == ["read", "double", "judge"]
    record = port.journal.phase(3)
    assert record is not None
    assert record.gates[0].state == "failed"


def test_a_failed_gate_is_tried_again_and_nothing_else(port: Port) -> None:
    port.verdict = "failed"
    with pytest.raises(GateFailedError):
        port.walk()
    port.verdict = "passed"
    port.walk()
    assert port.seen[:3] == ["1 skipped", "2 skipped", "3 started gate verdict failed"]
    assert port.worked == ["judge", "after the verdict"]


def test_a_blocked_gate_lets_the_port_go_on_and_is_tried_again(port: Port) -> None:
    port.verdict = "blocked"
    port.walk()
    assert port.worked[-1] == "after the verdict"
    port.walk()
    assert port.seen[2] == "3 started gate verdict was blocked"
    port.verdict = "passed"
    port.walk()
    port.walk()
    assert port.worked == []


def test_until_leaves_the_rest_for_later(port: Port) -> None:
    port.walk(last=2)
    assert port.worked == ["read", "double"]
    port.walk()
    assert port.worked == ["judge", "after the verdict"]


def test_an_input_that_the_phase_settles_itself_does_not_make_it_run_again(port: Port) -> None:
    def ask(port: Port) -> Iterator[GateResult]:
        port.options["name"] = "chosen"
        yield from port.read()

    port.phases = (Phase(1, "read", (), ("number",), ask), *port.phases[1:])
    port.walk()
    port.walk()
    assert port.seen[0] == "1 skipped"


def test_a_record_that_cannot_be_read_is_said_to_be_so(port: Port) -> None:
    port.walk()
    (port.workspace.phases / "2.json").write_bytes(b"{")
    port.walk()
    assert port.seen[1] == "2 started its record cannot be read"


def test_a_phase_that_does_not_make_what_it_promises_is_a_bug(port: Port) -> None:
    port.phases = (Phase(1, "read", (), ("number", "colour"), Port.read),)
    with pytest.raises(RuntimeError, match="colour"):
        port.walk()


def test_a_phase_that_needs_what_nobody_makes_is_a_bug(port: Port) -> None:
    port.phases = (port.phases[0], port.phases[2])
    with pytest.raises(RuntimeError, match="double"):
        port.walk()


def test_an_expected_error_is_in_the_record_as_the_gate_that_it_stopped(port: Port) -> None:
    def break_down(port: Port) -> Iterator[GateResult]:
        yield from port.read()
        raise SandboxError("the probe died", next_step="sh command.sh")

    def failure(number: int, gates: Sequence[GateResult], error: PorterError) -> GateResult:
        return GateResult(gate=f"after-{gates[-1].gate}", state="failed", summary=f"{number}: {error.what}")

    phases = (Phase[Port](1, "read", (), ("number",), break_down),)
    with pytest.raises(SandboxError, match="the probe died"):
        walk(phases, port, on_event=port.show, failure=failure)
    record = port.journal.phase(1)
    assert record is not None
    assert [(gate.gate, gate.state) for gate in record.gates] == [
        ("is-read", "passed"),
        ("after-is-read", "failed"),
    ]
    assert port.journal.unsettled(1, port.inputs(1), ()) == "gate after-is-read failed"
