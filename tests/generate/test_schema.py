"""The generated schema restates what the model decides, and nothing else."""

from __future__ import annotations

import pytest

from porter.generate.schema import Override, Schema, SchemaClass, build_schema, inherited_fields
from porter.records.reference import Reference


def classes(schema: Schema) -> dict[str, SchemaClass]:
    return {item.name: item for item in schema.classes}


@pytest.fixture(scope="module")
def schema(reference: Reference) -> Schema:
    return build_schema(
        reference.config,
        reference.schema_plan,
        {
            "BackboneConfig.type": Override(value="vit_base_patch16", options=("vit_base_patch16",)),
            "DatasetConfig.num_classes": Override(value=10),
            "ExportConfig.input_width": Override(value=384),
        },
    )


def test_the_experiment_has_the_sections_of_a_tao_network(schema: Schema) -> None:
    experiment = classes(schema)["ExperimentConfig"]
    assert [field.name for field in experiment.fields] == [
        "model",
        "dataset",
        "train",
        "evaluate",
        "inference",
        "export",
        "gen_trt_engine",
        "quantize",
    ]


def test_value_and_default_value_are_equal_in_every_restated_field(schema: Schema) -> None:
    for item in schema.classes:
        for field in item.fields:
            if field.helper == "DATACLASS_FIELD":
                continue
            literals = [argument.partition("=")[2] for argument in field.arguments[:2]]
            assert literals[0] == literals[1], (item.name, field.name)


def test_a_field_that_the_reference_gives_two_defaults_is_restated(
    schema: Schema, reference: Reference
) -> None:
    theirs = inherited_fields(reference.config, "DatasetConfig")["workers"]
    assert theirs.value != theirs.default_value
    ours = {field.name: field for field in classes(schema)["DatasetConfig"].fields}["workers"]
    assert ours.value == theirs.value


def test_a_field_that_nothing_decides_is_inherited(schema: Schema) -> None:
    assert "batch_size" not in {field.name for field in classes(schema)["DatasetConfig"].fields}


def test_switches_without_a_script_behind_them_are_not_in_the_schema(schema: Schema) -> None:
    bases = {item.name: item.base for item in schema.classes}
    assert bases["EvaluateConfig"] == "common_config.EvaluateConfig"
    assert bases["ExportConfig"] == "common_config.ExportConfig"


def test_a_parent_uses_the_generated_child(schema: Schema) -> None:
    fields = {field.name: field for field in classes(schema)["ModelConfig"].fields}
    assert fields["backbone"].type == "BackboneConfig"


def test_an_override_of_an_unknown_field_is_an_error(reference: Reference) -> None:
    with pytest.raises(KeyError, match=r"DatasetConfig\.nonsense"):
        build_schema(reference.config, reference.schema_plan, {"DatasetConfig.nonsense": Override(value=1)})
