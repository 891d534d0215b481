"""Formulas: what they compute, and what they refuse."""

from __future__ import annotations

import pytest

from porter.reference.formulas import Code, FormulaError, evaluate, ratio
from porter.reference.model_facts import model_facts
from porter.resources import tree
from porter.weights.remap import load_rules

NAMES = {"width": 48, "depths": [2, 3], "act": "gelu", "eps": 1e-12, "pair": [4, 8]}


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("width * 2 ** (len(depths) - 1)", 96),
        ("ceil(width / 5) % 3", 1),
        ("[side // 2 for side in depths if side > 2]", [1]),
        (
            "[f'layers[{i}].{j}' for i, depth in enumerate(depths) for j in range(1, depth)]",
            ["layers[0].1", "layers[1].1", "layers[1].2"],
        ),
        ("{'gelu': 1, 'relu': 2}[act]", 1),
        ("act in ['gelu', 'relu'] and not width < 4", True),
        ("1 if is_number(pair) else 0", 0),
        ("all(low < high for low, high in zip(depths, pair))", True),
        ("depths[1:] + [-width]", [3, -48]),
        (
            "code(f'functools.partial(torch.nn.LayerNorm,  eps={eps})')",
            Code(text="functools.partial(torch.nn.LayerNorm, eps=1e-12)"),
        ),
    ],
)
def test_values(formula: str, value: object) -> None:
    assert evaluate(formula, NAMES) == value


@pytest.mark.parametrize(
    "formula",
    [
        "absent",
        "act * 1000000000",
        "2 ** 100000",
        "range(10 ** 9)",
        "width / 0",
        "depths[7]",
        "pair + 1",
        "act.upper()",
        "__import__('os')",
        "(lambda: 1)()",
        "open('x')",
        "depths =",
    ],
)
def test_what_has_no_value(formula: str) -> None:
    with pytest.raises(FormulaError):
        evaluate(formula, NAMES)


def test_a_ratio_gives_the_whole_number_back() -> None:
    for part in range(1, 60):
        for whole in range(1, 200):
            assert int(part * ratio(whole, part)) == whole


@pytest.mark.parametrize("path", sorted((tree("references") / "models").glob("*.toml")), ids=lambda p: p.stem)
def test_the_facts_of_every_model_type_are_whole(path: object) -> None:
    model_type, _, task = path.stem.partition(".")  # type: ignore[attr-defined]
    facts = model_facts(model_type, task or "image-classification")
    assert facts is not None
    names = {**facts.config, "architecture": "Any"}
    names = {
        key: value[0]
        if isinstance(value, list) and len({*map(str, value)}) == 1 and len(value) == 2
        else value
        for key, value in names.items()
    }
    names.setdefault("image_size", 224)
    for name, formula in facts.values.items():
        names[name] = evaluate(formula, names)
    native = facts.native
    head = load_rules(native.remap).head
    assert (head is None) == (task == "depth-estimation")
    assert head is None or head.target_module == native.head
    for formula in (*native.facts.values(), native.features, *(each.holds for each in native.conditions)):
        evaluate(formula, names)
    for item in native.adjustments:
        assert isinstance(evaluate(item.neutral, names), bool)
        evaluate(item.value, names)
    for fix in native.fixes:
        assert isinstance(evaluate(fix.modules, names), list)
        evaluate(fix.value, names)
