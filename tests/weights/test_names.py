"""Templates lead from a source name to the target name, and back to the same source name."""

from __future__ import annotations

import pytest

from porter.records.remap import Counter, RemapRules
from porter.weights.names import Names


def names(source: list[str], target: list[str] = [], **rules: object) -> Names:  # noqa: B006
    return Names(RemapRules(source="a", target="b", **rules), source, target)  # type: ignore[arg-type]


def across(made: Names, left: str, right: str, name: str) -> str | None:
    """Return the target name of a source name, having gone there and back."""
    binding = made.match(left, "source", name)
    if binding is None:
        return None
    there = made.fill(right, binding, "target")
    if there is not None:
        assert made.match(right, "target", there) == binding
    return there


def test_templates_match_whole_names_and_plain_numbers_only() -> None:
    listed = ["layer.0.weight", "layer.12.bias", "layer.01.weight", "xlayer.0.weight", "layer.0.weightx"]
    made = names([*listed, "a.b", "aXb"])
    assert made.bindings("layer.{i}.{leaf}", "source") == [
        (("i", "0"), ("leaf", "weight")),
        (("i", "12"), ("leaf", "bias")),
    ]
    assert made.bindings("a.b", "source") == [()]


@pytest.mark.parametrize(
    ("left", "right", "name", "there"),
    [
        ("n.{i}", "l{i+1}", "n.0", "l1"),
        ("n.{i}", "l{i-1}", "n.3", "l2"),
        ("n.{i}", "l{i-1}", "n.0", None),
        ("n.{i}", "l{4-i}", "n.1", "l3"),
        ("n.{i}", "l{4-i}", "n.5", None),
        ("n.{i+1}", "l{i}", "n.0", None),
        ("n.{i+1}", "l{i}", "n.10", "l9"),
        ("n.{i}", "l.{2*i+1}", "n.3", "l.7"),
        ("n.{2*i}", "l.{i}", "n.3", None),
        ("n.{2*i}", "l.{i}", "n.6", "l.3"),
        ("n.{i}.{j}.{k}", "l.{k}.{i+1}.{j-1}", "n.1.2.3", "l.3.2.1"),
        ("n.{i}.m.{i}", "l.{i}", "n.4.m.4", "l.4"),
        ("n.{i}.m.{i}", "l.{i}", "n.4.m.5", None),
        ("n.{i}.m.{i+1}", "l.{i}", "n.4.m.5", "l.4"),
        ("bn.{stat}", "norm.{stat}", "bn.running_var", "norm.running_var"),
        ("bn.{stat}", "norm.{stat}", "bn.position_ids", None),
    ],
)
def test_numbers_are_calculated_and_lead_back(left: str, right: str, name: str, there: str | None) -> None:
    assert across(names([name]), left, right, name) == there


def test_numbers_below_zero_are_no_match() -> None:
    made = names([])
    assert made.match("n.{i+1}", "source", "n.0") is None
    assert made.match("n.{2-i}", "source", "n.3") is None
    assert made.match("n.{2*i+1}", "source", "n.4") is None


def test_words_are_others_on_the_other_side() -> None:
    made = names([], words={"norm": {"layernorm_before": "norm1", "layernorm_after": "norm2"}})
    left, right = "layer.{i}.{norm}.weight", "blocks.{i}.{norm}.weight"
    assert across(made, left, right, "layer.0.layernorm_after.weight") == "blocks.0.norm2.weight"
    assert made.match(left, "source", "layer.0.norm2.weight") is None
    assert made.match(right, "target", "blocks.0.layernorm_after.weight") is None


def test_a_counter_numbers_the_layers_of_all_stages_through() -> None:
    depths = (2, 3, 11)
    listed = [f"e.stages.{i}.layers.{j}.w" for i, depth in enumerate(depths) for j in range(depth)]
    made = names(
        [*listed[::-1], "e.stages.0.layersX.9.w"], counters={"n": Counter(over="e.stages.{i}.layers.{j}")}
    )
    found = [across(made, "e.stages.{i}.layers.{j}.w", "blocks.{n}.w", name) for name in listed]
    assert found == [f"blocks.{n}.w" for n in range(16)]
    assert made.match("blocks.{n}.w", "target", "blocks.16.w") is None
    assert made.match("blocks.{n+1}.w", "target", "blocks.0.w") is None
    assert across(made, "e.stages.{i}.layers.{j}.w", "n.{n+1}.i.{i}", "e.stages.1.layers.0.w") == "n.3.i.1"
    assert made.match("n.{n}.i.{i}", "target", "n.2.i.0") is None


def test_a_counter_can_flatten_the_target() -> None:
    target = ["blocks.0.0.w", "blocks.1.0.w", "blocks.1.1.w"]
    made = names([], target, counters={"n": Counter(over="blocks.{i}.{j}", of="target")})
    assert [across(made, "layer.{n-1}.w", "blocks.{i}.{j}.w", f"layer.{n}.w") for n in range(-1, 3)] == [
        None,
        "blocks.1.0.w",
        "blocks.1.1.w",
        None,
    ]
