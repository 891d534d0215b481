"""A SegFormer's package: whether TAO has the architecture, the schema, the palette, and clean files."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from porter.errors import ModelRejectedError, PorterError, WorkspaceError
from porter.families.segmentation import Segmentation
from porter.generate.deploy import deploy_context
from porter.generate.fileplan import build_file_plan, rendered
from porter.generate.schema import SchemaField
from porter.generate.segmentation import SegmentationContext, palette_of
from porter.records.inspection import Inspection, ProcessorFacts, Source, TaskChoice
from porter.records.plan import PlannedFile
from porter.records.reference import BackboneMatch, DeployReference, Reference, ReferenceChoice, Repo
from porter.reference.choose import choose, read_candidates
from porter.reference.coverage import native_coverage
from porter.reference.reader import read_reference
from porter.reference.release import read_release
from tests.repositories import write
from tests.segformer_trees import CV, SIZES, WIDTHS, deploy_tree, trainer_tree

NAME = "street_scenes"
PACKAGE = f"nvidia_tao_pytorch/cv/{NAME}"
SPEC = f"{PACKAGE}/experiment_specs/experiment_spec.yaml"
LABELS = ("wall", "floor", "sky")
HOSTILE = (
    'a "quoted" label',
    "it's",
    "two\nlines\tand\x85more",
    "back\\slash \u2028 {x: 1}",
    "# no comment",
    "{{ 7 * 7 }} {% raw %}",
    "null",
    "",
    "雪",
)
PROCESSOR = ProcessorFacts(
    kind="SegformerImageProcessor",
    size=(64, 64),
    rescale_factor=1 / 255,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
CONFIG: dict[str, Any] = {"model_type": "segformer"}


def inspection(
    config: dict[str, Any] | None = None,
    *,
    labels: tuple[str, ...] = LABELS,
    processor: ProcessorFacts = PROCESSOR,
    size: tuple[int, int] = (64, 64),
    channels: int = 3,
) -> Inspection:
    """Return what phase 1 says of a SegFormer whose config.json says *config*."""
    return Inspection(
        source=Source(kind="hub", ref="org/segformer", sha="0" * 40, folder="/nowhere"),
        model_type="segformer",
        architecture="SegformerForSemanticSegmentation",
        task=TaskChoice(task="semantic-segmentation", source="architecture", reason="its class"),
        config={**CONFIG, **(config or {})},
        labels=labels,
        image_size=size,
        channels=channels,
        processor=processor,
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trainer_tree(tmp_path_factory.mktemp("tree") / "clone")


@pytest.fixture(scope="module")
def reference(clone: Path) -> Reference:
    (found,) = read_candidates(clone, read_release("tao-pytorch", clone), "semantic-segmentation")
    return found


@pytest.fixture(scope="module")
def deploy(tmp_path_factory: pytest.TempPathFactory) -> DeployReference:
    from porter.reference.deploy import read_deploy

    clone = deploy_tree(tmp_path_factory.mktemp("deploy") / "clone")
    return read_deploy(clone, read_release("tao-deploy", clone), "segformer")


def chosen(reference: Reference, facts: Inspection) -> ReferenceChoice:
    return choose(facts, [reference], reference.release)


def context(reference: Reference, facts: Inspection) -> SegmentationContext:
    family = Segmentation()
    made = family.context(
        facts,
        chosen(reference, facts),
        name=NAME,
        year=2026,
        classes=family.class_names(facts.labels),
    )
    assert isinstance(made, SegmentationContext)
    return made


def files_of(values: SegmentationContext, repo: Repo = "tao-pytorch") -> dict[str, str]:
    return {file.path: file.content for file in rendered(values, repo)}


# What the reader finds.


def test_the_network_is_read_with_its_hooks_and_conventions(reference: Reference) -> None:
    assert (reference.name, reference.task) == ("segformer", "semantic-segmentation")
    assert reference.checkpoint_filename == "segformer_model"
    assert (reference.tao_model, reference.tags, reference.image_suffixes) == ("", {}, ())
    assert {"_build_model", "_build_criterion", "predict_step"} <= {*reference.hooks}
    assert [entry.name for entry in reference.backbones] == ["mit_b0", "mit_b2"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (f"{CV}/segformer/model/decode_heads/segformer_head.py", "segformer_head.py"),
        (f"{CV}/segformer/utils/iou_metric.py", "iou_metric"),
        (f"{CV}/segformer/dataloader/dataset.py", "dataset.py"),
    ],
)
def test_a_clone_that_lacks_what_a_port_needs_is_turned_away(tmp_path: Path, path: str, says: str) -> None:
    clone = trainer_tree(tmp_path / "clone", {path: None})
    with pytest.raises(WorkspaceError) as caught:
        read_reference(clone, read_release("tao-pytorch", clone), "segformer")
    assert says in str(caught.value)


def test_a_lightning_module_without_a_hook_is_turned_away(tmp_path: Path) -> None:
    path = f"{CV}/segformer/model/segformer_pl_model.py"
    text = "class SegFormerPlModel:\n    def __init__(self):\n        self.checkpoint_filename = 'x'\n"
    clone = trainer_tree(tmp_path / "clone", {path: text})
    with pytest.raises(WorkspaceError) as caught:
        read_reference(clone, read_release("tao-pytorch", clone), "segformer")
    assert "SegFormerPlModel._build_model" in str(caught.value)


# Which models TAO's backbone covers.


def match_of(reference: Reference, config: dict[str, Any] | None = None) -> BackboneMatch:
    coverage = native_coverage(inspection(config), reference)
    assert coverage.match is not None, coverage.reasons
    return coverage.match


@pytest.mark.parametrize("size", SIZES)
def test_the_sizes_of_the_paper_are_the_class_with_other_norms(reference: Reference, size: str) -> None:
    sizes = {"depths": list(SIZES[size]), "hidden_sizes": list(WIDTHS[size]), "decoder_hidden_size": 768}
    match = match_of(reference, sizes)
    assert match.target == "nvidia_tao_pytorch.cv.backbone_v2.mit:MixTransformer"
    # The registry's own entries have norms of another epsilon.
    assert match.name == ""
    assert (
        f"mit_{size}, has norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-06)" in match.differences[0]
    )
    # The class itself leaves them as torch makes them.
    assert match.code == {}
    assert (match.embed_dim, match.widths) == (768, WIDTHS[size])
    assert match.arguments["depths"] == list(SIZES[size])
    assert (match.remap, match.head, match.image_argument) == ("segformer", "decoder.linear_pred", "")


def test_sizes_that_no_entry_has_are_passed_to_the_class(reference: Reference) -> None:
    sizes = {
        "hidden_sizes": [8, 16, 24, 32],
        "depths": [1, 1, 2, 1],
        "num_attention_heads": [1, 2, 3, 4],
        "mlp_ratios": [2, 2, 4, 4],
        "sr_ratios": [4, 2, 2, 1],
        "drop_path_rate": 0.0,
    }
    match = match_of(reference, sizes)
    assert match.arguments == {
        "depths": [1, 1, 2, 1],
        "embed_dims": [8, 16, 24, 32],
        "num_heads": [1, 2, 3, 4],
        "mlp_ratios": [2, 2, 4, 4],
        "sr_ratios": [4, 2, 2, 1],
    }
    assert match.widths == (8, 16, 24, 32)


def test_what_acts_in_training_only_is_said(reference: Reference) -> None:
    dropped = {"hidden_dropout_prob": 0.2, "classifier_dropout_prob": 0.3, "drop_path_rate": 0.25}
    match = match_of(reference, dropped)
    assert match.arguments["drop_path_rate"] == 0.25
    said = "; ".join(match.differences)
    assert "dropout of 0.2 is not carried over" in said
    assert "with a probability of 0.1 while it trains, not 0.3" in said
    assert "attention dropout" not in said


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "patches": ({"patch_sizes": [7, 3, 3, 5]}, "patch_sizes is [7, 3, 3, 5]: the patch embeddings"),
    "strides": ({"strides": [4, 2, 2, 1]}, "kernels of 7, 3, 3, 3 and strides of 4, 2, 2, 2"),
    "activation": (
        {"hidden_act": "relu"},
        "hidden_act is 'relu': the backbone's blocks apply the exact GELU",
    ),
    "stages": ({"num_encoder_blocks": 3, "depths": [1, 1, 1]}, "num_encoder_blocks is 3: the class has four"),
    "last stage": ({"reshape_last_stage": False}, "the decoder needs the last stage as a map"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_backbone_does_not_compute_is_refused(reference: Reference, case: str) -> None:
    config, reason = REFUSED[case]
    coverage = native_coverage(inspection(config), reference)
    assert coverage.match is None
    assert reason in "; ".join(coverage.reasons)
    with pytest.raises(ModelRejectedError) as caught:
        chosen(reference, inspection(config))
    assert reason in str(caught.value)
    assert "image classification" not in str(caught.value)


def test_images_that_are_no_squares_in_colour_are_refused(reference: Reference) -> None:
    wide = native_coverage(inspection(size=(64, 96)), reference)
    assert wide.match is None
    assert "images of 64 x 96 (height x width)" in "; ".join(wide.reasons)
    grey = native_coverage(inspection(channels=1), reference)
    assert "the model takes 1 channels" in "; ".join(grey.reasons)


def test_a_clone_without_the_backbone_is_said(reference: Reference) -> None:
    bare = msgspec.structs.replace(reference, backbones=(), backbone_classes=())
    assert "builds a MixTransformer" in native_coverage(inspection(), bare).reasons[0]


# Values for the templates.


@pytest.fixture(scope="module")
def values(reference: Reference) -> SegmentationContext:
    return context(reference, inspection({"decoder_hidden_size": 256}))


def schema_fields(values: SegmentationContext) -> dict[str, SchemaField]:
    return {f"{item.name}.{each.name}": each for item in values.schema.classes for each in item.fields}


def test_the_schema_says_what_the_model_decides(values: SegmentationContext) -> None:
    fields = schema_fields(values)
    found = {key: each.value for key, each in fields.items() if each.helper != "DATACLASS_FIELD"}
    palette = [
        {"seg_class": name, "mapping_class": name, "label_id": number, "rgb": [number]}
        for number, name in enumerate(LABELS)
    ]
    assert found == {
        "BackboneConfig.type": NAME,
        "DecodeHeadConfig.in_channels": [32, 64, 160, 256],
        "DecodeHeadConfig.feature_strides": [4, 8, 16, 32],
        "DecodeHeadConfig.decoder_params": {"embed_dim": 256},
        "AugmentationConfig.mean": [0.485, 0.456, 0.406],
        "AugmentationConfig.std": [0.229, 0.224, 0.225],
        "SegmentConfig.num_classes": 3,
        "SegmentConfig.img_size": 64,
        "SegmentConfig.batch_size": 8,
        # The reference gives it two defaults; the first one is what runs.
        "SegmentConfig.workers": 8,
        "SegmentConfig.label_transform": "None",
        "SegmentConfig.palette": palette,
        "EvaluateConfig.checkpoint": found["EvaluateConfig.checkpoint"],
        "EvaluateConfig.vis_after_n_batches": 1,
        "EvaluateConfig.batch_size": 8,
        "InferenceConfig.checkpoint": found["InferenceConfig.checkpoint"],
        "InferenceConfig.vis_after_n_batches": 1,
        "InferenceConfig.batch_size": 8,
        "ExportConfig.input_width": 64,
        "ExportConfig.input_height": 64,
        "TrtConfig.data_type": "FP32",
    }
    assert fields["BackboneConfig.type"].options == (NAME,)
    assert fields["TrtConfig.data_type"].options == ("FP32", "FP16", "INT8")
    bases = {item.name: item.base for item in values.schema.classes}
    assert bases["ExportConfig"] == "common_config.ExportConfig"
    assert bases["SegmentConfig"] == "segformer.SFDatasetSegmentConfig"


def test_a_clone_whose_schema_lacks_a_field_is_no_base_for_the_port(reference: Reference) -> None:
    config = tuple(
        msgspec.structs.replace(item, fields=tuple(each for each in item.fields if each.name != "palette"))
        for item in reference.config
    )
    with pytest.raises(KeyError, match=r"SegmentConfig\.palette"):
        context(msgspec.structs.replace(reference, config=config), inspection())


def test_reduced_labels_shift_the_palette(reference: Reference) -> None:
    reduced = msgspec.structs.replace(PROCESSOR, reduce_labels=True)
    values = context(reference, inspection(processor=reduced))
    assert [(entry.seg_class, entry.label_id, entry.rgb) for entry in values.palette] == [
        ("wall", 0, (1,)),
        ("floor", 1, (2,)),
        ("sky", 2, (3,)),
    ]
    spec = yaml.safe_load(files_of(values)[SPEC])
    assert [entry["rgb"] for entry in spec["dataset"]["segment"]["palette"]] == [[1], [2], [3]]
    # A dataset with classes of its own is reduced likewise.
    own = values.class_values(("cat", "dog"))["dataset.segment.palette"]
    assert [entry["rgb"] for entry in own] == [[1], [2]]


@pytest.mark.parametrize(("reduced", "most"), [(False, 255), (True, 254)])
def test_more_classes_than_a_byte_tells_apart_are_refused(
    reference: Reference, reduced: bool, most: int
) -> None:
    processor = msgspec.structs.replace(PROCESSOR, reduce_labels=reduced)
    names = tuple(f"class {number}" for number in range(most + 1))
    values = context(reference, inspection(labels=names[:most], processor=processor))
    # The last grey level stands for no class.
    assert max(entry.rgb[0] for entry in values.palette) == 254
    with pytest.raises(ModelRejectedError) as caught:
        context(reference, inspection(labels=names, processor=processor))
    assert f"tells {most + 1} classes apart" in caught.value.what
    assert f"enough for {most}" in str(caught.value.why)


def test_the_models_own_number_of_classes_changes_nothing_in_the_spec(values: SegmentationContext) -> None:
    assert values.class_values(("a", "b", "c")) == {}
    assert values.dataset("/data", LABELS) == ["dataset.segment.root_dir=/data"]


def test_another_number_of_classes_brings_its_palette(values: SegmentationContext) -> None:
    root, count, palette = values.dataset("/data", ('the "cat"', "dog"))
    assert (root, count) == ("dataset.segment.root_dir=/data", "dataset.segment.num_classes=2")
    key, _, text = palette.partition("=")
    assert key == "dataset.segment.palette"
    assert yaml.safe_load(text) == [
        {"seg_class": 'the "cat"', "mapping_class": 'the "cat"', "label_id": 0, "rgb": [0]},
        {"seg_class": "dog", "mapping_class": "dog", "label_id": 1, "rgb": [1]},
    ]


def test_a_name_is_nothing_that_a_spec_resolves() -> None:
    found = Segmentation().class_names(("${results_dir}", "???", "a ? b"))
    assert found == ("$ {results_dir}", "unknown", "a ? b")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("a", "b"), ("a", "b")),
        (("a", "b", "a"), ("a", "b", "a_2")),
        (("a", "a", "a"), ("a", "a_1", "a_2")),
        # A label that is called as another one would be named.
        (("a", "a_2", "a"), None),
        (("a", "a", "a_1"), None),
        (("", "", "_1"), None),
    ],
)
def test_every_class_has_a_name_of_its_own(labels: tuple[str, ...], names: tuple[str, ...] | None) -> None:
    found = Segmentation().class_names(labels)
    assert len(set(found)) == len(labels)
    if names is not None:
        assert found == names
    # A label that is alone keeps its name.
    assert all(name == label for name, label in zip(found, labels, strict=True) if labels.count(label) == 1)


def test_what_a_port_needs_is_named() -> None:
    facts = msgspec.structs.replace(inspection(), labels=(), processor=None, image_size=None)
    assert Segmentation().lacking(facts) == ("labels", "an image size", "an image processor")
    assert Segmentation().lacking(inspection()) == ()
    ratio = msgspec.structs.replace(PROCESSOR, size=None, shortest_edge=640)
    (lacks,) = Segmentation().lacking(msgspec.structs.replace(inspection(processor=ratio), image_size=None))
    assert '{"height": 640, "width": 640} in preprocessor_config.json' in lacks


def test_a_processor_of_another_size_is_refused(reference: Reference) -> None:
    other = msgspec.structs.replace(PROCESSOR, size=(60, 60))
    with pytest.raises(PorterError, match="64 x 64"):
        context(reference, inspection(processor=other))


# The files.

PROCESSORS = {
    "bilinear": PROCESSOR,
    "bicubic and reduced": msgspec.structs.replace(PROCESSOR, resample=3, reduce_labels=True),
    "shortest edge": msgspec.structs.replace(
        PROCESSOR, size=None, shortest_edge=70, crop=(64, 64), rescale_factor=None
    ),
}


@pytest.fixture(scope="module", params=["tao-pytorch", "tao-deploy"])
def packages(
    request: pytest.FixtureRequest, reference: Reference, deploy: DeployReference
) -> dict[str, tuple[PlannedFile, ...]]:
    """The package of one repository, by processor."""
    repo: Repo = request.param
    made = {}
    for name, processor in PROCESSORS.items():
        own = context(reference, inspection(labels=HOSTILE, processor=processor))
        made[name] = rendered(deploy_context(own, deploy, year=2026) if repo == "tao-deploy" else own, repo)
    return made


@pytest.fixture(scope="module")
def files(values: SegmentationContext) -> dict[str, str]:
    return files_of(values)


def test_all_files_of_the_package_are_there(files: dict[str, str]) -> None:
    wanted = ["model/segmenter.py", "model/backbone.py", "dataloader/dataset.py", "utils/masks.py"]
    wanted += [f"scripts/{mode}.py" for mode in ("train", "evaluate", "inference", "export")]
    assert {f"{PACKAGE}/{path}" for path in wanted} <= files.keys()
    assert f"nvidia_tao_pytorch/config/{NAME}/default_config.py" in files
    assert {Path(path).suffix for path in files} == {".py", ".yaml"}
    folders = {path.rpartition("/")[0] for path in files if path.endswith(".py")}
    assert all(f"{folder}/__init__.py" in files for folder in folders)


def test_every_python_file_compiles_and_knows_nothing_of_porter(
    packages: dict[str, tuple[PlannedFile, ...]],
) -> None:
    for files in packages.values():
        for file in files:
            if file.path.endswith(".py"):
                tree = ast.parse(file.content)
                body = file.content.partition('"""')[2]
                assert not re.search(r"\bporter\b", body, re.IGNORECASE), file.path
                modules = {
                    name.name if isinstance(node, ast.Import) else node.module or ""
                    for node in ast.walk(tree)
                    if isinstance(node, ast.Import | ast.ImportFrom)
                    for name in node.names
                }
                assert not {each for each in modules if each.split(".")[0] in {"porter", "transformers"}}


