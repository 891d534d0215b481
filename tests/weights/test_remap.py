from __future__ import annotations

import re
from pathlib import Path

import pytest

from porter.errors import PorterError
from porter.records.remap import RemapRules
from porter.resources import tree
from porter.weights.remap import inert_reason, load_rules, resolve_prefix
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


def test_only_the_key_bias_may_be_inert() -> None:
    rules = load_rules("vit")
    names = [each.name for each in source_table()]
    inert = [name for name in names if inert_reason(rules, name, names)]
    assert inert == [f"vit.encoder.layer.{i}.attention.attention.key.bias" for i in range(3)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[rename]]\nsource = "a.{i}"\ntarget = "b"', "placeholders differ"),
        ('[[rename]]\nsource = "a.{q}"\ntarget = "b.{q}"', "unknown placeholder {q}"),
        (
            '[[rename]]\nsource = "a"\ntarget = "b"\n[[rename]]\nsource = "a"\ntarget = "c"',
            "two rules take a",
        ),
        ('[[fuse]]\nsources = ["a", "a"]\ntarget = "b"', "stands twice"),
        ('[[drop]]\nsource = "a"\nreason = ""', "dropped without a reason"),
        ('[[initialise]]\ntarget = "a"\nvalue = "ones"\nreason = ""', "initialised without a reason"),
        ('[[initialise]]\ntarget = "a"\nvalue = "twos"\nreason = "so"', "twos"),
        ('[[computed]]\ntarget = "a.{x}"\nreason = "so"', "unknown placeholder {x}"),
        ('[[rename]]\nsource = "a.{leaf+1}"\ntarget = "b.{leaf}"', "no number to calculate with"),
        ('[[rename]]\nsource = "a.{0*i}"\ntarget = "b.{i}"', "no number to calculate with"),
        ('[[rename]]\nsource = "a.{i"\ntarget = "b"', "belongs to no placeholder"),
        (
            '[[rename]]\nsource = "a.{i}"\ntarget = "b.{n}"\n[counters.n]\nover = "a.{i}.{j}"',
            "placeholders differ",
        ),
        ('[counters.n]\nover = "a"', "must be over plain"),
        ('[counters.n]\nover = "a.{i+1}"', "must be over plain"),
        ('[counters.i]\nover = "a.{j}"', "two meanings"),
        ('[words.w]\na = "x"\nb = "x"', "do not lead back"),
        ('[[transpose]]\nsource = "a"\ntarget = "b"\naxes = [1, 1]', "transposed over"),
        ('[[permute]]\nsource = "a"\ntarget = "b"\naxes = [0, 2]', "no order of axes"),
        ('[[select]]\nsource = "a"\ntarget = "b"\norder = [0, 0]', "no order of parts"),
        ('[[fuse]]\nsources = ["a"]\ntarget = "b"\noptional = ["a"]', "some of its sources"),
        ('prefixes = ["{x}"]', "prefixes must be names"),
    ],
)
def test_rules_that_contradict_themselves_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        load_rules("x", write(tmp_path, text))


def test_a_misspelled_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown field"):
        load_rules("x", write(tmp_path, '[[rename]]\nsourec = "a"\ntarget = "b"'))


@pytest.mark.parametrize("name", sorted(path.stem for path in (tree("references") / "remap").glob("*.toml")))
def test_every_rules_file_loads(name: str) -> None:
    assert isinstance(load_rules(name), RemapRules)
