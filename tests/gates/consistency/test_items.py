"""The items as pure functions: what needs no environment to be decided."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import msgspec
import pytest

from porter.gates.consistency import source
from porter.gates.consistency.classes import UNSORTED, _reorderings, class_order
from porter.gates.consistency.gather import read_classes, read_heading
from porter.gates.consistency.names import checkpoint, onnx_names
from porter.gates.consistency.normalisation import normalisation
from porter.gates.consistency.packages import init_files, params_mapping
from porter.gates.consistency.schema import Difference, _shown, differences, same_schemas
from porter.gates.consistency.specs import batch, image_size, spec_keys
from porter.records.consistency import (
    ConsistencyFacts,
    OnnxFacts,
    SchemaEntry,
    SchemaFacts,
    SpecFacts,
    SpecKeys,
)
from porter.records.gates import GateResult
from porter.records.reference import Repo
from tests.gates.consistency.facts import (
    CLONE,
    EXPORT,
    EXPORTER,
    GENERATED,
    TRAIN_SPEC,
    entry,
    export_script,
    facts,
    section,
    spec,
)

CALIBRATION = "gen_trt_engine.tensorrt.calibration.cal_image_dir"
DEPLOY_SPECS = "nvidia_tao_deploy/cv/net/specs"

FREE = OnnxFacts(inputs={"input": ("n", 3, 32, 32)}, outputs={"output": ("n", 3)})
FOUR = OnnxFacts(inputs={"input": (4, 3, 32, 32)}, outputs={"output": (4, 3)})
HALF = OnnxFacts(inputs={"input": ("n", 3, 32, 32)}, outputs={"output": (1, 3)})

STATIC = {"export__batch_size": 4, "gen_trt_engine__batch_size": 4}


@pytest.mark.parametrize(
    ("values", "onnx", "settings", "said"),
    [
        ({}, FREE, (), ""),
        ({}, FOUR, (), "axis 0 of input is 4, export.batch_size is -1"),
        ({}, HALF, (), "axis 0 of output is 1"),
        (STATIC, FOUR, (), ""),
        (STATIC, FREE, (), "axis 0 of input is 'n', export.batch_size is 4"),
        # The gates of phase 3 leave a batch size of the user's aside.
        (STATIC, FREE, ("export.batch_size",), ""),
        ({"export__batch_size": 4}, None, ("export.batch_size",), "gen_trt_engine.batch_size is -1"),
        ({"gen_trt_engine__tensorrt__max_batch_size": 1}, None, (), "[1, 2, 1]"),
        ({"gen_trt_engine__tensorrt__opt_batch_size": None}, None, (), "[1, None, 4]"),
    ],
)
def test_batch_is_minus_one_where_the_axis_is_free(
    values: dict[str, Any], onnx: OnnxFacts | None, settings: tuple[str, ...], said: str
) -> None:
    gate = batch(facts(train=spec(**values), onnx=onnx, settings=settings))
    assert (gate.state, said in gate.summary) == ("failed" if said else "blocked", True)


def test_a_rectangular_export_is_seen() -> None:
    assert image_size(facts(onnx=FREE)).state == "blocked"
    assert "export.input_height is 64" in image_size(facts(train=spec(export__input_height=64))).summary
    tall = OnnxFacts(inputs={"input": ("n", 3, 64, 32)}, outputs={})
    assert "(64, 32)" in image_size(facts(onnx=tall)).summary
    grey = OnnxFacts(inputs={"input": ("n", 1, 32, 32)}, outputs={})
    assert "(channels) is 1" in image_size(facts(onnx=grey)).summary


def test_images_that_are_no_squares_have_sizes_of_their_own() -> None:
    wide: dict[str, Any] = {"dataset__img_height": 32, "dataset__img_width": 48, "export__input_width": 48}
    fields = {"dataset.img_height": 32, "dataset.img_width": 48, "export.input_width": 48}
    given = facts(train=spec(**wide))
    schema = given.schemas["tao-pytorch"]
    known = {**schema.fields, **{key: entry(default=value) for key, value in fields.items()}}
    right = msgspec.structs.replace(
        given, schemas={"tao-pytorch": msgspec.structs.replace(schema, fields=known)}
    )
    assert image_size(right).state == "blocked"
    assert "32 x 48 in" in image_size(right).summary
    # The schema still says squares.
    assert "export.input_width is 32" in image_size(given).summary
    assert "no such field" in image_size(given).summary


PAIRS = SpecKeys(
    section="dataset",
    data=("dataset.test.sources",),
    mean=("dataset.train.mean", "dataset.test.mean"),
    std=("dataset.train.std", "dataset.test.std"),
    size=("dataset.train.crop", "dataset.test.crop"),
    model="model.encoder",
)
"""Keys of a network of which every task has its own data."""

PAIRED: dict[str, Any] = {
    "dataset.train.crop": [32, 32],
    "dataset.test.crop": [32, 32],
    "dataset.train.mean": [0.5],
    "dataset.test.mean": [0.5],
    "dataset.train.std": [0.2],
    "dataset.test.std": [0.2],
    "model.encoder": "small",
}


def paired(onnx: OnnxFacts | None = None, **changed: Any) -> ConsistencyFacts:
    """Return facts of such a network; *changed* alters its spec (``a__b`` for ``a.b``)."""
    given = facts(onnx=onnx, keys=PAIRS, has_mapping=False, calibrated=False)
    changes = {key.replace("__", "."): value for key, value in changed.items()}
    train = SpecFacts(values={**spec().values, **PAIRED, **changes})
    schema = given.schemas["tao-pytorch"]
    fields = {**schema.fields, **{key: entry(default=value) for key, value in PAIRED.items()}}
    known = msgspec.structs.replace(schema, fields=fields, specs={TRAIN_SPEC: train})
    return msgspec.structs.replace(given, schemas={"tao-pytorch": known})


def test_every_task_has_the_size_and_the_normalisation_of_the_training() -> None:
    assert image_size(paired()).state == normalisation(paired()).state == "blocked"
    assert "32 x 32 in" in image_size(paired()).summary
    assert "dataset.test.crop is [64, 32]" in image_size(paired(dataset__test__crop=[64, 32])).summary
    assert "export.input_width is 48" in image_size(paired(export__input_width=48)).summary
    assert "dataset.test.mean is [0.4]" in normalisation(paired(dataset__test__mean=[0.4])).summary
    assert params_mapping(paired()).summary.startswith("holds in tao-pytorch: small in")


def test_a_graph_for_several_sizes_has_none_of_its_own() -> None:
    free = OnnxFacts(inputs={"input": ("n", 3, "height", "width")}, outputs={})
    assert image_size(paired(onnx=free, gen_trt_engine__min_height=16)).state == "blocked"
    assert "('height', 'width')" in image_size(paired(onnx=free)).summary


def test_the_channels_of_the_graph_are_those_of_the_spec() -> None:
    assert image_size(facts(train=spec(export__input_channel=3), onnx=FREE)).state == "blocked"
    grey = image_size(facts(train=spec(export__input_channel=1), onnx=FREE))
    assert "exported ONNX: input (channels) is 3" in grey.summary


def test_what_the_user_sets_may_stand_in_the_spec() -> None:
    set_by_user = SpecFacts(keys=("results_dir",), values={"results_dir": "/mine"})
    assert "results_dir is set" in spec_keys(facts(train=set_by_user)).summary
    assert spec_keys(facts(train=set_by_user, settings=("results_dir",))).state == "blocked"


@pytest.mark.parametrize(
    ("file", "unset", "precision", "held"),
    [
        (TRAIN_SPEC, "export.onnx_file", "FP32", False),
        (TRAIN_SPEC, CALIBRATION, "FP32", True),
        (TRAIN_SPEC, CALIBRATION, "int8", False),
        (f"{DEPLOY_SPECS}/gen_trt_engine.yaml", "gen_trt_engine.onnx_file", "FP32", False),
        (f"{DEPLOY_SPECS}/gen_trt_engine.yaml", CALIBRATION, "FP16", True),
        (f"{DEPLOY_SPECS}/gen_trt_engine.yaml", "export.checkpoint", "FP32", True),
        (f"{DEPLOY_SPECS}/evaluate.yaml", "gen_trt_engine.onnx_file", "FP32", True),
        # Engines are run there, not checkpoints.
        (f"{DEPLOY_SPECS}/evaluate.yaml", "evaluate.checkpoint", "FP32", True),
        (f"{DEPLOY_SPECS}/evaluate.yaml", "evaluate.trt_engine", "FP32", False),
    ],
)
def test_a_spec_sets_what_its_own_scripts_read(file: str, unset: str, precision: str, held: bool) -> None:
    given = SpecFacts(unset=(unset,), values={"gen_trt_engine.tensorrt.data_type": precision})
    schema = SchemaFacts(fields={}, specs={file: given})
    gate = spec_keys(facts(schemas={"tao-pytorch": schema}))
    assert (gate.state == "blocked") is held
    if not held:
        assert f"{file}: {unset} is required by the schema" in gate.summary


def test_a_long_list_of_problems_is_whole_in_the_evidence() -> None:
    keys = tuple(f"made.up_{index}" for index in range(9))
    gate = spec_keys(facts(train=SpecFacts(keys=keys, unknown=keys)))
    assert "(and 5 more)" in gate.summary
    assert len(gate.evidence["problems"]) == 9


@pytest.mark.parametrize(
    ("script", "exporter", "engine", "said"),
    [
        (export_script(), EXPORTER, ("input",), ""),
        (export_script(), EXPORTER, (), ""),
        (export_script(), EXPORTER, ("pixel_values",), "the engine's inputs is ['pixel_values']"),
        (
            export_script('["input", "mask"]'),
            EXPORTER,
            (),
            "2 inputs, but the deploy package takes",
        ),
        (export_script(outputs='["output", "features"]'), EXPORTER, (), "2 outputs, but"),
        (export_script(inputs="names"), EXPORTER, (), "no literal input_names"),
        ("", EXPORTER, (), "no literal input_names"),
        (export_script(), "", (), "the exporter's dynamic_axes is []"),
        (export_script(), "dynamic_axes = {", (), "the exporter's dynamic_axes is []"),
    ],
)
def test_names_of_the_graph(script: str, exporter: str, engine: tuple[str, ...], said: str) -> None:
    both: tuple[Repo, ...] = ("tao-pytorch", "tao-deploy")
    given = facts(
        repos=both, files={"tao-pytorch": {EXPORT: script}}, exporter=exporter, engine_inputs=engine
    )
    gate = onnx_names(given)
    assert (gate.state, said in gate.summary) == ("failed" if said else "passed", True)


def test_without_tao_deploy_a_second_output_is_nobodys_problem() -> None:
    files: dict[Repo, dict[str, str]] = {
        "tao-pytorch": {EXPORT: export_script(outputs='["output", "features"]')}
    }
    exporter = EXPORTER.replace("}}", '}, "features": {0: "n"}}')
    assert onnx_names(facts(files=files, exporter=exporter)).state == "blocked"


@pytest.mark.parametrize(
    ("builder", "said"),
    [
        ('self._input_node_names = ["input"]', ""),
        ('self._input_node_names = ["input_1"]', "engine_builder.py: _input_node_names is ['input_1']"),
        (
            'self._output_node_names = ["predictions/Softmax"]',
            "_output_node_names is ['predictions/Softmax']",
        ),
        ('profile.set_shape("output", a, b, c)', ""),
        ('profile.set_shape(input="images", min=a, opt=b, max=c)', "asks the engine for 'images'"),
    ],
)
def test_names_that_deploy_code_states(builder: str, said: str) -> None:
    both: tuple[Repo, ...] = ("tao-pytorch", "tao-deploy")
    files: dict[Repo, dict[str, str]] = {
        "tao-pytorch": {EXPORT: export_script()},
        "tao-deploy": {"nvidia_tao_deploy/cv/net/engine_builder.py": builder},
    }
    gate = onnx_names(facts(repos=both, files=files, exporter=EXPORTER))
    assert (gate.state, said in gate.summary) == ("failed" if said else "passed", True)


@pytest.mark.parametrize(
    ("line", "held"),
    [
        ("checkpoint: ${results_dir}/train/net_model_latest.pth", True),
        ('path = os.path.join(folder, "net_model_latest.pth")', True),
        ("the newest is net_model_latest.tlt", False),
        ("'/results/train/model_latest.pth'", False),
        ("(train/dn_model_latest.pth)", False),
        ("nothing is said of it", True),
    ],
)
def test_names_of_checkpoints(line: str, held: bool) -> None:
    module = "nvidia_tao_pytorch/cv/net/model/classifier_pl_model.py"
    files = {module: 'self.checkpoint_filename = "net_model"', "tests/cv_unit_test/net/test_model.py": line}
    gate = checkpoint(facts(files={"tao-pytorch": files}))
    assert (gate.state == "blocked") is held
    if not held:
        assert "tests/cv_unit_test/net/test_model.py:1" in gate.summary


def test_a_checkpoint_that_the_user_chose_is_let_be() -> None:
    module = "nvidia_tao_pytorch/cv/net/model/classifier_pl_model.py"
    files: dict[Repo, dict[str, str]] = {"tao-pytorch": {module: 'self.checkpoint_filename = "net_model"'}}
    chosen = spec(evaluate__checkpoint="/models/mine.pth")
    assert "evaluate.checkpoint is '/models/mine.pth'" in checkpoint(facts(train=chosen, files=files)).summary
    gate = checkpoint(facts(train=chosen, files=files, settings=("evaluate.checkpoint",)))
    assert gate.state == "blocked"


def test_a_module_that_sets_no_name_is_seen() -> None:
    assert "checkpoint_filename is 'not set'" in checkpoint(facts()).summary


def compared(ours: dict[str, SchemaEntry], theirs: dict[str, SchemaEntry]) -> list[Difference]:
    return differences(ours, theirs, generated="config.net.")


OURS = {"train": section(f"{GENERATED}.TrainConfig", f"{CLONE}.TrainConfig"), "train.lr": entry()}


def test_equal_schemas_have_no_difference() -> None:
    assert compared(OURS, dict(OURS)) == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"type": "float"}, "type"),
        ({"default": 2}, "default"),
        ({"metadata": {"valid_options": "a,b"}}, "metadata.valid_options"),
        ({"metadata": {"valid_min": 0}}, "metadata.valid_min"),
    ],
)
def test_a_generated_field_that_differs_is_no_inherited_difference(
    changes: dict[str, Any], what: str
) -> None:
    found = compared(OURS, OURS | {"train.lr": entry(**changes)})
    assert [(item.key, item.what, item.inherited) for item in found] == [("train.lr", what, False)]


def test_what_metadata_leaves_empty_states_nothing() -> None:
    empty = entry(metadata={"regex": "", "option_weights": None})
    assert compared(OURS, OURS | {"train.lr": empty}) == []


def test_a_field_that_the_clones_declare_differently_is_inherited() -> None:
    upstream = {"train": OURS["train"], "train.lr": entry(f"{CLONE}.TrainConfig")}
    other = {"train": OURS["train"], "train.lr": entry(f"{CLONE}.TrainConfig", default=2)}
    assert [item.inherited for item in compared(upstream, other)] == [True]
    restated = {"train": OURS["train"], "train.lr": entry(default=2)}
    assert [item.inherited for item in compared(upstream, restated)] == [False]


def test_a_section_that_only_one_clone_has_is_inherited_and_named_once() -> None:
    more = OURS | {
        "train.saver": entry(f"{CLONE}.TrainConfig", lineage=(f"{CLONE}.Saver",)),
        "train.saver.top": entry(f"{CLONE}.Saver"),
        "train.saver.mode": entry(f"{CLONE}.Saver"),
    }
    for found in (compared(OURS, more), compared(more, OURS)):
        assert [(item.key, item.what, item.inherited) for item in found] == [
            ("train.saver", "presence", True)
        ]


def test_a_field_that_one_generated_class_lacks_is_not_inherited() -> None:
    found = compared(OURS, {"train": OURS["train"]})
    assert [(item.key, item.inherited) for item in found] == [("train.lr", False)]


def test_another_base_makes_what_it_brings_a_difference_of_ours() -> None:
    other = {
        "train": section(f"{GENERATED}.TrainConfig", "config.common.common_config.TrainConfig"),
        "train.lr": entry(),
        "train.extra": entry("config.common.common_config.TrainConfig"),
    }
    found = compared(OURS, other)
    assert {(item.key, item.what, item.inherited) for item in found} == {
        ("train", "lineage", False),
        ("train.extra", "presence", False),
    }


def schemas_differ(ours: SchemaEntry, theirs: SchemaEntry, upstream: tuple[Any, Any]) -> GateResult:
    """Return how the item ends for two restated fields whose originals have other descriptions."""
    sides: dict[Repo, SchemaFacts] = {}
    roots: dict[Repo, str] = {}
    repos: tuple[tuple[Repo, SchemaEntry], ...] = (("tao-pytorch", ours), ("tao-deploy", theirs))
    for (repo, field), words in zip(repos, upstream, strict=True):
        original = entry(CLONE, metadata={"description": words})
        sides[repo] = SchemaFacts(fields={"a": field}, specs={}, upstream={"a": original})
        roots[repo] = f"nvidia_{repo.replace('-', '_')}.config"
    return same_schemas(facts(repos=tuple(sides), schemas=sides, config_root=roots))


def test_inherited_differences_are_said_in_short() -> None:
    assert (
        _shown({"presence": ["a.b"], "metadata.description": ["c", "d"]}) == "a.b (presence), 2 descriptions"
    )
    assert _shown({"type": ["a", "b", "c", "d", "e"]}) == "a (type), b (type), c (type), 2 more"
    assert _shown({"default": ["a", "b", "c"]}) == "a (default), b (default), c (default)"


def test_a_restated_field_keeps_what_the_clones_say_of_it_differently() -> None:
    said, other = entry(metadata={"description": "one"}), entry(metadata={"description": "two"})
    kept = schemas_differ(said, other, ("one", "two"))
    assert kept.state == "passed"
    assert "but for what the clones have differently: 1 description" in kept.summary
    assert "but for" not in schemas_differ(said, said, ("one", "two")).summary
    for upstream in (("one", "one"), ("two", "one")):
        gate = schemas_differ(said, other, upstream)
        assert (gate.state, gate.evidence["inherited"]) == ("failed", {})


@pytest.mark.parametrize(
    "code",
    [
        "names = sorted(f.readlines())",
        "names.sort(key=str)\nclass_names.sort()",
        "for index, name in enumerate(sorted(self.classes)): pass",
        "order = list(set(labels))",
        "names = sorted(line.strip() for line in f)",
        "mapping = os.listdir(cfg.dataset.class_folder)",
    ],
)
def test_a_class_list_that_is_reordered_is_seen(code: str) -> None:
    assert len(list(_reorderings(ast.parse(code)))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "rows = [name for name in sorted(rows)]",
        "paths.sort()",
        "names = [line.strip() for line in f]",
        "top = np.argsort(probabilities)",
    ],
)
def test_other_sorting_is_let_be(code: str) -> None:
    assert list(_reorderings(ast.parse(code))) == []


def test_a_port_without_packages_is_seen() -> None:
    assert "no generated package below nvidia_tao_pytorch" in init_files(facts()).summary


def test_tests_of_the_package_may_have_a_mean_of_their_own() -> None:
    both: tuple[Repo, ...] = ("tao-pytorch", "tao-deploy")
    for path, seen in (("tests/net/test_net.py", False), ("nvidia_tao_deploy/cv/net/utils.py", True)):
        files: dict[Repo, dict[str, str]] = {
            "tao-deploy": {path: "NetLoader(image_mean=[0], image_std=image_std)"}
        }
        assert ("image_mean is [0]" in str(normalisation(facts(repos=both, files=files)).evidence)) is seen


def test_only_the_package_is_held_to_the_order() -> None:
    both: tuple[Repo, ...] = ("tao-pytorch", "tao-deploy")
    read: dict[Repo, SchemaFacts] = {"tao-deploy": SchemaFacts(fields={}, specs={}, classes=UNSORTED)}
    for path, state in (("tests/net/test_net.py", "passed"), ("nvidia_tao_deploy/cv/net/utils.py", "failed")):
        files: dict[Repo, dict[str, str]] = {"tao-deploy": {path: "names = sorted(class_names)"}}
        assert class_order(facts(repos=both, files=files, schemas=read)).state == state


def test_imports_are_found_wherever_they_stand() -> None:
    tree = ast.parse("import a.b\nfrom c import d, e\ndef f():\n    from . import g\n")
    found = [(item.module, item.name) for item in source.imports(tree)]
    assert found == [("a.b", ""), ("c", "d"), ("c", "e"), (".", "g")]


def test_assignments_are_found_with_and_without_an_annotation() -> None:
    tree = ast.parse("a = 1\nself.a = 2\na: int = 3\na: int\nb = 4\na.b = 5\n")
    assert [source.literal(value) for value in source.assigned(tree, "a")] == [1, 2, 3]


def test_tables_and_class_files_are_read_as_they_are(tmp_path: Path) -> None:
    file, table = tmp_path / "classes.txt", tmp_path / "result.csv"
    assert read_classes(file) == ()
    file.write_text("zebra\n a b \nline\u2028break\n", encoding="utf-8")
    assert read_classes(file) == ("zebra", " a b ", "line\u2028break")
    table.write_text('img_name,"a,b",pred_label,pred_label,pred_score,gt_label\n', encoding="utf-8")
    assert read_heading(table) == ("a,b", "pred_label")
    table.write_text("img_name,x,pred_label,pred_score\nrow,1,x,1\n", encoding="utf-8")
    assert read_heading(table) == ("x",)
    table.write_text("", encoding="utf-8")
    assert read_heading(table) == ()
