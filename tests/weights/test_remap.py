from __future__ import annotations

from pathlib import Path

import pytest

from porter.errors import PorterError
from porter.weights.remap import RemapRules, bindings, inert_reason, load_rules, resolve_prefix
from tests.weights.tables import source_table


def write(folder: Path, text: str) -> Path:
    (folder / "x.toml").write_text('source = "a"\ntarget = "b"\n' + text, encoding="utf-8")
    return folder


def test_unknown_rules_name_the_known_ones() -> None:
    with pytest.raises(PorterError) as caught:
        load_rules("no_such_model")
    assert "no_such_model" in caught.value.what
    assert "vit" in caught.value.why


def test_the_prefix_that_most_tensors_have_is_taken() -> None:
    rules = load_rules("vit")
    for prefix in ("vit.", ""):
        names = [each.name for each in source_table(prefix=prefix)]
        resolved = resolve_prefix(rules, names)
        assert resolved.rename[0].source == f"{prefix}embeddings.cls_token"
    assert resolve_prefix(rules, []).rename[0].source == "vit.embeddings.cls_token"


def test_templates_match_whole_names_and_plain_numbers_only() -> None:
    template = "layer.{i}.{leaf}"
    names = ["layer.0.weight", "layer.12.bias", "layer.01.weight", "xlayer.0.weight", "layer.0.weightx"]
    assert bindings(template, names) == [(("i", "0"), ("leaf", "weight")), (("i", "12"), ("leaf", "bias"))]
    assert bindings("a.b", ["a.b", "aXb"]) == [()]


def test_only_the_key_bias_may_be_inert() -> None:
    rules = load_rules("vit")
    names = [each.name for each in source_table()]
    inert = [name for name in names if inert_reason(rules, name, names)]
    assert inert == [f"vit.encoder.layer.{i}.attention.attention.key.bias" for i in range(3)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[rename]]\nsource = "a.{i}"\ntarget = "b"', "placeholders differ"),
        ('[[rename]]\nsource = "a.{k}"\ntarget = "b.{k}"', "unknown placeholder {k}"),
        (
            '[[rename]]\nsource = "a"\ntarget = "b"\n[[rename]]\nsource = "a"\ntarget = "c"',
            "two rules take a",
        ),
        ('[[fuse]]\nsources = ["a", "a"]\ntarget = "b"', "stands twice"),
        ('[[ignore]]\nsource = "a"\nreason = ""', "without a reason"),
    ],
)
def test_rules_that_contradict_themselves_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("{", r"\{")):
        load_rules("x", write(tmp_path, text))


def test_a_misspelled_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown field"):
        load_rules("x", write(tmp_path, '[[rename]]\nsourec = "a"\ntarget = "b"'))


def test_every_rules_file_loads() -> None:
    assert isinstance(load_rules("vit"), RemapRules)
