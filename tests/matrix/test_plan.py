"""Which rows run again, and which do not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from porter.matrix.plan import decide, inputs_of, port_arguments, standing
from tests.matrix.samples import ENTRY, FAILED, PORTED, REFUSED

COMMON = {"porter": "1.0", "templates": "t", "until": 6, "commits": {"tao-pytorch": "abc"}, "engine": ()}


def digest(entry: Any = ENTRY, model: str = "m", **common: Any) -> str:
    return inputs_of(entry, model, {**COMMON, **common})


def test_a_row_without_a_result_runs() -> None:
    assert decide(ENTRY, digest(), None).run


def test_a_finished_row_of_the_same_inputs_stands() -> None:
    done = msgspec.structs.replace(PORTED, inputs=digest())
    assert not decide(ENTRY, digest(), done).run
    forced = decide(ENTRY, digest(), done, again=True)
    assert (forced.run, forced.why) == (True, "--again was given")


@pytest.mark.parametrize(
    "now",
    [
        digest(model="other weights"),
        digest(porter="1.1"),
        digest(templates="u"),
        digest(until=3),
        digest(commits={"tao-pytorch": "abd"}),
        digest(msgspec.structs.replace(ENTRY, strategy="compose")),
        digest(msgspec.structs.replace(ENTRY, settings={"train.num_epochs": 2})),
    ],
)
def test_anything_that_the_result_rests_on_makes_it_run(now: str) -> None:
    decision = decide(ENTRY, now, msgspec.structs.replace(PORTED, inputs=digest()))
    assert decision.run
    assert "changed" in decision.why


def test_time_memory_and_expectation_change_no_result() -> None:
    changed = msgspec.structs.replace(ENTRY, budget=10, memory_gb=7.0, expected="refused")
    assert digest(changed) == digest()


@pytest.mark.parametrize("state", ["failed", "stopped", "not run", "refused"])
def test_an_end_that_nobody_expects_is_tried_again(state: Any) -> None:
    ended = msgspec.structs.replace(PORTED, inputs=digest(), state=state)
    decision = decide(ENTRY, digest(), ended)
    assert (decision.run, decision.why) == (True, f"it ended {state}")


def test_a_refusal_that_the_list_expects_stands() -> None:
    entry = msgspec.structs.replace(ENTRY, expected="refused")
    refused = msgspec.structs.replace(REFUSED, inputs=digest())
    assert not decide(entry, digest(), refused).run
    assert decide(entry, digest(), msgspec.structs.replace(PORTED, inputs=digest())).run


def test_only_results_of_these_inputs_are_shown_and_the_list_judges_them_anew() -> None:
    entries = [msgspec.structs.replace(ENTRY, name=name) for name in ("vit", "beit", "dinov3")]
    entries[1] = msgspec.structs.replace(entries[1], budget=77)
    results = {row.name: msgspec.structs.replace(row, inputs="now") for row in (PORTED, FAILED)}
    results["dinov3"] = msgspec.structs.replace(REFUSED, inputs="before")
    decisions = [decide(entry, "now", results[entry.name]) for entry in entries]
    rows, waiting = standing(decisions, results)
    assert [(row.name, row.as_expected, row.budget) for row in rows] == [
        ("beit", False, 77),
        ("vit", True, 900),
    ]
    assert waiting == ("dinov3",)


def test_a_row_is_a_port_with_its_own_options() -> None:
    entry = msgspec.structs.replace(
        ENTRY,
        name="vit-base",
        task="image-classification",
        strategy="compose",
        settings={"train.num_epochs": 2, "train.flag": True},
    )
    arguments = port_arguments(entry, "org/vit", "/m/port", 4, ("--embedded",))
    assert arguments[:6] == ("port", "org/vit", "--name", "matrix_vit_base", "--workspace", "/m/port")
    text = " ".join(arguments)
    for option in (
        "--until 4",
        "--embedded",
        "--task image-classification",
        "--strategy compose",
        "--set train.num_epochs=2",
        "--set train.flag=true",
        "--yes --json",
    ):
        assert option in text
