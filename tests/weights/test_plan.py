from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest

from porter.records.inspection import TensorInfo
from porter.records.remap import Fuse, RemapRules, Rename, Reshape, Split
from porter.records.weights import Ledger, LedgerRow, Operation, SwapCheck, WeightPlan
from porter.weights.ledger import audit, note_inert, open_reasons
from porter.weights.plan import plan_weights
from porter.weights.remap import load_rules
from tests.weights.tables import HIDDEN, LABELS, LAYERS, source_table, target_table, without

VIT = load_rules("vit")
Table = tuple[TensorInfo, ...]


def plan(source: Table, target: Table, rules: RemapRules = VIT, **more: object) -> WeightPlan:
    return plan_weights(source, target, rules, **more)  # type: ignore[arg-type]


def row_of(made: WeightPlan, name: str) -> LedgerRow:
    (row,) = [row for row in made.ledger.rows if name in (*row.sources, *row.targets)]
    return row


def operation(made: WeightPlan, target: str) -> Operation:
    (found,) = [each for each in made.operations if each.target.name == target]
    return found


def assert_counted(made: WeightPlan, source: Table, target: Table) -> None:
    """Every tensor of both tables stands in the ledger as often as in its table."""
    rows = made.ledger.rows
    assert Counter(name for row in rows for name in row.sources) == Counter(each.name for each in source)
    assert Counter(name for row in rows for name in row.targets) == Counter(each.name for each in target)


def test_a_whole_vit_closes_the_ledger() -> None:
    source, target = source_table(), target_table()
    made = plan(source, target, num_labels=LABELS)
    assert open_reasons(made.ledger) == ()
    assert audit(made, source, target) == ()
    assert [each.target for each in made.operations] == list(target)
    fates = Counter(row.fate for row in made.ledger.rows)
    assert fates == {"renamed": 8 + 10 * LAYERS, "fused": 2 * LAYERS, "dropped": 2}
    assert made.head == "copied"
    assert (made.source_head, made.target_head) == ("classifier", "head")


def test_query_key_and_value_are_fused_in_that_order() -> None:
    made = plan(source_table(), target_table())
    fused = operation(made, "blocks.1.attn.qkv.weight")
    parts = [each.name.split(".")[-2] for each in fused.sources]
    assert (fused.op, fused.axis, parts) == ("concat", 0, ["query", "key", "value"])
    assert row_of(made, "blocks.1.attn.qkv.weight").sources == tuple(each.name for each in fused.sources)


def test_another_order_of_query_key_and_value_is_seen_in_the_operations() -> None:
    fuse = VIT.fuse[0]
    swapped = msgspec.structs.replace(fuse, sources=(fuse.sources[1], fuse.sources[0], fuse.sources[2]))
    other = msgspec.structs.replace(VIT, fuse=(swapped,))
    first = operation(plan(source_table(), target_table()), "blocks.0.attn.qkv.weight")
    second = operation(plan(source_table(), target_table(), other), "blocks.0.attn.qkv.weight")
    assert first.sources[0] == second.sources[1]
    assert first != second


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_tables_changes_nothing(seed: int) -> None:
    source, target = source_table(), target_table()
    shuffled = random.Random(seed).sample(source, len(source))
    assert plan(tuple(shuffled), target) == plan(source, target)
    turned = random.Random(seed).sample(target, len(target))
    made = plan(source, tuple(turned))
    assert audit(made, source, turned) == ()
    assert [each.target for each in made.operations] == turned


def test_every_dropped_source_tensor_is_missed() -> None:
    source, target = source_table(), target_table()
    dropped = ("vit.pooler.dense.weight", "vit.pooler.dense.bias")
    for gone in source:
        rest = without(source, gone.name)
        made = plan(rest, target)
        assert_counted(made, rest, target)
        assert bool(open_reasons(made.ledger)) == (gone.name not in dropped), gone.name
        if made.ledger.leftovers:
            assert any(gone.name in reason for reason in open_reasons(made.ledger)), gone.name


