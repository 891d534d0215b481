"""What a row says of a port, read from a workspace as phases leave it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from porter.matrix.results import End, read_row, said, state_of
from porter.records.matrix import MatrixRow
from tests.report.sample import Ending, Sample

KNOWN: dict[str, Any] = {"inputs": "in", "code": "c", "until": 6, "as_expected": True}
SAID = """\
phase 1  inspect
porter: something that was mended
  \x1b[31m✗ failed\x1b[0m
porter: gate ledger failed: 2 open: x
why:  no rule takes it
      and none drops it
next: add a rule; or repeat it: sh /m/rows/vit/run.sh
"""


def end(folder: Path, *, code: int = 0, how: str = "ended", text: str = "") -> End:
    log = folder / "log.txt"
    log.write_text(text)
    return End(how=how, exit_code=code, seconds=12.34, peak_bytes=7, log=str(log))


def row(tmp_path: Path, ending: Ending, **ended: Any) -> MatrixRow:
    sample = Sample(tmp_path, ending)
    shown = {f"{tmp_path}/": "", "/m/": ""}
    return read_row("vit", sample.workspace.root, end(tmp_path, **ended), shown, **KNOWN)


def test_a_ported_row_has_what_its_gates_measured(tmp_path: Path) -> None:
    found = row(tmp_path, "complete")
    assert (found.state, found.reason, found.model_type) == ("ported", "", "vit")
    assert (found.strategy, found.forced) == ("timm", False)
    assert list(found.rejected) == ["native"]
    assert found.source_tensors > found.target_tensors > 0
    assert (found.closed, sum(found.fates.values()) > 0) == (True, True)
    assert all(hop.relative is not None for hop in found.hops)
    assert found.counts == {"passed": len(found.gates)}
    assert (found.seconds, found.peak_bytes, found.log) == (12.3, 7, "log.txt")


def test_a_failed_row_says_why_in_porters_words(tmp_path: Path) -> None:
    found = row(tmp_path, "failed", code=1, text=SAID)
    assert found.state == "failed"
    assert found.reason == "gate ledger failed: 2 open: x: no rule takes it; and none drops it"
    assert found.next_step == "add a rule; or repeat it: sh rows/vit/run.sh"
    assert found.counts["failed"] == 1


def test_a_port_that_never_began_is_a_row_too(tmp_path: Path) -> None:
    found = read_row("vit", tmp_path / "port", end(tmp_path, code=70, text="no word of porter's\n"), **KNOWN)
    assert (found.state, found.reason) == ("failed", "porter ended with exit code 70")
    assert (found.gates, found.strategy) == ((), "")


def test_a_row_that_was_stopped_shows_how_far_it_got(tmp_path: Path) -> None:
    found = row(tmp_path, "open", code=130, how="out of time", text="porter: interrupted\n")
    assert (found.state, found.reason) == ("stopped", "stopped after 12 s: its time was over")
    assert found.gates


@pytest.mark.parametrize(
    ("code", "how", "state"),
    [
        (0, "ended", "ported"),
        (3, "ended", "refused"),
        (1, "ended", "failed"),
        (-9, "ended", "failed"),
        (0, "out of time", "stopped"),
    ],
)
def test_the_state_is_the_end_of_the_process(tmp_path: Path, code: int, how: str, state: str) -> None:
    assert state_of(end(tmp_path, code=code, how=how)) == state


def test_the_last_word_counts_and_nothing_acts_on_a_terminal(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("porter: \x1b[2Jfirst\nporter: no\x07w\n")
    assert said(log) == ("now", "", "")
    assert said(tmp_path / "none") == ("", "", "")
