"""What specs say: keys and fields, image size, batch size, and the files that they hand on."""

from __future__ import annotations

from typing import Any

from porter.gates.consistency import source
from porter.gates.consistency.verdict import (
    config_path,
    deploy_spec_path,
    deploy_specs,
    schemas,
    specs,
    stated,
    train_spec,
    train_spec_path,
    unlike,
    verdict,
)
from porter.records.consistency import ConsistencyFacts, SpecFacts
from porter.records.gates import GateResult

_CALIBRATION = ("gen_trt_engine.tensorrt.calibration.cal_image_dir",)
_CALIBRATION_FILES = (*_CALIBRATION, "gen_trt_engine.tensorrt.calibration.cal_cache_file")
_CHECKPOINT = "checkpoint"
_SPEC_FOLDERS = ("experiment_specs", "specs")


def spec_keys(facts: ConsistencyFacts) -> GateResult:
    """Hold every key of every shipped spec to the schema, and ``???`` to what only the user knows."""
    shipped = specs(facts)
    # Keys that only the user can give a value.
    users = ("results_dir", *facts.keys.data)
    problems: list[str] = []
    for path, spec in shipped.items():
        problems += [f"{path}: {key} is no field of the schema" for key in spec.unknown]
        problems += [f"{path}: {f'{key}: ' if key else ''}{why}" for key, why in spec.problems.items()]
        problems += [
            f"{path}: {key} is ???, but only {', '.join(users)} are the user's to set"
            for key in spec.required
            if key not in (*users, *_CALIBRATION_FILES)
        ]
        problems += [
            f"{path}: {key} is set, but only the user can know it: it has to be ???"
            for key in users
            if key in spec.keys and key not in spec.required and key not in facts.settings
        ]
        problems += [
            f"{path}: {key} is required by the schema, and the spec does not set it"
            for key in spec.unset
            if _needed(path, key, spec)
        ]
    problems += _missing_specs(facts)
    counts = {path: len(spec.keys) for path, spec in shipped.items()}
    required = {path: list(spec.required) for path, spec in shipped.items()}
    said = f"{sum(counts.values())} keys of {len(counts)} specs are fields; ??? are the user's alone"
    return verdict("consistency-spec-keys", facts, problems, said, keys=counts, required=required)


def _needed(path: str, key: str, spec: SpecFacts) -> bool:
    """Say whether a spec has to set a field: its own sections, without what is for INT8 or for torch."""
    if key in _CALIBRATION_FILES:
        return str(spec.values.get("gen_trt_engine.tensorrt.data_type")).upper() == "INT8"
    if "/experiment_specs/" in path:
        return True
    section, _, last = key.partition(".")
    return section == path.rpartition("/")[2].removesuffix(".yaml") and last != _CHECKPOINT


def _missing_specs(facts: ConsistencyFacts) -> list[str]:
    """Return the scripts whose hydra_runner names a spec that is not there."""
    problems = []
    for repo in facts.repos:
        files = facts.files.get(repo, {})
        for path, tree in source.trees(files):
            for call in source.calls(tree, "hydra_runner"):
                name = source.literal(source.keyword(call, "config_name"))
                package = path.partition("/scripts/")[0]
                candidates = [f"{package}/{folder}/{name}.yaml" for folder in _SPEC_FOLDERS]
                if not any(candidate in files for candidate in candidates):
                    problems.append(f"{path}: hydra_runner starts from {name!r}, a spec that is not there")
    return problems


def image_size(facts: ConsistencyFacts) -> GateResult:
    """Hold height and width of the export, and its channels, to the size that the model is trained with."""
    own = train_spec_path(facts.name)
    values = train_spec(facts).values
    section, pairs = facts.keys.section, facts.keys.size
    problems: list[str] = []
    evidence: dict[str, Any] = {}
    if pairs:
        keys = dict.fromkeys(("height", "width"), pairs[0])
        both = values.get(pairs[0]) or ["no value"] * 2
        expected = dict(zip(keys, both, strict=True))
        for pair in pairs:
            found = stated(facts, pair)
            evidence |= found
            problems += unlike(found, both, f"{own}: {pairs[0]}")
    else:
        # Images that are no squares have keys of their own, in every spec and schema.
        square = f"{section}.img_height" not in values
        keys = {side: f"{section}.img_{'size' if square else side}" for side in ("height", "width")}
        expected = {side: values.get(key, "no value") for side, key in keys.items()}
    for side, key in keys.items():
        for each in (f"export.input_{side}",) if pairs else (key, f"export.input_{side}"):
            found = stated(facts, each)
            evidence |= found
            problems += unlike(found, expected[side], f"{own}: {key}")
    channels = values.get("export.input_channel")
    onnx = _exported(facts)
    for name, shape in (onnx.inputs if onnx else {}).items():
        evidence[f"exported ONNX: {name}"] = list(shape)
        # With bounds for height and width the engine takes images of several sizes, and so has the graph.
        if values.get("gen_trt_engine.min_height") is None:
            problems += unlike(
                {f"exported ONNX: {name} (height, width)": tuple(shape[-2:])}, tuple(expected.values()), own
            )
        if channels is not None:
            problems += unlike({f"exported ONNX: {name} (channels)": shape[-3]}, channels, own)
    said = f"{expected['height']} x {expected['width']} in {len(evidence)} places"
    return verdict("consistency-image-size", facts, list(dict.fromkeys(problems)), said, stated=evidence)