def test_every_dropped_target_tensor_leaves_its_source_over() -> None:
    source, target = source_table(), target_table()
    for gone in target:
        rest = without(target, gone.name)
        made = plan(source, rest)
        assert_counted(made, source, rest)
        assert any(gone.name in reason for reason in open_reasons(made.ledger)), gone.name


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("seed", range(4))
def test_extra_and_duplicated_tensors_are_left_over(side: str, seed: int) -> None:
    source, target = source_table(), target_table()
    chance = random.Random(seed)
    extra = TensorInfo(
        name=chance.choice(["vit.extra", "blocks.7.x", "classifier.scale"]), shape=(2,), dtype="F32"
    )
    for added in (extra, chance.choice(source if side == "source" else target)):
        one = (*source, added) if side == "source" else source
        two = (*target, added) if side == "target" else target
        made = plan(one, two)
        assert_counted(made, one, two)
        assert any(added.name in reason for reason in open_reasons(made.ledger))
        assert audit(made, one, two)


@pytest.mark.parametrize("seed", range(20))
def test_random_damage_never_closes_the_ledger(seed: int) -> None:
    chance = random.Random(seed)
    source, target = list(source_table(pooler=False)), list(target_table())
    for _ in range(chance.randint(1, 4)):
        table = chance.choice([source, target])
        place = chance.randrange(len(table))
        hurt = table[place]
        damage = chance.choice(["drop", "double", "shape", "rename", "dtype"])
        if damage == "drop":
            del table[place]
        elif damage == "double":
            table.append(hurt)
        elif damage == "shape":
            table[place] = msgspec.structs.replace(hurt, shape=(*hurt.shape, 2))
        elif damage == "rename":
            table[place] = msgspec.structs.replace(hurt, name=f"{hurt.name}_")
        else:
            table[place] = msgspec.structs.replace(hurt, dtype="F64" if table is source else "F16")
    made = plan(tuple(source), tuple(target))
    assert_counted(made, tuple(source), tuple(target))
    assert open_reasons(made.ledger)


def test_shapes_that_do_not_fit_are_named() -> None:
    source = tuple(
        msgspec.structs.replace(each, shape=(9, 8)) if each.name.endswith("1.output.dense.weight") else each
        for each in source_table()
    )
    (reason,) = open_reasons(plan(source, target_table()).ledger)
    assert "9x8 does not fit blocks.1.mlp.fc2.weight of 8x16" in reason


def test_swapped_shapes_inside_a_fusion_are_left_over() -> None:
    source = tuple(
        msgspec.structs.replace(each, shape=(HIDDEN + 1, HIDDEN))
        if "0.attention.attention.key.w" in each.name
        else each
        for each in source_table()
    )
    (reason,) = open_reasons(plan(source, target_table()).ledger)
    assert "3 parts make 25 along axis 0, blocks.0.attn.qkv.weight has 24" in reason


def test_half_precision_sources_are_widened_and_the_ledger_says_so() -> None:
    source = source_table(dtype="BF16")
    made = plan(source, target_table())
    assert audit(made, source, target_table()) == ()
    assert row_of(made, "cls_token").reason == "BF16 widened to F32, exactly"
    assert "BF16 widened" in row_of(made, "blocks.0.attn.qkv.bias").reason


def test_a_dtype_that_would_lose_digits_is_left_over() -> None:
    made = plan(source_table(dtype="F64"), target_table())
    assert all("F64, which F32" in row.reason for row in made.ledger.leftovers)
    assert len(made.ledger.leftovers) == 8 + 12 * LAYERS


def test_another_class_count_gives_a_new_head_with_the_reason() -> None:
    source, target = source_table(labels=1000), target_table(labels=3)
    made = plan(source, target, num_labels=3)
    assert audit(made, source, target) == ()
    assert made.head == "re-initialised"
    weight, bias = row_of(made, "head.weight"), row_of(made, "head.bias")
    assert weight.fate == bias.fate == "initialised"
    assert "1000 classes there, 3 here" in weight.reason
    assert (operation(made, "head.weight").op, operation(made, "head.weight").std) == ("initialise", 0.02)
    assert operation(made, "head.bias").op == "zeros"


