"""One small plan per operation that rules can name."""

from __future__ import annotations

from collections import Counter as Count
from typing import Any

import msgspec
import pytest

from porter.records.inspection import TensorInfo
from porter.records.remap import (
    Computed,
    Counter,
    Drop,
    Fuse,
    Head,
    HeadTwin,
    Initialise,
    Interpolate,
    Permute,
    RemapRules,
    Rename,
    Select,
    Transpose,
)
from porter.records.weights import LedgerRow, WeightPlan
from porter.weights.hints import said
from porter.weights.ledger import audit, open_reasons
from porter.weights.plan import plan_weights
from porter.weights.remap import check

Table = tuple[TensorInfo, ...]


def row_of(made: WeightPlan, name: str) -> LedgerRow:
    (row,) = [row for row in made.ledger.rows if name in (*row.sources, *row.targets)]
    return row


def table(*entries: tuple[Any, ...]) -> Table:
    return tuple(TensorInfo(name=name, shape=tuple(sizes), dtype="F32", file="m") for name, *sizes in entries)


def small(
    left: list[Any], right: list[Any], *, closed: bool = True, num_labels: int | None = None, **rules: object
) -> WeightPlan:
    """Plan a few tensors, given as (name, *shape), by *rules*; the result is counted and audited."""
    made_rules = RemapRules(source="a", target="b", **rules)  # type: ignore[arg-type]
    check(made_rules)
    source, target = table(*left), table(*right)
    made = plan_weights(source, target, made_rules, num_labels=num_labels)
    rows = made.ledger.rows
    assert Count(name for row in rows for name in row.sources) == Count(each.name for each in source)
    assert Count(name for row in rows for name in row.targets) == Count(each.name for each in target)
    assert (audit(made, source, target) == ()) == closed
    return made


def test_transposed_permuted_and_selected() -> None:
    made = small(
        [("t", 2, 3), ("p", 2, 3, 4), ("s", 4, 3), ("same", 5)],
        [("tt", 3, 2), ("pp", 4, 2, 3), ("ss", 4, 3), ("same", 5)],
        rename=(Rename(source="same", target="same"),),
        transpose=(Transpose(source="t", target="tt"),),
        permute=(Permute(source="p", target="pp", axes=(2, 0, 1)),),
        select=(Select(source="s", target="ss", order=(1, 0)),),
    )
    assert [row.fate for row in made.ledger.rows] == ["transposed", "permuted", "permuted", "kept"]
    assert [(each.op, each.axes, each.index) for each in made.operations] == [
        ("permute", (1, 0), ()),
        ("permute", (2, 0, 1), ()),
        ("select", (), (1, 0)),
        ("copy", (), ()),
    ]
    assert row_of(made, "tt").reason == "axes 0 and 1 exchanged"
    assert row_of(made, "ss").reason == "2 parts along axis 0 in the order 1, 0"


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        (("t", 2, 3), ("x", 2, 3), "t of 2x3 does not fit x of 2x3"),
        (("t", 6), ("x", 6), "t of 6 has not 2 axes"),
        (("s", 3, 3), ("x", 3, 3), "does not make 2 parts along axis 0"),
    ],
)
def test_layouts_that_do_not_fit_are_left_over(
    source: tuple[str, int], target: tuple[str, int], says: str
) -> None:
    made = small(
        [source],
        [target],
        closed=False,
        transpose=(Transpose(source="t", target="x"),),
        select=(Select(source="s", target="x", order=(1, 0)),),
    )
    assert any(says in reason for reason in open_reasons(made.ledger))


def test_a_key_without_a_bias_leaves_zeros_in_its_place() -> None:
    fuse = Fuse(sources=("q.{leaf}", "k.{leaf}", "v.{leaf}"), target="qkv.{leaf}", optional=("k.{leaf}",))
    made = small([("q.bias", 2), ("v.bias", 2)], [("qkv.bias", 6)], fuse=(fuse,))
    (step,) = made.operations
    assert (step.op, step.starts) == ("concat", (0, 4))
    assert [each.name for each in step.sources] == ["q.bias", "v.bias"]
    assert "zeros in the place of k.bias" in row_of(made, "qkv.bias").reason
    assert (
        small([("q.bias", 2), ("v.bias", 3)], [("qkv.bias", 6)], fuse=(fuse,), closed=False).operations == ()
    )
    assert (
        small([("k.bias", 2), ("v.bias", 2)], [("qkv.bias", 6)], fuse=(fuse,), closed=False).operations == ()
    )


def test_targets_without_a_source() -> None:
    made = small(
        [("conv.weight", 2, 3)],
        [("c.weight", 2, 3), ("c.bias", 2), ("scale", 2), ("token", 1, 4), ("index", 9)],
        rename=(Rename(source="conv.{leaf}", target="c.{leaf}", absent="bias"),),
        initialise=(
            Initialise(target="scale", value="ones", reason="the source has no scale"),
            Initialise(target="token", value="normal", std=0.5, reason="new"),
        ),
        computed=(Computed(target="index", reason="from the window size"),),
    )
    assert [row.fate for row in made.ledger.rows] == ["renamed", *["initialised"] * 4]
    assert [(each.op, each.std) for each in made.operations] == [
        ("copy", 0),
        ("zeros", 0),
        ("ones", 0),
        ("initialise", 0.5),
    ]
    assert [each.name for each in made.computed] == ["index"]
    assert row_of(made, "index").reason == "computed by its class: from the window size"
    assert row_of(made, "scale").reason == "the source has no scale; ones"
    forgotten = msgspec.structs.replace(made, computed=())
    made_of = [step.target for step in made.operations]
    targets = (*made_of, *made.computed)
    source = table(("conv.weight", 2, 3))
    assert audit(forgotten, source, targets) == ("index: 0 operations make it, 1 must",)