def test_linters_find_nothing(packages: dict[str, tuple[PlannedFile, ...]], tmp_path: Path) -> None:
    for name, files in packages.items():
        write(tmp_path / name, {file.path: file.content for file in files})
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,W,F,I,D", "--ignore"]
    # TAO's own pydocstyle arguments and line length.
    command += ["E501,D107,D200,D203,D205,D212,D213,D400,D401,D4,I001", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_spec_is_yaml_with_the_palette_as_it_is(
    packages: dict[str, tuple[PlannedFile, ...]],
) -> None:
    for name, files in packages.items():
        specs = [yaml.safe_load(file.content) for file in files if file.path.endswith(".yaml")]
        found = [spec["dataset"]["segment"] for spec in specs if "palette" in str(spec)]
        assert found
        shift = int("reduced" in name)
        for segment in found:
            assert segment["num_classes"] == len(HOSTILE)
            assert segment["palette"] == [
                {"seg_class": label, "mapping_class": label, "label_id": number, "rgb": [number + shift]}
                for number, label in enumerate(HOSTILE)
            ]


def test_labels_reach_the_schema_as_they_are(packages: dict[str, tuple[PlannedFile, ...]]) -> None:
    for files in packages.values():
        (schema,) = [file for file in files if file.path.endswith("default_config.py")]
        literals = {
            node.value
            for node in ast.walk(ast.parse(schema.content))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert {*HOSTILE} <= literals


def test_the_backbone_is_registered_in_the_models_sizes(reference: Reference) -> None:
    sizes = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "drop_path_rate": 0.25}
    text = files_of(context(reference, inspection(sizes)))[f"{PACKAGE}/model/backbone.py"]
    (call,) = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "MixTransformer"
    ]
    given = {each.arg: ast.unparse(each.value) for each in call.keywords if each.arg}
    assert given["embed_dims"] == "[8, 16, 24, 32]"
    assert given["depths"] == "[1, 1, 2, 1]"
    assert given["drop_path_rate"] == "0.25"
    assert "norm_layer" not in given


