"""The catalog entry of a ported network, out of the facts of its port."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from porter.launch import catalog, ported
from porter.records.catalog import CatalogEntry, Metric
from porter.records.skills import SchemaAnswer
from tests.launch.fields import schema_of
from tests.launch.workspaces import CLASSIFIER_KEYS, classifier

FACTS = classifier()


@pytest.fixture
def entry() -> CatalogEntry:
    return ported.entry_of(FACTS, catalog.entry("classification_pyt"))


def test_it_is_a_network_of_its_own(entry: CatalogEntry) -> None:
    assert (entry.name, entry.task, entry.skill) == ("tiny_vit", "image-classification", "tao-train-tiny-vit")
    assert catalog.config_of(entry, "in-repo") == (
        "nvidia_tao_pytorch.config.tiny_vit.default_config:ExperimentConfig"
    )
    assert catalog.config_of(entry, "in-repo", "tao-deploy").startswith("nvidia_tao_deploy.config.tiny_vit.")
    assert catalog.config_of(entry, "core", "tao-deploy").startswith("nvidia_tao_core.config.tiny_vit.")
    assert entry.checkpoint == "tiny_vit_model_latest.pth"
    assert "org/tiny-vit" in entry.description
    assert entry.metric.key == "val_acc_1"
    assert not any("classification_pyt" in error.fix for error in entry.errors)


def test_it_has_the_actions_that_the_port_has_scripts_for(entry: CatalogEntry) -> None:
    assert set(entry.actions) == {"train", "evaluate", "inference", "export", "gen_trt_engine"}
    assert entry.actions["evaluate"].command == "tiny_vit evaluate -e {config_path}"
    assert entry.actions["evaluate"].engine == "evaluate.trt_engine"
    assert entry.actions["gen_trt_engine"].image == "deploy"
    assert not {"quantize", "distill"} & {action for source in entry.data for action in source.actions}
    # A calibration set is that of quantisation alone.
    assert all(source.origin != "calibration" for source in entry.data)


def test_without_tao_deploy_there_are_no_engines() -> None:
    facts = msgspec.structs.replace(FACTS, deployed=())
    found = ported.entry_of(facts, catalog.entry("classification_pyt"))
    assert set(found.actions) == {"train", "evaluate", "inference", "export"}
    assert not any(action.engine for action in found.actions.values())
    assert "evaluate.trt_engine" not in catalog.spec_keys(found)


def test_it_starts_from_the_converted_checkpoint_by_the_key_that_the_port_reads(entry: CatalogEntry) -> None:
    assert [(base.key, base.part, base.default) for base in entry.base] == [
        ("model.backbone.pretrained_backbone_path", "model", "/ports/tiny/tiny_vit.pth")
    ]
    # The reference reads this one too; the generated trainer of a classifier does not.
    assert "train.pretrained_model_path" not in entry.actions["train"].rules
    assert entry.actions["train"].rules["train.resume_training_checkpoint_path"] == "resume_model"


def test_weights_of_a_backbone_alone_have_their_own_key() -> None:
    facts = msgspec.structs.replace(FACTS, weights="train.pretrained_model_path")
    found = ported.entry_of(facts, catalog.entry("classification_pyt"))
    assert [(base.key, base.part, bool(base.default)) for base in found.base] == [
        ("train.pretrained_model_path", "model", True),
        ("model.backbone.pretrained_backbone_path", "backbone", False),
    ]
    assert found.actions["train"].rules["train.pretrained_model_path"] == "ptm_if_no_resume_model"


def test_the_folder_with_the_classes_file_is_named_too(entry: CatalogEntry) -> None:
    roots = {source.origin: source for source in entry.data if source.key == "dataset.root_dir"}
    assert roots["train"].actions == ("train", "export")
    assert roots["eval"].actions == ("evaluate", "inference")
    assert all(source.value and source.value.kind == "folder" for source in roots.values())
    files = {source.origin: source for source in entry.data if source.key == "dataset.classes_file"}
    assert {origin: source.actions for origin, source in files.items()} == {
        origin: source.actions for origin, source in roots.items()
    }


def test_any_number_of_classes_can_be_trained(entry: CatalogEntry) -> None:
    assert entry.by_format == {"classification_pyt": {"model.head.topk": [1]}}
    assert [asked.key for asked in entry.inputs] == ["dataset.num_classes"]
    assert "org/tiny-vit" in entry.inputs[0].reason


def test_what_takes_one_value_is_neither_asked_nor_has_a_short_name(entry: CatalogEntry) -> None:
    assert "backbone" not in entry.shorthands
    assert entry.shorthands["lr"] == "train.optim.lr"
    facts = msgspec.structs.replace(FACTS, fixed=("dataset.num_classes",))
    assert not ported.entry_of(facts, catalog.entry("classification_pyt")).inputs


def test_a_search_reaches_evaluation_with_what_changes_the_network(entry: CatalogEntry) -> None:
    assert entry.automl.enabled
    assert "model.head.dropout" in entry.automl.carried
    assert "train.optim.lr" not in entry.automl.carried
    facts = msgspec.structs.replace(FACTS, searched=())
    assert not ported.entry_of(facts, catalog.entry("classification_pyt")).automl.enabled


def test_formats_are_those_that_the_shipped_spec_names() -> None:
    reference = catalog.entry("depth_net")
    spec = {"dataset": {"train_dataset": {"data_sources": [{"dataset_name": "Mono", "data_file": "???"}]}}}
    assert ported.formats_of(spec, reference) == ("Mono",)
    assert ported.formats_of({"dataset": {"train_dataset": None}}, reference) == ()
    assert ported.formats_of({}, catalog.entry("segformer")) == ()
    facts = msgspec.structs.replace(FACTS, formats=("Mono",), cautious={})
    assert ported.entry_of(facts, reference).formats == ("Mono",)


@pytest.mark.parametrize("reference", ["classification_pyt", "segformer", "depth_net"])
@pytest.mark.parametrize("lost", [*CLASSIFIER_KEYS, ""])
def test_it_names_no_key_that_the_schema_lacks_but_those_it_cannot_do_without(
    reference: str, lost: str
) -> None:
    keys = tuple(key for key in CLASSIFIER_KEYS if key != lost)
    facts = msgspec.structs.replace(FACTS, keys=keys, searched=())
    found = ported.entry_of(facts, catalog.entry(reference))
    needed = {"train.num_gpus", "train.gpu_ids", "train.num_nodes", facts.weights}
    assert set(ported.missing_keys(found, facts)) == needed & {lost}


def test_it_is_read_as_it_was_written(entry: CatalogEntry, tmp_path: Path) -> None:
    path = tmp_path / "catalog" / "tiny_vit.toml"
    catalog.write(path, entry)
    assert catalog.read(path) == entry
    assert not list(path.parent.glob(".*"))


@pytest.mark.parametrize("name", catalog.names())
def test_every_entry_of_porters_own_could_be_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.toml"
    catalog.write(path, catalog.entry(name))
    assert catalog.read(path) == catalog.entry(name)


def test_metrics_are_held_against_what_the_ports_own_runs_wrote() -> None:
    metric = Metric(key="val_miou", direction="maximize", evaluate="test_miou")
    assert ported.missing_metrics(metric, {"val_miou"}, {"test_miou"}) == ()
    assert ported.missing_metrics(metric, {"val_acc"}, {"val_miou"}) == (
        "val_miou (training)",
        "test_miou (evaluation)",
    )
    assert ported.missing_metrics(metric, (), ()) == ()


def test_fixed_and_searched_fields_are_read_out_of_the_schema() -> None:
    answer = schema_of(
        {
            "model.type": {"type": "categorical", "default": "a", "enum": ["a"]},
            "model.other": {"type": "categorical", "default": "a", "enum": ["a", "b"]},
            "train.optim.lr": {"type": "float", "default": 1e-3},
        }
    )
    assert ported.fixed_keys(answer) == ("model.type",)
    assert ported.searched_keys(answer) == ("train.optim.lr",)
    bare = SchemaAnswer(schema=json.dumps({"properties": {"popular": ["lr"]}}))
    assert (ported.fixed_keys(bare), ported.searched_keys(bare)) == ((), ())