def batch(facts: ConsistencyFacts) -> GateResult:
    """Hold the batch sizes to the first axis: -1 where it is free, its length where it is not."""
    own = train_spec_path(facts.name)
    exported = train_spec(facts).values.get("export.batch_size", "no value")
    profiles = {own: train_spec(facts)}
    tasks = deploy_specs(facts)
    if tasks:
        profiles[deploy_spec_path(facts.name, "gen_trt_engine")] = tasks["gen_trt_engine"]
    engines = {
        f"{path}: gen_trt_engine.batch_size": spec.values.get("gen_trt_engine.batch_size", "no value")
        for path, spec in profiles.items()
    }
    problems = unlike(engines, exported, f"{own}: export.batch_size")
    for repo, schema in schemas(facts).items():
        where = config_path(repo, facts)
        defaults = {
            key: schema.fields[key].default if key in schema.fields else "no such field"
            for key in ("export.batch_size", "gen_trt_engine.batch_size")
        }
        problems += unlike(
            {f"{where}: gen_trt_engine.batch_size": defaults["gen_trt_engine.batch_size"]},
            defaults["export.batch_size"],
            f"{where}: export.batch_size",
        )
    bounds = {path: _profile(spec) for path, spec in profiles.items()}
    problems += [
        f"{path}: gen_trt_engine.tensorrt min, opt and max_batch_size are {list(profile)}: "
        "they have to rise from 1 or more"
        for path, profile in bounds.items()
        if not _rises(profile)
    ]
    problems += _free_axis(facts, exported)
    problems += _too_large(facts, exported)
    said = f"{exported} in {1 + len(engines)} places; profiles {_span(bounds)}"
    return verdict(
        "consistency-batch",
        facts,
        problems,
        said,
        export=exported,
        engine=engines,
        profiles={path: list(profile) for path, profile in bounds.items()},
    )


def _profile(spec: SpecFacts) -> tuple[Any, ...]:
    return tuple(
        spec.values.get(f"gen_trt_engine.tensorrt.{name}_batch_size") for name in ("min", "opt", "max")
    )


def _rises(profile: tuple[Any, ...]) -> bool:
    numbers = [size for size in profile if isinstance(size, int)]
    return len(numbers) == 3 and numbers[0] >= 1 and numbers == sorted(numbers)


def _span(bounds: dict[str, tuple[Any, ...]]) -> str:
    return ", ".join(sorted({"-".join(map(str, profile)) for profile in bounds.values()}))


def _too_large(facts: ConsistencyFacts, exported: Any) -> list[str]:
    """Return the tasks whose batches the engine of the shipped spec does not take."""
    tasks = deploy_specs(facts)
    if not tasks:
        return []
    profile = _profile(tasks["gen_trt_engine"]) if exported == -1 else (exported,) * 3
    if not _rises(profile):
        return []
    smallest, _, largest = profile
    problems = []
    for task in ("inference", "evaluate"):
        values = tasks[task].values
        size = values.get(f"{task}.batch_size", -1)
        key = f"{facts.keys.section}.batch_size" if size == -1 else f"{task}.batch_size"
        size = values.get(key)
        if not isinstance(size, int) or not smallest <= size <= largest:
            where = deploy_spec_path(facts.name, task)
            problems.append(f"{where}: {key} is {size!r}, the engine takes {smallest} to {largest}")
    return problems


def _free_axis(facts: ConsistencyFacts, exported: Any) -> list[str]:
    """Compare the first axis of the exported file with what its run asked for."""
    onnx = _exported(facts)
    if onnx is None:
        return []
    # The runs of phase 3 put a batch size of the user's aside, to prove several.
    asked = -1 if "export.batch_size" in facts.settings else exported
    problems = []
    for name, shape in {**onnx.inputs, **onnx.outputs}.items():
        axis = shape[0] if shape else "no axis"
        free = isinstance(axis, str)
        if free != (asked == -1) or (not free and axis != asked):
            problems.append(f"exported ONNX: axis 0 of {name} is {axis!r}, export.batch_size is {asked!r}")
    return problems


def _exported(facts: ConsistencyFacts) -> Any:
    schema = facts.schemas.get("tao-pytorch")
    return schema.onnx if schema else None


def onnx_file(facts: ConsistencyFacts) -> GateResult:
    """Follow the files from step to step, every spec with the same results_dir."""
    own = train_spec_path(facts.name)
    values = train_spec(facts).values
    written = values.get("export.onnx_file", "no value")
    engine = values.get("gen_trt_engine.trt_engine", "no value")
    read = {f"{own}: gen_trt_engine.onnx_file": values.get("gen_trt_engine.onnx_file", "no value")}
    engines: dict[str, Any] = {}
    for task, spec in deploy_specs(facts).items():
        path = deploy_spec_path(facts.name, task)
        if task == "gen_trt_engine":
            read[f"{path}: {task}.onnx_file"] = spec.values.get(f"{task}.onnx_file", "no value")
        engines[f"{path}: {task}.trt_engine"] = spec.values.get(f"{task}.trt_engine", "no value")
    problems = unlike(read, written, f"{own}: export.onnx_file")
    problems += unlike(engines, engine, f"{own}: gen_trt_engine.trt_engine")
    problems += _resolved_late(facts)
    said = f"{written} -> {engine} in {len(read) + len(engines)} places"
    return verdict(
        "consistency-onnx-file", facts, problems, said, onnx_file={own: written, **read}, trt_engine=engines
    )


def _resolved_late(facts: ConsistencyFacts) -> list[str]:
    """Return the scripts that would resolve ``results_dir`` only after the task's name is appended to it."""
    problems = []
    for repo in facts.repos:
        for path, tree in source.trees(facts.files.get(repo, {})):
            main = source.function(tree, "main")
            names = source.decorators(main) if main else []
            if "monitor_status" not in names:
                continue
            before = names[: names.index("monitor_status")]
            if "resolve_spec" not in before:
                problems.append(
                    f"{path}: main has decorators {', '.join(names)}; resolve_spec has to stand before "
                    "monitor_status, which changes results_dir"
                )
    return problems
