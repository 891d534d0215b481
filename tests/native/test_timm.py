"""The families whose class in TAO is timm's, proven against timm's: facts, rules and arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from porter.records.inspection import TensorInfo
from porter.records.reference import BackboneClass, Reference
from porter.records.sandbox import Environment
from porter.reference.contract import load_contract
from porter.reference.coverage import native_coverage
from porter.reference.reader import read_reference
from porter.reference.release import read_release
from porter.weights.ledger import audit
from porter.weights.plan import plan_weights
from porter.weights.remap import load_rules
from tests.native.cases import CASES, LABELS, OWN_TO_TAO, ROOT, Comparison
from tests.reference.trees import tao_tree

CONTRACT = ROOT / "references" / "contract" / "tao-pytorch-7.0.1.json"


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """A reference with the backbones that the contract has of tao-pytorch 7.0.1."""
    contract = load_contract(CONTRACT)
    classes = []
    for target in sorted({entry.target for entry in contract.backbones}):
        owner, _, name = target.rpartition(".")
        call = contract.symbols[f"{owner}:{name}"].methods.get("__init__")
        parameters = () if call is None else call.parameters
        kinds = {parameter.kind for parameter in parameters}
        classes.append(
            BackboneClass(
                target=target,
                parameters=tuple(each.name for each in parameters if each.kind in {"positional", "keyword"}),
                open=call is None or {"*", "**"} <= kinds,
            )
        )
    clone = tao_tree(tmp_path_factory.mktemp("tree") / "clone")
    tree = read_reference(clone, read_release("tao-pytorch", clone))
    return msgspec.structs.replace(tree, backbones=contract.backbones, backbone_classes=tuple(classes))


@pytest.fixture(scope="module")
def comparison(
    tao_environment: Environment, reference: Reference, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Comparison]:
    """The process that builds both sides."""
    made = Comparison(tao_environment, tmp_path_factory.mktemp("native"), reference, None)
    yield made
    made.close()


@pytest.mark.torch_env
@pytest.mark.parametrize("name", sorted(CASES.keys() - {*OWN_TO_TAO}))
def test_the_class_computes_what_transformers_computes(comparison: Comparison, name: str) -> None:
    measured = comparison.measure(CASES[name])
    assert measured.match.name == ""
    assert measured.numbers["as built"] < 5e-6
    assert measured.numbers["eager"] < 5e-6
    assert measured.numbers["spread"] > 1e-3


@pytest.mark.parametrize(
    ("name", "label", "width"),
    [
        ("vit", "VisionTransformer", 48),
        ("deit", "VisionTransformer", 48),
        ("hiera", "Hiera", 64),
        ("resnet basic", "ResNet", 32),
        ("dinov2 gated", "DINOV2", 96),
        ("dinov2 with registers", "DINOV2", 96),
        ("swin", "SwinTransformer", 64),
        ("convnext", "ConvNeXtV2", 32),
    ],
)
def test_the_port_registers_the_class(reference: Reference, name: str, label: str, width: int) -> None:
    match = native_coverage(CASES[name].inspection, reference).match
    assert match is not None
    assert (match.label, match.embed_dim) == (label, width)
    assert match.differences[0].startswith("the backbone registry has ")


def test_what_is_set_on_a_finished_swin(reference: Reference) -> None:
    match = native_coverage(CASES["swin"].inspection, reference).match
    assert match is not None
    assert {(path, fix.attribute): fix.value for fix in match.fixes for path in fix.modules} == {
        # The last map has a side of 5: one window.
        ("layers[2].blocks[1]", "shift_size"): 0,
        ("post_norm", "eps"): 1e-3,
        ("patch_embed.norm", "eps"): 1e-5,
        ("layers[0].downsample.norm", "eps"): 1e-5,
        ("layers[1].downsample.norm", "eps"): 1e-5,
    }
    assert match.arguments["post_norm"] is True
    assert match.code == {"norm_layer": "functools.partial(torch.nn.LayerNorm, eps=0.001)"}
    padded = native_coverage(CASES["swin padded"].inspection, reference).match
    assert padded is not None
    assert padded.fixes == ()


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("resnet basic", {"downsample_in_bottleneck": True}, "the class has its stride in the 3 x 3"),
        ("resnet basic", {"downsample_in_first_stage": True}, "the class's first stage keeps the size"),
        ("resnet basic", {"embedding_size": 32}, "the class's stem makes 64 channels"),
        ("resnet basic", {"depths": [1, 1]}, "the class has four stages"),
        ("resnet bottleneck", {"hidden_sizes": [8, 16, 24, 30]}, "a quarter as wide"),
        ("resnet basic", {"layer_type": "odd"}, "hidden_sizes is"),
        ("swin", {"use_absolute_embeddings": True}, "does not run"),
        ("swin", {"window_size": 6}, "a map is smaller than the window"),
        ("convnext", {"patch_size": 2}, "the class's stem cuts patches of 4 x 4"),
        ("convnext", {"hidden_act": "relu"}, "the exact GELU"),
        ("hiera", {"masked_unit_attention": [False, True, False]}, "attention within units comes back"),
        ("hiera", {"num_heads": [2, 2, 2]}, "doubles the number of heads"),
        ("hiera", {"embed_dim_multiplier": 1.5}, "double the width only"),
        ("dinov2", {"hidden_act": "laplace"}, "porter knows no layer of torch or timm"),
        ("dinov2", {"patch_size": 16}, "no whole number of patches"),
    ],
)
def test_what_the_classes_do_not_compute(
    reference: Reference, name: str, changes: dict[str, object], reason: str
) -> None:
    case = CASES[name]
    changed = case._replace(config={**case.config, **changes})
    coverage = native_coverage(changed.inspection, reference)
    assert coverage.match is None
    assert reason in "; ".join(coverage.reasons)


def test_two_heads_are_no_head_of_the_class(reference: Reference) -> None:
    taught = CASES["deit"]._replace(architecture="DeiTForImageClassificationWithTeacher")
    coverage = native_coverage(taught.inspection, reference)
    assert coverage.match is None
    assert "the logits of its two heads are averaged" in coverage.reasons[0]


def swin_names(depths: tuple[int, ...]) -> tuple[list[str], list[str]]:
    """Return the names that transformers and TAO give the tensors of a Swin."""
    ours, theirs = ["swin.embeddings.patch_embeddings.projection", "swin.embeddings.norm"], []
    theirs += ["patch_embed.proj", "patch_embed.norm"]
    for stage, depth in enumerate(depths):
        for block in range(depth):
            there, here = f"swin.encoder.layers.{stage}.blocks.{block}", f"layers.{stage}.blocks.{block}"
            ours += [f"{there}.attention.self.{each}" for each in ("query", "key", "value")]
            ours += [f"{there}.{each}" for each in ("attention.output.dense", "intermediate.dense")]
            ours += [f"{there}.{each}" for each in ("output.dense", "layernorm_before", "layernorm_after")]
            theirs += [f"{here}.{each}" for each in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")]
            theirs += [f"{here}.norm1", f"{here}.norm2"]
    ours += ["swin.layernorm", "classifier"]
    theirs += ["post_norm", "head", "norm0"]
    return ours, theirs


def test_a_swin_is_fused_and_its_pyramid_norms_start_afresh() -> None:
    def rows(name: str) -> int:
        return {"qkv": 12, "head": LABELS, "classifier": LABELS}.get(name.rpartition(".")[2], 4)

    def table(names: list[str]) -> list[TensorInfo]:
        shapes = {f"{name}.{leaf}": (rows(name), *tail) for name in names for leaf, tail in leaves.items()}
        return [TensorInfo(name=name, shape=shape, dtype="F32", file="a") for name, shape in shapes.items()]

    leaves: dict[str, tuple[int, ...]] = {"weight": (4,), "bias": ()}
    ours, theirs = swin_names((1, 2))
    source, target = table(ours), table(theirs)
    plan = plan_weights(source, target, load_rules("swin"), num_labels=LABELS)
    assert audit(plan, source, target) == ()
    fates = {row.targets[0]: row.fate for row in plan.ledger.rows}
    assert fates["layers.1.blocks.1.attn.qkv.bias"] == "fused"
    assert (fates["norm0.weight"], fates["norm0.bias"]) == ("initialised", "initialised")
    assert fates["post_norm.weight"] == "renamed"
