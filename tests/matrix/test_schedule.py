"""Rows side by side: memory, time, ^C. The processes are stand-ins, the clock is turned by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from porter.matrix import memory
from porter.matrix.schedule import GRACE, Finish, Job, run_jobs, shares

GB = 2**30


@dataclass
class Machine:
    """A machine whose time and memory the test decides."""

    memory: int = 8 * GB
    now: float = 0.0
    log: list[str] = field(default_factory=list)
    running: list[Fake] = field(default_factory=list)
    most: int = 0
    ends: dict[str, Finish] = field(default_factory=dict)
    on_tick: Callable[[], None] = lambda: None

    def available(self) -> int:
        return self.memory - sum(each.held() for each in self.running)

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 1.0)
        self.running = [each for each in self.running if not each.ended]
        self.on_tick()

    def job(
        self, name: str, *, needed: int = GB, takes: float = 10, budget: float = 100, stubborn: bool = False
    ) -> Job:
        def start() -> Fake:
            fake = Fake(self, name, needed, self.now + takes, stubborn)
            self.running.append(fake)
            self.most = max(self.most, len(self.running))
            assert self.available() >= 0
            return fake

        return Job(name, needed, budget, start)

    def run(self, *jobs: Job, at_once: int = 4) -> None:
        run_jobs(
            jobs,
            at_once=at_once,
            available=self.available,
            on_start=lambda job: self.log.append(f"start {job.name}"),
            on_end=self._end,
            clock=lambda: self.now,
            sleep=self.sleep,
        )

    def _end(self, finish: Finish) -> None:
        self.log.append(f"{finish.how} {finish.job.name}")
        self.ends[finish.job.name] = finish


@dataclass
class Fake:
    """A process that ends at a time, and holds its memory from its third second on."""

    machine: Machine
    name: str
    needed: int
    end: float
    stubborn: bool
    killed: bool = False
    asked: bool = False

    @property
    def ended(self) -> bool:
        return self.killed or (self.asked and not self.stubborn) or self.machine.now >= self.end

    def held(self) -> int:
        return 0 if self.ended else self.needed

    def interrupt(self) -> None:
        self.asked = True

    def kill(self) -> None:
        self.killed = True


def test_processors_are_shared_out_evenly() -> None:
    assert shares((0, 1, 2, 3, 4), 2) == ((0, 1), (2, 3))
    assert shares((3, 5), 3) == ((3,), (5,), (3,))
    assert shares((3, 5), 1) == ((3, 5),)


def test_no_more_rows_at_once_than_asked_for() -> None:
    machine = Machine()
    machine.run(*(machine.job(str(number)) for number in range(6)), at_once=2)
    assert machine.most == 2
    assert sorted(machine.ends) == list("012345")
    assert {finish.how for finish in machine.ends.values()} == {"ended"}


def test_a_row_that_does_not_fit_now_lets_others_go_first() -> None:
    machine = Machine(memory=8 * GB)
    big, small = machine.job("big", needed=6 * GB), machine.job("small", needed=GB)
    machine.run(machine.job("first", needed=5 * GB), big, small)
    assert machine.log[:2] == ["start first", "start small"]
    assert machine.log.index("start big") > machine.log.index("ended first")


def test_memory_that_is_promised_and_not_used_yet_counts() -> None:
    held = [memory.Held(reckoned=3 * GB, now=GB)]
    assert memory.fits(2 * GB, 5 * GB, held)
    assert not memory.fits(3 * GB, 5 * GB, held)


def test_a_row_that_never_fits_is_not_started_and_ends_nothing() -> None:
    machine = Machine(memory=4 * GB)
    machine.run(machine.job("huge", needed=5 * GB), machine.job("other"))
    assert machine.log == ["start other", "ended other", "no memory huge"]
    assert machine.ends["huge"].available == 4 * GB


def test_a_row_over_its_time_is_asked_to_stop_and_then_killed() -> None:
    machine = Machine()
    machine.run(
        machine.job("slow", takes=500, budget=20),
        machine.job("deaf", takes=500, budget=20, stubborn=True),
        machine.job("quick", takes=5, budget=20),
    )
    assert {name: finish.how for name, finish in machine.ends.items()} == {
        "slow": "out of time",
        "deaf": "out of time",
        "quick": "ended",
    }
    assert 20 < machine.ends["slow"].seconds < 25
    assert 20 + GRACE < machine.ends["deaf"].seconds < 25 + GRACE


def test_the_peak_is_the_most_that_was_held() -> None:
    machine = Machine()
    machine.run(machine.job("one", needed=3 * GB))
    assert machine.ends["one"].peak == 3 * GB


def test_control_c_stops_every_row_and_records_none() -> None:
    machine = Machine()
    started: list[Fake] = []

    def press() -> None:
        started.extend(machine.running)
        machine.on_tick = lambda: None
        raise KeyboardInterrupt

    machine.on_tick = press
    with pytest.raises(KeyboardInterrupt):
        machine.run(
            machine.job("a"), machine.job("deaf", takes=1000, stubborn=True), machine.job("c"), at_once=2
        )
    assert [fake.name for fake in started] == ["a", "deaf"]
    assert all(fake.asked and fake.ended for fake in started)
    assert machine.ends == {}
    assert "start c" not in machine.log


def test_what_a_port_needs_is_reckoned_from_its_weights_and_from_earlier_runs() -> None:
    assert memory.reckon(0) == memory.BASE
    assert memory.reckon(GB) > memory.BASE + 4 * GB
    assert memory.reckon(GB, known=2 * GB) == int(2.4 * GB)
    assert memory.reckon(GB, given_gb=9, known=2 * GB) == 9 * GB


def test_a_containers_own_limit_counts(tmp_path: Path) -> None:
    info = tmp_path / "meminfo"
    info.write_text("MemTotal:       8000 kB\nMemAvailable:   4000 kB\n")
    group = tmp_path / "group"
    assert memory.available(info, group) == 4000 * 1024
    group.mkdir()
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("5000\n")
    assert memory.available(info, group) == 4000 * 1024
    (group / "memory.max").write_text("9000\n")
    (group / "memory.stat").write_text("anon 1\ninactive_file 300\n")
    assert memory.available(info, group) == 4300
