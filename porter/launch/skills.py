"""The files of a network's package for NVIDIA's skill bank, as bytes."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

import msgspec

from porter import __version__
from porter.launch import catalog, schema
from porter.launch.data import stem
from porter.launch.page import skill_page
from porter.records.catalog import CatalogEntry, DataPart, DataSource, Rule
from porter.records.skills import DeploySchema, SchemaAnswer, SkillSource

MANIFEST = "schemas/manifest.json"
MADE = "x_porter"
"""Key of the manifest under which porter keeps what it wrote, so that it knows its own work again."""

_SOURCES = {
    "train": "train_datasets",
    "eval": "eval_dataset",
    "inference": "inference_dataset",
    "calibration": "calibration_dataset",
}
_KEY_FALLBACK = "tlt_encode"
_CHECKPOINTS: dict[Rule, Literal["file", "folder"]] = {
    "parent_model": "file",
    "parent_model_folder": "folder",
    "resume_model": "file",
    "ptm_if_no_resume_model": "file",
}
"""Rules of keys that are given what lies somewhere, and what that is."""


def package(
    found: CatalogEntry, answer: SchemaAnswer, source: SkillSource, deploy: DeploySchema | None = None
) -> dict[str, bytes]:
    """Return the files of the package by path; equal arguments give equal bytes.

    Args:
        found: the network.
        answer: what the probe made of its dataclasses.
        source: where those come from.
        deploy: the same of tao-deploy; None where nobody looked, or the network has nothing there.
    """
    schemas = {action: schema.action_schema(answer, found, action, source) for action in found.actions}
    files: dict[str, bytes] = {}
    for action, made in schemas.items():
        files[f"schemas/{action}.schema.json"] = _json(made)
        files[f"references/{_template(action)}"] = _yaml(made["default"])
    if deploy is not None and deploy.answer is not None:
        for action in deploy_actions(found):
            template = schema.action_default(deploy.answer, found, action)
            files[f"references/{_template(f'deploy_{action}')}"] = _yaml(template)
    files["references/skill_info.yaml"] = _yaml(skill_info(found))
    files["SKILL.md"] = skill_page(found, schemas, answer.differences, source).encode()
    files[MANIFEST] = _json(_manifest(found, answer, source, schemas, files, deploy))
    return dict(sorted(files.items()))


def deploy_actions(found: CatalogEntry) -> tuple[str, ...]:
    """Return the actions that the deploy image runs: on engines, or building one."""
    return tuple(name for name, action in found.actions.items() if action.image == "deploy" or action.engine)


def skill_info(found: CatalogEntry) -> dict[str, Any]:
    """Return what a runner of NVIDIA's needs to know of the network beside its schemas."""
    keyed = any("key" in action.rules.values() for action in found.actions.values())
    return {
        "name": found.skill,
        "network_arch": found.name,
        "description": found.description,
        "automl_enabled": found.automl.enabled,
        "container_image": catalog.resolve(found, "train").image,
        "data_format": found.formats[0],
        "data_format_settings": found.by_format.get(found.formats[0], {}),
        "gpu_spec_key": found.launch.gpus,
        "actions": {name: _action(found, name) for name in found.actions},
        "data_sources": {name: _data_sources(found, name) for name in found.actions},
        "spec_params": {name: dict(action.rules) for name, action in found.actions.items()},
        "key_defaults": {"encryption_key": _KEY_FALLBACK} if keyed else {},
        "spec_shorthand_keys": dict(found.shorthands),
        "spec_templates": {name: _template(name) for name in found.actions},
    }


def _action(found: CatalogEntry, name: str) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    for source in _sources(found, name):
        for key, part in _inputs(source):
            inputs[key] = {"type": part.kind, "optional": not source.required}
    action = found.actions[name]
    # A runner brings what stands here, and hands on the URI of anything else as it is.
    for key, rule in action.rules.items():
        if rule in _CHECKPOINTS:
            needed = rule in ("parent_model", "parent_model_folder") and not action.engine
            inputs[key] = {"type": _CHECKPOINTS[rule], "optional": not needed}
    resolved = catalog.resolve(found, name)
    return {
        "command": resolved.command,
        "config_format": "yaml",
        "mode": "config",
        # The model's own image is the trainer's.
        **({"container_image": resolved.image} if resolved.kind == "deploy" else {}),
        "inputs": inputs,
        "outputs": {"results_dir": {"type": "folder"}},
    }