def test_the_plan_sets_the_spec_and_edits_setup_py(values: SegmentationContext, clone: Path) -> None:
    setup = (clone / "setup.py").read_text()
    target = f"nvidia_tao_pytorch.cv.{NAME}.entrypoint.{NAME}:main"
    plan = build_file_plan(
        values, settings={"dataset.segment.batch_size": 2}, setup=setup, console_target=target
    )
    assert [file.path for file in plan.files if file.action == "edit"] == ["setup.py"]
    files = {file.path: file.content for file in plan.files}
    assert f"{NAME}={target}" in files["setup.py"]
    spec = yaml.safe_load(files[SPEC])
    segment = spec["dataset"]["segment"]
    assert (segment["batch_size"], segment["img_size"], segment["label_transform"]) == (2, 64, "None")
    assert spec["model"]["decode_head"]["in_channels"] == [32, 64, 160, 256]
    missing = [line.strip() for line in files[SPEC].splitlines() if "???" in line]
    assert missing == ["results_dir: ???", "root_dir: ???"]
    # The palette stays whole where a setting is written into the spec.
    assert [entry["seg_class"] for entry in segment["palette"]] == [*LABELS]


def test_equal_input_gives_equal_files(reference: Reference, files: dict[str, str]) -> None:
    assert files_of(context(reference, inspection({"decoder_hidden_size": 256}))) == files


def test_the_palette_of_nothing_is_empty() -> None:
    assert palette_of(()) == ()


@pytest.mark.parametrize("field", ["use_distributed_sampler", "sync_batchnorm"])
def test_a_release_without_a_setting_has_none_of_it_in_its_script(field: str, reference: Reference) -> None:
    older = msgspec.structs.replace(
        reference,
        config=tuple(
            msgspec.structs.replace(each, fields=tuple(known for known in each.fields if known.name != field))
            for each in reference.config
        ),
    )
    script = f"nvidia_tao_pytorch/cv/{NAME}/scripts/train.py"
    said = [files_of(context(each, inspection()))[script] for each in (reference, older)]
    assert ["=train_config.use_distributed_sampler" in text for text in said] == [True, False]
    assert "sync_batchnorm=multi_gpu" in said[1]