def test_two_rules_for_a_target_without_a_source_leave_it_over() -> None:
    made = small(
        [("a", 2)],
        [("b", 2)],
        closed=False,
        rename=(Rename(source="a", target="b"),),
        computed=(Computed(target="b", reason="so"),),
    )
    assert (made.operations, made.computed) == ((), ())
    assert open_reasons(made.ledger) == ("a -> b: two rules claim b",)


def test_what_is_dropped_only_for_being_zero_is_named() -> None:
    made = small(
        [("a", 2), ("b", 2), ("c", 2)],
        [("c", 2)],
        rename=(Rename(source="{name}", target="{name}"),),
        drop=(
            Drop(source="b", reason="the class has no bias", zeros=True),
            Drop(source="a", reason="unread"),
        ),
    )
    assert [each.name for each in made.dropped] == ["a", "b"]
    assert made.zeros == ("b",)
    assert {row.fate for row in made.ledger.rows} == {"kept", "dropped"}


def test_flattened_stages() -> None:
    made = small(
        [(f"stages.{i}.layers.{j}.w", 2) for i, j in ((0, 0), (1, 0), (1, 1))],
        [(f"blocks.{n}.w", 2) for n in range(3)],
        counters={"n": Counter(over="stages.{i}.layers.{j}")},
        rename=(Rename(source="stages.{i}.layers.{j}.w", target="blocks.{n}.w"),),
    )
    assert [(row.sources[0], row.targets[0]) for row in made.ledger.rows] == [
        ("stages.0.layers.0.w", "blocks.0.w"),
        ("stages.1.layers.0.w", "blocks.1.w"),
        ("stages.1.layers.1.w", "blocks.2.w"),
    ]


def test_a_position_table_without_a_batch_axis_gets_one() -> None:
    rule = Interpolate(source="p", target="pos", antialias=True, semantics="bicubic")
    same = small([("p", 16, 4)], [("pos", 1, 16, 4)], interpolate=(rule,))
    assert (same.operations[0].op, row_of(same, "pos").fate) == ("reshape", "reshaped")
    larger = small([("p", 16, 4)], [("pos", 1, 36, 4)], interpolate=(rule,))
    assert (larger.operations[0].op, larger.operations[0].target_grid) == ("interpolate", (6, 6))


def test_two_heads_share_their_fate() -> None:
    head = Head(
        source="c.{leaf}",
        target="head.{leaf}",
        source_module="c",
        target_module="head",
        std=0.01,
        twins=(HeadTwin(source="d.{leaf}", target="head_dist.{leaf}"),),
    )
    source = [("c.weight", 3, 4), ("c.bias", 3), ("d.weight", 3, 4), ("d.bias", 3)]
    ours = [("head.weight", 2, 4), ("head.bias", 2), ("head_dist.weight", 2, 4), ("head_dist.bias", 2)]
    made = small(source, ours, head=head, num_labels=2)
    assert made.head == "re-initialised"
    assert [each.op for each in made.operations] == ["initialise", "zeros"] * 2
    # One head of another size makes both new.
    mixed = [("head.weight", 3, 4), ("head.bias", 3), *ours[2:]]
    assert [each.op for each in small(source, mixed, head=head).operations] == ["initialise", "zeros"] * 2


def test_a_leftover_names_the_nearest_of_the_other_side_and_places_none() -> None:
    made = small(
        [
            ("layer.0.dense.weight", 4, 3),
            ("layer.0.norm.weight", 3),
            ("known", 2),
            ("layer.1.norm.weight", 3),
        ],
        [
            ("blocks.0.fc.weight", 3, 4),
            ("blocks.0.norm.weight", 3),
            ("blocks.1.norm.weight", 3),
            ("known", 2),
        ],
        closed=False,
        rename=(Rename(source="known", target="known"),),
    )
    assert [each.target.name for each in made.operations] == ["known"]
    hints = {hint.of: hint for row in made.ledger.rows for hint in reversed(row.hints)}
    assert hints["layer.1.norm.weight"].name == "blocks.1.norm.weight"
    assert hints["blocks.0.norm.weight"].name == "layer.0.norm.weight"
    assert hints["layer.0.norm.weight"].shape == "same"
    assert (hints["layer.0.dense.weight"].name, hints["layer.0.dense.weight"].shape) == (
        "blocks.0.fc.weight",
        "reordered",
    )
    assert "known" not in {hint.name for row in made.ledger.rows for hint in row.hints}
    row = row_of(made, "layer.1.norm.weight")
    assert said(row).startswith(
        "nearest by name and shape, and only a hint: blocks.1.norm.weight (same shape"
    )
    assert said(row_of(made, "known")) == ""