def _inputs(source: DataSource) -> list[tuple[str, DataPart]]:
    """Return spec keys, as the SDK writes them, that are given paths."""
    entry = f"{source.key}[0]" if source.list else source.key
    parts = {entry: source.value} if source.value else {}
    parts |= {f"{entry}.{name}": part for name, part in source.parts.items()}
    return [
        (f"{key}[0]" if part.list else key, part)
        for key, part in parts.items()
        if part is not None and part.kind != "format"
    ]


def _data_sources(found: CatalogEntry, action: str) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    for source in _sources(found, action):
        rule: dict[str, Any] = {"source": _SOURCES[source.origin], "list": source.list}
        if source.list:
            rule["multiple_sources"] = True
        if source.parts:
            rule["mapping"] = {name: _part(part) for name, part in source.parts.items()}
        elif source.value:
            rule |= _part(source.value)
        rules[source.key] = rule
    return rules


def _part(part: DataPart) -> dict[str, Any]:
    if part.kind == "format":
        return {"value_from": "dataset_format", "optional": True}
    described: dict[str, Any] = {"path": part.path, "runtime": stem(part.path), "type": part.kind}
    if part.list:
        described["list"] = True
    return described


def _sources(found: CatalogEntry, action: str) -> list[DataSource]:
    """Return what an action reads of datasets in the format of the package, the network's first."""
    used = found.formats[0]
    return [
        source
        for source in found.data
        if action in source.actions and (not source.formats or used in source.formats)
    ]


def _template(action: str) -> str:
    return f"spec_template_{action}.yaml"


def _manifest(
    found: CatalogEntry,
    answer: SchemaAnswer,
    source: SkillSource,
    schemas: dict[str, dict[str, Any]],
    files: dict[str, bytes],
    deploy: DeploySchema | None,
) -> dict[str, Any]:
    listed = ("automl_default_parameters", "automl_disabled_parameters", "popular")
    return {
        "schema_version": schema.VERSION,
        "model": found.skill,
        "network_arch": found.name,
        "automl_enabled": found.automl.enabled,
        "failures": [],
        "actions": {
            action: {
                "path": f"{action}.schema.json",
                "spec_template": f"../references/{_template(action)}",
                "core_module": made["x_tao_schema"]["core_module"],
                "schema_action": action,
                **{name: made[name] for name in listed},
            }
            for action, made in schemas.items()
        },
        MADE: {
            "version": __version__,
            "source": msgspec.to_builtins(source),
            "overlays": [msgspec.to_builtins(overlay) for overlay in found.automl.overlay],
            "differences": [msgspec.to_builtins(difference) for difference in answer.differences],
            **({"deploy": _deployed(found, deploy)} if deploy is not None else {}),
            "files": {name: digest(data) for name, data in sorted(files.items())},
        },
    }


def _deployed(found: CatalogEntry, deploy: DeploySchema) -> dict[str, Any]:
    """Return where the templates for tao-deploy come from, or why there are none."""
    if deploy.answer is None:
        return {"missing": deploy.missing}
    return {
        "source": msgspec.to_builtins(deploy.source),
        "spec_templates": {
            action: f"../references/{_template(f'deploy_{action}')}" for action in deploy_actions(found)
        },
        "differences": [msgspec.to_builtins(difference) for difference in deploy.answer.differences],
    }


def digest(data: bytes) -> str:
    """Return the SHA-256 of a file's bytes."""
    return hashlib.sha256(data).hexdigest()


def _json(value: Any) -> bytes:
    # Ranges without an end stand there as a bare Infinity, as in NVIDIA's own schemas.
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _yaml(value: Any) -> bytes:
    import yaml

    dumped: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110)
    return dumped.encode()
