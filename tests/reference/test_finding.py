"""When the rule finder is asked, and what its answer does to the choice of the strategy."""

from __future__ import annotations

import msgspec
import pytest

from porter.records.finder import Attempt, Finding, FindRulesAnswer, Setting
from porter.records.inspection import HeadFacts, Inspection
from porter.records.reference import Reference, Release
from porter.records.remap import RemapRules, Rename
from porter.reference.choose import choose, read_candidates, wants_finding, wants_lifting
from porter.reference.release import read_release
from tests.reference.test_choose import probed
from tests.reference.trees import inspection, tao_tree

RULES = RemapRules(source="a", target="b", rename=(Rename(source="x", target="y"),))
TRIED = Attempt(
    architecture="vit_base_patch16_224",
    arguments={"depth": 2},
    accepted=True,
    reason="",
    heads=(("classifier", "head"),),
    settings=(Setting(module="norm", attribute="eps", value=1e-12),),
    stages=("patch_embed", "blocks.0"),
    maps=True,
    seconds=3.0,
)


def finding(attempt: Attempt, rules: RemapRules | None = RULES, refusal: str = "") -> Finding:
    answer = FindRulesAnswer(source="m:C", parameters=1, attempts=(attempt,))
    return Finding(answer=answer, rules=rules, refusal=refusal)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[Reference, ...], Release]:
    tree = tao_tree(tmp_path_factory.mktemp("tree") / "clone")
    release = read_release("tao-pytorch", tree)
    return read_candidates(tree, release, "image-classification"), release


def of(model_type: str, **changes: object) -> Inspection:
    return msgspec.structs.replace(probed(inspection()), model_type=model_type, **changes)


def test_it_is_asked_only_where_rules_are_all_that_is_missing(
    clone: tuple[tuple[Reference, ...], Release],
) -> None:
    assert wants_finding(of("ijepa"), *clone)
    assert wants_finding(of("ijepa"), *clone, forced="timm")
    assert not wants_finding(of("ijepa"), *clone, forced="transplant")
    # It has a backbone of its own, rules of its own, no model of timm that could be it.
    assert not wants_finding(of("vit"), *clone)
    assert not wants_finding(of("swinv2"), *clone)
    assert not wants_finding(of("cvt"), *clone)
    # What its config states fits no model of timm.
    assert wants_finding(of("resnet"), *clone)
    assert not wants_finding(of("resnet", config={"embedding_size": 8}), *clone)
    # Whatever it found could not be held.
    nothing = HeadFacts(prefix="", tensors=(), separable=False)
    assert not wants_finding(probed(of("ijepa"), head=nothing), *clone)
    assert not wants_finding(probed(of("ijepa"), exports=()), *clone)


def test_an_accepted_model_is_held_with_what_was_found(
    clone: tuple[tuple[Reference, ...], Release],
) -> None:
    found = finding(TRIED)
    assert not wants_lifting(of("ijepa"), *clone, finding=found)
    strategy = choose(of("ijepa"), *clone, finding=found).strategy
    assert strategy.strategy == "timm"
    assert strategy.timm
    assert strategy.timm.architecture == "vit_base_patch16_224"
    assert (strategy.timm.heads, strategy.timm.stages) == (("head",), ("patch_embed", "blocks.0"))
    assert strategy.timm.rules == RULES
    assert strategy.timm.epsilons == {"norm": 1e-12}
    assert not strategy.timm.same_code
    assert "1 norm has the epsilon 1e-12" in strategy.timm.differences[1]


def test_a_refused_one_says_how_far_it_came_and_the_next_strategy_is_asked(
    clone: tuple[tuple[Reference, ...], Release],
) -> None:
    refused = msgspec.structs.replace(TRIED, accepted=False, reason="norm differs")
    found = finding(refused, None, "the rule finder tried 1 model; norm differs")
    assert wants_lifting(of("ijepa"), *clone, finding=found)
    strategy = choose(of("ijepa"), *clone, finding=found).strategy
    assert strategy.strategy == "compose"
    assert "no rules yet from ijepa" in strategy.rejected["timm"]
    assert "the rule finder tried 1 model; norm differs" in strategy.rejected["timm"]


def test_a_model_whose_logits_no_layer_makes_is_not_held(
    clone: tuple[tuple[Reference, ...], Release],
) -> None:
    headless = finding(msgspec.structs.replace(TRIED, heads=()))
    strategy = choose(of("ijepa"), *clone, finding=headless).strategy
    assert "no linear layer of timm's makes the logits" in strategy.rejected["timm"]
