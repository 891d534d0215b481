"""The strategy follows from the model's config and from what the clone's registry really passes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from porter.errors import ModelRejectedError
from porter.records.inspection import ExportAttempt, HeadFacts, Inspection, ModelProbe, TensorInfo
from porter.records.reference import BackboneMatch, Reference, Release
from porter.records.transplant import Lifted, Lifting, Tweak
from porter.reference.choose import choose, read_candidates, wants_lifting
from porter.reference.coverage import native_coverage
from porter.reference.release import read_release
from tests.real_clones import real_clone
from tests.reference.trees import CV, VIT, inspection, tao_tree

BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
HUGE = {
    "hidden_size": 1280,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "intermediate_size": 5120,
    "patch_size": 14,
}
SMALL = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "intermediate_size": 1536}


def candidates(clone: Path) -> tuple[tuple[Reference, ...], Release]:
    release = read_release("tao-pytorch", clone)
    return read_candidates(clone, release, "image-classification"), release


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[Reference, ...], Release]:
    return candidates(tao_tree(tmp_path_factory.mktemp("tree") / "clone"))


@pytest.fixture
def references(tree: tuple[tuple[Reference, ...], Release]) -> tuple[Reference, ...]:
    return tree[0]


def probed(inspected: Inspection, **changes: object) -> Inspection:
    """Return the inspection of a model that the sandbox built: one linear head, one export that worked."""
    state = (TensorInfo(name="classifier.weight", shape=(10, 768), dtype="F32"),)
    head = HeadFacts(
        prefix="classifier",
        tensors=("classifier.bias", "classifier.weight"),
        separable=True,
        linear="classifier",
        in_features=768,
    )
    exports = (
        ExportAttempt(opset=17, attention="sdpa", ok=False),
        ExportAttempt(opset=17, attention="eager", ok=True),
    )
    seen = ModelProbe(
        transformers="4.57.6", state=state, head=head, exports=exports, stages=("body.embeddings",)
    )
    return msgspec.structs.replace(inspected, probe=msgspec.structs.replace(seen, **changes))


def rejected(inspected: Inspection, references: tuple[Reference, ...]) -> str:
    """Return why native was passed over."""
    strategy = choose(probed(inspected), references, references[0].release).strategy
    assert strategy.strategy == "compose"
    assert list(strategy.rejected) == ["native", "timm", "transplant"]
    assert f"no rules yet from {inspected.model_type} to a model of timm" in strategy.rejected["timm"]
    assert strategy.rejected["transplant"] == "the source of the model was not lifted"
    with pytest.raises(ModelRejectedError, match="by the strategy native") as refused:
        choose(probed(inspected), references, references[0].release, forced="native")
    assert refused.value.why == strategy.rejected["native"]
    return strategy.rejected["native"]


def registered(inspected: Inspection, references: tuple[Reference, ...]) -> BackboneMatch:
    """Return the class that the port registers itself."""
    match = choose(probed(inspected), references, references[0].release).strategy.backbone
    assert match is not None
    assert match.name == ""
    return match


def test_base_as_transformers_saves_it(references: tuple[Reference, ...]) -> None:
    choice = choose(inspection(BASE | {"layer_norm_eps": 1e-12}), references, references[0].release)

    match = choice.strategy.backbone
    assert choice.strategy.strategy == "native"
    assert match is not None
    assert (match.name, match.remap, match.arguments) == ("vit_base_patch16", "vit", {})
    assert match.code == {"norm_layer": "functools.partial(torch.nn.LayerNorm, eps=1e-12)"}
    assert match.differences == ("every layer norm has epsilon 1e-12, the class's own is 1e-06",)
    assert choice.reference.name == "classification_pyt"
    assert choice.candidates[0].reasons[:2] == (
        "it does image-classification",
        "its backbone registry (3 names) has the model's architecture: vit_base_patch16",
    )


def test_what_the_config_leaves_out_is_what_transformers_takes(references: tuple[Reference, ...]) -> None:
    match = choose(inspection({}), references, references[0].release).strategy.backbone

    assert match is not None
    assert (match.name, list(match.code)) == ("vit_base_patch16", ["norm_layer"])


def test_size_epsilon_and_dropout(references: tuple[Reference, ...]) -> None:
    config = HUGE | {"layer_norm_eps": 1e-6, "hidden_dropout_prob": 0.1, "image_size": 336}
    match = choose(inspection(config, size=(336, 336)), references, references[0].release).strategy.backbone

    assert match is not None
    assert (match.name, match.arguments, match.code) == ("vit_huge_patch14", {}, {})
    assert match.image_argument == "img_size"
    assert "336 x 336 pixels, the entry's own size is 224" in match.differences[0]
    assert "dropout of 0.1 after the projections is not carried over" in match.differences[1]


def test_square_pairs_are_numbers(references: tuple[Reference, ...]) -> None:
    config = BASE | {"image_size": [224, 224], "patch_size": [16, 16], "layer_norm_eps": 1e-6}
    match = choose(inspection(config), references, references[0].release).strategy.backbone

    assert match is not None
    assert match.arguments == {}


def test_the_registry_decides_not_a_list_of_names(tmp_path: Path) -> None:
    renamed = VIT.replace("def vit_base_patch16(", "def my_own_name(").replace(
        "mlp_ratio=4, qkv_bias=True, ", ""
    )
    references, release = candidates(
        tao_tree(
            tmp_path / "clone",
            {
                f"{CV}/backbone_v2/vit.py": renamed,
                f"{CV}/backbone_v2/__init__.py": (
                    "from nvidia_tao_pytorch.cv.backbone_v2.registry import BACKBONE_REGISTRY\n"
                    "from nvidia_tao_pytorch.cv.backbone_v2.vit import my_own_name\n"
                ),
            },
        )
    )

    match = choose(inspection(BASE), references, release).strategy.backbone

    assert match is not None
    assert match.name == "my_own_name"


@pytest.mark.parametrize(
    ("passed", "shown"),
    [
        ("final_norm=False", "final_norm False, the model True"),
        ("global_pool='avg', final_norm=True", "global_pool avg, the model token"),
        ("init_values=1e-5, final_norm=True", "init_values, which porter has no facts about"),
        ("act_layer=nn.SiLU, final_norm=True", "act_layer=torch.nn.SiLU, the model torch.nn.GELU"),
        ("reg_tokens=4, final_norm=True", "reg_tokens 4, the model 0"),
    ],
)
def test_an_entry_that_is_no_plain_vit_is_not_taken(tmp_path: Path, passed: str, shown: str) -> None:
    source = VIT.replace("final_norm=True", passed)
    references, _ = candidates(tao_tree(tmp_path / "clone", {f"{CV}/backbone_v2/vit.py": source}))

    assert shown in registered(inspection(BASE), references).differences[0]


def test_an_entry_that_fixes_its_norm_layer_cannot_take_the_epsilon(tmp_path: Path) -> None:
    source = VIT.replace("final_norm=True", "norm_layer=partial(nn.LayerNorm, eps=1e-5)")
    references, _ = candidates(tao_tree(tmp_path / "clone", {f"{CV}/backbone_v2/vit.py": source}))

    same = choose(inspection(BASE | {"layer_norm_eps": 1e-5}), references, references[0].release)
    assert same.strategy.backbone is not None
    assert (same.strategy.backbone.name, same.strategy.backbone.code) == ("vit_base_patch16", {})
    assert "eps=1e-05), the model " in registered(inspection(BASE), references).differences[0]


def test_an_entry_without_kwargs_cannot_take_an_image_size(tmp_path: Path) -> None:
    source = VIT.replace("final_norm=True, **kwargs", "final_norm=True")
    references, _ = candidates(tao_tree(tmp_path / "clone", {f"{CV}/backbone_v2/vit.py": source}))

    config = BASE | {"layer_norm_eps": 1e-6}
    assert "takes no other" in registered(inspection(config, size=(384, 384)), references).differences[0]


def test_a_class_that_takes_no_such_argument_is_not_registered_again(tmp_path: Path) -> None:
    source = VIT.replace("(self, *args, **kwargs)", "(self, patch_size, embed_dim, depth, **kwargs)")
    references, _ = candidates(tao_tree(tmp_path / "clone", {f"{CV}/backbone_v2/vit.py": source}))

    said = rejected(inspection(SMALL), references)
    assert said.startswith("VisionTransformer takes no num_heads and no mlp_ratio and no qkv_bias")
    assert "the nearest, vit_base_patch16, has embed_dim 768, the model 384" in said


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (SMALL, "the nearest, vit_base_patch16, has embed_dim 768, the model 384; num_heads 12, the model 6"),
        (BASE | {"patch_size": 32}, "the nearest, vit_base_patch16, has patch_size 16, the model 32"),
        (BASE | {"intermediate_size": 3000}, "mlp_ratio 4, the model 3.90625"),
        (BASE | {"qkv_bias": False}, "qkv_bias True, the model False"),
    ],
)
def test_sizes_that_no_entry_has_are_registered_by_the_port(
    references: tuple[Reference, ...], config: dict[str, object], reason: str
) -> None:
    match = registered(inspection(config), references)
    assert match.differences[0].startswith("the backbone registry has 2 entries of VisionTransformer, none")
    assert reason in match.differences[0]
    assert match.label == "VisionTransformer"
    assert match.arguments == {
        "patch_size": config.get("patch_size", 16),
        "embed_dim": config["hidden_size"],
        "depth": 12,
        "num_heads": config["num_attention_heads"],
        "mlp_ratio": config["intermediate_size"] / config["hidden_size"],  # type: ignore[operator]
        "qkv_bias": config.get("qkv_bias", True),
    }


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (
            BASE | {"hidden_act": "laplace"},
            "hidden_act is 'laplace': porter knows no layer of torch or timm",
        ),
        (BASE | {"pruned_heads": {"0": [1]}}, "pruned_heads is {'0': [1]}"),
        (BASE | {"patch_size": [16, 8]}, "patch_size is [16, 8]: TAO's patches are square"),
    ],
)
def test_models_that_no_entry_computes(
    references: tuple[Reference, ...], config: dict[str, object], reason: str
) -> None:
    assert reason in rejected(inspection(config), references)


def test_inputs_that_the_reference_cannot_feed(references: tuple[Reference, ...]) -> None:
    wide = rejected(inspection(BASE, size=(224, 448)), references)
    uneven = rejected(inspection(BASE, size=(230, 230)), references)

    assert "images of 224 x 448 (height x width)" in wide
    assert "image_size is 230: that is no whole number of patches" in uneven


def test_another_number_of_channels_is_for_a_backbone_of_its_own(references: tuple[Reference, ...]) -> None:
    said = "the model takes 1 channels, but the data pipeline of classification_pyt always gives 3"
    assert said in rejected(inspection(BASE, channels=1), references)


def test_a_class_that_the_clone_lacks(references: tuple[Reference, ...]) -> None:
    swin = msgspec.structs.replace(inspection(), model_type="swin", architecture="SwinForImageClassification")
    said = rejected(swin, references)
    assert said == "none of the 3 entries of the backbone registry builds a SwinTransformer"


def test_a_model_type_without_facts_is_held(references: tuple[Reference, ...]) -> None:
    config = {
        "depths": [2, 2],
        "id2label": {"0": "a"},
        "_name_or_path": "x",
        "torch_dtype": "float16",
        "return_dict": False,
        "odd": None,
    }
    cvt = msgspec.structs.replace(
        inspection(), model_type="cvt", architecture="CvtForImageClassification", config=config
    )
    strategy = choose(probed(cvt), references, references[0].release).strategy

    assert list(strategy.rejected) == ["native", "timm", "transplant"]
    assert "no facts yet on how a cvt model" in strategy.rejected["native"]
    assert native_coverage(cvt, references[0]).match is None
    held = strategy.held
    assert held is not None
    assert held.config == {
        "architectures": ["CvtForImageClassification"],
        "depths": [2, 2],
        "model_type": "cvt",
    }
    assert (held.attention, held.heads, held.embed_dim, held.head_bias) == (
        "eager",
        ("classifier",),
        768,
        True,
    )
    assert held.stages == ("body.embeddings",)
    assert not held.batch_norms


def lifted(**changes: object) -> Lifting:
    """Return what came of lifting a model: a file of three lines, one of them rewritten."""
    tweak = Tweak(name="fold-by-permute", text="patches are permuted", places=1, exact=True)
    made = Lifted(
        architecture="OddForImageClassification",
        transformers="4.57.6",
        text="# one\n# two\n# three\n",
        header=("# one",),
        config={"depths": [1], "_attn_implementation": None, "part_config": {"_attn_implementation": None}},
        origins=("transformers.models.odd.modeling_odd",),
        copyrights=("Copyright 2020 Somebody",),
        tweaks=(tweak,),
    )
    return msgspec.structs.replace(Lifting(lifted=made, attention="eager"), **changes)


def odd(**changes: object) -> Inspection:
    """Return a model that neither the registry nor timm has."""
    facts = msgspec.structs.replace(
        inspection(), model_type="odd", architecture="OddForImageClassification", config={"depths": [1]}
    )
    return probed(facts, **changes)


def test_what_can_be_lifted_is_not_held(references: tuple[Reference, ...]) -> None:
    release = references[0].release
    assert wants_lifting(odd(), references, release)

    strategy = choose(odd(), references, release, lifting=lifted()).strategy

    assert strategy.strategy == "transplant"
    assert list(strategy.rejected) == ["native", "timm"]
    assert strategy.lifted == lifted().lifted
    assert strategy.held is not None
    assert strategy.held.config == {
        "depths": [1],
        "_attn_implementation": "eager",
        "part_config": {"_attn_implementation": "eager"},
    }
    assert "one file of 3 lines" in strategy.reason
    assert "patches are permuted" in strategy.reason


def test_what_cannot_be_lifted_is_held_and_the_reason_is_kept(references: tuple[Reference, ...]) -> None:
    failed = Lifting(reasons=("modeling_odd needs the package odd",))

    strategy = choose(odd(), references, references[0].release, lifting=failed).strategy

    assert strategy.strategy == "compose"
    assert strategy.lifted is None
    assert strategy.rejected["transplant"] == "modeling_odd needs the package odd"


def test_only_the_copy_may_export(references: tuple[Reference, ...]) -> None:
    release = references[0].release
    by_another = ExportAttempt(opset=18, attention="eager", exporter="dynamo", ok=True)
    stopped = odd(exports=(ExportAttempt(opset=17, attention="eager", ok=False), by_another))

    assert choose(stopped, references, release, lifting=lifted()).strategy.strategy == "transplant"
    with pytest.raises(ModelRejectedError) as refused:
        choose(stopped, references, release, lifting=lifted(), forced="compose")
    assert "no export of the model to ONNX worked" in refused.value.why


def test_nothing_is_lifted_for_a_model_that_the_registry_has(references: tuple[Reference, ...]) -> None:
    release, base = references[0].release, probed(inspection(BASE))

    assert not wants_lifting(base, references, release)
    assert not wants_lifting(odd(), references, release, forced="compose")
    assert wants_lifting(base, references, release, forced="transplant")
    asked = choose(base, references, release, lifting=lifted(), forced="transplant").strategy
    assert (asked.strategy, asked.forced) == ("transplant", True)
    assert asked.rejected["native"] == "it would fit, but --strategy transplant was given"


def test_compose_can_be_asked_for(references: tuple[Reference, ...]) -> None:
    strategy = choose(probed(inspection(BASE)), references, references[0].release, forced="compose").strategy

    assert (strategy.strategy, strategy.forced) == ("compose", True)
    assert strategy.rejected["native"] == "it would fit, but --strategy compose was given"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"head": None}, "no linear layer makes the logits"),
        ({"exports": ()}, "no export of the model to ONNX worked"),
        ({"stages": ()}, "body and head are one module"),
    ],
)
def test_compose_needs_a_linear_head_a_body_and_an_export(
    references: tuple[Reference, ...], changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(ModelRejectedError, match="by the strategy compose") as refused:
        choose(probed(inspection(BASE), **changes), references, references[0].release, forced="compose")

    assert reason in refused.value.why


def test_a_config_that_python_cannot_spell_is_not_held(references: tuple[Reference, ...]) -> None:
    config = {"eps": float("inf"), **SMALL, "hidden_act": "laplace"}
    endless = msgspec.structs.replace(inspection(SMALL), config=config)

    with pytest.raises(ModelRejectedError) as refused:
        choose(probed(endless), references, references[0].release)

    assert "eps of config.json cannot be written as Python" in refused.value.why


def test_a_model_type_is_no_path(references: tuple[Reference, ...]) -> None:
    strange = msgspec.structs.replace(inspection(), model_type="../networks/classification_pyt")

    assert native_coverage(strange, references[0]).match is None


def test_a_task_without_networks(references: tuple[Reference, ...]) -> None:
    release = references[0].release

    with pytest.raises(ModelRejectedError, match="knows no network of tao-pytorch"):
        choose(inspection(), (), release)
    assert read_candidates(Path("/nowhere"), release, "object-detection") == ()


def test_the_same_facts_give_the_same_choice(references: tuple[Reference, ...]) -> None:
    first = choose(inspection(BASE), references, references[0].release)

    assert choose(inspection(BASE), references, references[0].release) == first


@pytest.mark.real_tao
@pytest.mark.parametrize(
    ("config", "name"),
    [(BASE, "vit_base_patch16"), (LARGE, "vit_large_patch16"), (HUGE, "vit_huge_patch14"), (SMALL, "")],
)
def test_the_real_registry(config: dict[str, object], name: str) -> None:
    references, release = candidates(real_clone("tao-pytorch"))

    match = choose(inspection(config), references, release).strategy.backbone
    assert match is not None
    assert match.name == name