def test_a_headless_source_gives_a_new_head() -> None:
    source = source_table(prefix="", labels=None)
    made = plan(source, target_table())
    assert audit(made, source, target_table()) == ()
    assert made.head == "re-initialised"
    assert row_of(made, "head.weight").sources == ()


def test_a_target_head_of_the_wrong_size_is_left_over() -> None:
    made = plan(source_table(), target_table(), num_labels=LABELS + 1)
    assert len(open_reasons(made.ledger)) == 2
    assert "not made for 6 classes" in open_reasons(made.ledger)[0]


def test_classes_in_another_order_permute_the_head() -> None:
    source, order = source_table(), (4, 3, 2, 1, 0)
    made = plan(source, target_table(), label_order=order)
    assert audit(made, source, target_table()) == ()
    assert made.head == "permuted"
    assert operation(made, "head.weight").index == order
    assert row_of(made, "head.bias").fate == "permuted"
    assert plan(source, target_table(), label_order=tuple(range(LABELS))).head == "copied"
    assert open_reasons(plan(source, target_table(), label_order=(1, 0)).ledger)
    with pytest.raises(ValueError, match="permutation"):
        plan(source, target_table(), label_order=(0, 0, 1, 2, 3))


def test_a_larger_target_grid_resamples_the_position_embedding() -> None:
    made = plan(source_table(grid=4), target_table(grid=6))
    assert audit(made, source_table(grid=4), target_table(grid=6)) == ()
    step = operation(made, "pos_embed")
    assert (step.op, step.prefix, step.source_grid, step.target_grid) == ("interpolate", 1, (4, 4), (6, 6))
    row = row_of(made, "pos_embed")
    assert row.fate == "interpolated"
    assert "4x4 resampled to 6x6" in row.reason
    assert "as transformers does" in row.reason


def test_a_grid_that_cannot_be_known_is_left_over() -> None:
    def narrow(table: Table) -> Table:
        return tuple(
            msgspec.structs.replace(each, shape=(1, 13, HIDDEN))
            if each.name.endswith(("pos_embed", "_embeddings"))
            else each
            for each in table
        )

    source, target = narrow(source_table()), narrow(target_table())
    (reason,) = open_reasons(plan(source, target).ledger)
    assert "1x13x8 does not fit the patch grid" in reason


def test_missing_attention_biases_become_zeros() -> None:
    biases = [
        each.name for each in source_table() if each.name.endswith(("query.bias", "key.bias", "value.bias"))
    ]
    source = without(source_table(), *biases)
    made = plan(source, target_table())
    assert audit(made, source, target_table()) == ()
    row = row_of(made, "blocks.2.attn.qkv.bias")
    assert row.fate == "initialised"
    assert "zero is the same function" in row.reason
    one_left = without(source_table(), *biases[1:])
    assert open_reasons(plan(one_left, target_table()).ledger)


def test_a_tied_tensor_that_the_files_lack_is_read_from_its_twin() -> None:
    rules = RemapRules(
        source="a",
        target="b",
        rename=(Rename(source="one", target="x"), Rename(source="two", target="y")),
    )
    one = TensorInfo(name="one", shape=(2,), dtype="F32", file="m.safetensors")
    target = tuple(TensorInfo(name=name, shape=(2,), dtype="F32") for name in ("x", "y"))
    made = plan((one,), target, rules, tied=(("one", "two"),))
    assert audit(made, (one,), target) == ()
    assert made.ledger.rows[0].targets == ("x", "y")
    assert "tied twin one" in made.ledger.rows[0].reason
    assert open_reasons(plan((one,), target, rules).ledger)


def test_a_spare_tied_twin_is_dropped_with_the_reason() -> None:
    rules = RemapRules(source="a", target="b", rename=(Rename(source="one", target="x"),))
    source = tuple(TensorInfo(name=name, shape=(2,), dtype="F32", file="m") for name in ("one", "two"))
    target = (TensorInfo(name="x", shape=(2,), dtype="F32"),)
    made = plan(source, target, rules, tied=(("one", "two"),))
    assert audit(made, source, target) == ()
    assert row_of(made, "two").reason == "shares its storage with one"
    assert open_reasons(plan(source, target, rules).ledger) == ("two: no rule says what becomes of it",)


def test_split_and_reshape_rules() -> None:
    rules = RemapRules(
        source="a",
        target="b",
        reshape=(Reshape(source="r", target="flat"),),
        split=(Split(source="kv", targets=("k", "v")),),
        fuse=(Fuse(sources=("p", "q"), target="pq", axis=1),),
    )

    def info(name: str, *shape: int, file: str = "") -> TensorInfo:
        return TensorInfo(name=name, shape=shape, dtype="F32", file=file)

    source = (
        info("r", 2, 3, file="m"),
        info("kv", 4, 3, file="m"),
        info("p", 2, 1, file="m"),
        info("q", 2, 4, file="m"),
    )
    target = (info("flat", 6), info("k", 2, 3), info("v", 2, 3), info("pq", 2, 5))
    made = plan(source, target, rules)
    assert audit(made, source, target) == ()
    assert [(each.op, each.start, each.stop) for each in made.operations] == [
        ("reshape", 0, 0),
        ("slice", 0, 2),
        ("slice", 2, 4),
        ("concat", 0, 0),
    ]
    assert [row.fate for row in made.ledger.rows] == ["reshaped", "split", "fused"]
    assert open_reasons(plan(source, (*target[:2], info("v", 1, 3), target[3]), rules).ledger)


def test_two_rules_for_one_tensor_leave_it_over() -> None:
    rules = RemapRules(
        source="a",
        target="b",
        rename=(Rename(source="a.{i}", target="x.{i}"), Rename(source="a.0", target="y")),
    )
    source = (TensorInfo(name="a.0", shape=(1,), dtype="F32", file="m"),)
    target = tuple(TensorInfo(name=name, shape=(1,), dtype="F32") for name in ("x.0", "y"))
    made = plan(source, target, rules)
    assert_counted(made, source, target)
    assert made.operations == ()
    assert any("two rules claim a.0" in reason for reason in open_reasons(made.ledger))


def test_the_audit_sees_a_plan_that_was_tampered_with() -> None:
    source, target = source_table(), target_table()
    made = plan(source, target)
    dropped = msgspec.structs.replace(made, operations=made.operations[1:])
    assert audit(dropped, source, target) == ("cls_token: 0 operations make it, 1 must",)
    shorter = msgspec.structs.replace(made, ledger=Ledger(rows=made.ledger.rows[:-1]))
    lost = made.ledger.rows[-1].sources[0]
    assert audit(shorter, source, target) == (f"{lost}: 1 times in the source, 0 times in the ledger",)
    fused = operation(made, "blocks.0.attn.qkv.weight")
    turned = msgspec.structs.replace(fused, sources=fused.sources[::-1])
    steps = tuple(turned if each is fused else each for each in made.operations)
    assert "the ledger says" in audit(msgspec.structs.replace(made, operations=steps), source, target)[0]


def test_unseen_swaps_are_written_into_the_ledger_only_where_they_are_expected() -> None:
    made = plan(source_table(), target_table())
    bias = [f"vit.encoder.layer.{i}.attention.attention.key.bias" for i in range(2)]
    seen = SwapCheck(first="vit.layernorm.weight", second="vit.layernorm.bias", relative=0.3, caught=True)
    quiet = SwapCheck(first=bias[0], second=bias[1], relative=3e-6, caught=False)
    noted, unexplained = note_inert(made, [seen, quiet], VIT)
    assert unexplained == ()
    row = row_of(noted, bias[1])
    assert row.inert == 3e-6
    assert "held by identity" in row.reason
    assert [each.inert for each in noted.ledger.rows].count(None) == len(noted.ledger.rows) - 2
    wrong = SwapCheck(first=bias[0], second="vit.layernorm.bias", relative=1e-7, caught=False)
    same, unexplained = note_inert(made, [wrong], VIT)
    assert same == made
    assert len(unexplained) == 1
