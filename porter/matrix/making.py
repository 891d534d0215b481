"""Makes the models that a list describes, several in one process of the sandbox."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from porter.atomic import write_atomic
from porter.errors import PorterError
from porter.records.base import Record, digest, from_json, to_json
from porter.records.matrix import MatrixEntry, TimmToMake
from porter.records.probes import MadeModels, MakeModel, MakeModels, ModelOrProblem
from porter.records.sandbox import Environment, Mount
from porter.sandbox.base import run_probe
from porter.sandbox.host import HostSandbox

ENVIRONMENT = "tao-pytorch-7.0.1"
"""Requirement set whose transformers and timm build the models."""

_SEED = 2026
_AT_ONCE = 16
_KERNEL = Path(__file__).resolve().parents[1] / "weights" / "kernel" / "fresh.py"
_TIMM_CLASS = "TimmWrapperForImageClassification"
_PRETRAINED: dict[str, Any] = {
    "crop_mode": "center",
    "crop_pct": 0.9,
    "fixed_input_size": False,
    "input_size": [3, 64, 64],
    "interpolation": "bicubic",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}


class Made(Record, frozen=True, kw_only=True):
    """The record beside a made model: what it was made from, and how that ended."""

    inputs: str
    outcome: ModelOrProblem


def is_made_here(entry: MatrixEntry) -> bool:
    """Return whether the row's model is made and not given."""
    return entry.model is not None or entry.timm is not None


def request_of(entry: MatrixEntry, folder: Path) -> MakeModel:
    """Return what the probe is asked for, to make the model of a row in *folder*; pure."""
    if entry.timm is not None:
        return _timm_request(entry.timm, folder)
    model = entry.model
    if model is None:
        raise ValueError(f"row {entry.name} has a model already")
    processor = model.processor if isinstance(model.processor, dict) else {}
    size = _fed(processor) if model.calibrate else None
    channels = model.config.get("num_channels", 3)
    return MakeModel(
        folder=str(folder),
        architecture=model.architecture,
        config=model.config,
        processor=processor,
        labels=model.labels,
        seed=_SEED,
        shard_bytes=model.shard_bytes,
        dtype=model.dtype,
        calibrate=(channels, *size) if size else None,
    )


def _timm_request(timm: TimmToMake, folder: Path) -> MakeModel:
    pretrained = {**_PRETRAINED, **timm.pretrained, "num_classes": len(timm.labels)}
    config = {"architecture": timm.architecture, "pretrained_cfg": pretrained}
    channels, height, width = pretrained["input_size"]
    return MakeModel(
        folder=str(folder),
        architecture=_TIMM_CLASS,
        config={**config, "model_args": timm.arguments} if timm.arguments else config,
        labels=timm.labels,
        seed=_SEED,
        calibrate=(channels, height, width),
        as_timm=True,
    )


def _fed(processor: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return (height, width) of what a processor hands to its model; None where it does not say."""
    crop = processor.get("crop_size") if processor.get("do_center_crop", True) else None
    for size in (crop, processor.get("size")):
        if isinstance(size, int):
            return size, size
        if isinstance(size, dict):
            edge = size.get("shortest_edge")
            height, width = size.get("height", edge), size.get("width", edge)
            if isinstance(height, int) and isinstance(width, int):
                return height, width
    return None


def inputs_of(entry: MatrixEntry, environment: str) -> str:
    """Return the digest of what a made model depends on.

    Args:
        entry: its row.
        environment: digest of the environment that makes it.
    """
    request = msgspec.structs.replace(request_of(entry, Path()), folder="")
    return digest([request, environment, _KERNEL.read_text(encoding="utf-8")])


def outcome(entry: MatrixEntry, folder: Path, environment: str) -> ModelOrProblem | None:
    """Return how the making of a row's model into ``<folder>/<name>`` ended; None where it has to be made."""
    try:
        made = from_json((folder / f"{entry.name}.json").read_bytes(), Made)
    except (OSError, msgspec.MsgspecError):
        return None
    there = made.outcome.problem or (folder / entry.name).is_dir()
    return made.outcome if made.inputs == inputs_of(entry, environment) and there else None


def make_models(
    entries: Sequence[MatrixEntry],
    folder: Path,
    environment: Environment,
    progress: Callable[[str], None] = lambda _line: None,
) -> None:
    """Make the models of *entries* into *folder*, each under the name of its row; those that are there stay.

    A model that cannot be made, and one whose making ends the process, has the reason in its record.
    """
    missing = [entry for entry in entries if outcome(entry, folder, environment.digest) is None]
    for start in range(0, len(missing), _AT_ONCE):
        progress(f"making {', '.join(entry.name for entry in missing[start : start + _AT_ONCE])}")
        _make_batch(missing[start : start + _AT_ONCE], folder, environment)


def _make_batch(entries: Sequence[MatrixEntry], folder: Path, environment: Environment) -> None:
    work = folder / ".making"
    shutil.rmtree(work, ignore_errors=True)
    (work / "out").mkdir(parents=True)
    request = MakeModels(models=tuple(request_of(entry, work / "out" / entry.name) for entry in entries))
    try:
        answer = run_probe(
            HostSandbox(environment, work / "runs"),
            "make_models",
            request,
            MadeModels,
            mounts=(Mount(path=str(work / "out"), writable=True),),
        ).models
    except PorterError as error:
        if len(entries) > 1:
            # One of them took the process down: which one shows when each has its own.
            for entry in entries:
                _make_batch([entry], folder, environment)
            return
        lines = [line for line in error.why.splitlines() if line.strip()]
        answer = (ModelOrProblem(problem=f"{error.what}: {lines[-1]}" if lines else error.what),)
    for entry, outcome in zip(entries, answer, strict=True):
        _keep(entry, outcome, work / "out" / entry.name, folder, environment)
    shutil.rmtree(work, ignore_errors=True)


def _keep(
    entry: MatrixEntry, outcome: ModelOrProblem, made: Path, folder: Path, environment: Environment
) -> None:
    record, place = folder / f"{entry.name}.json", folder / entry.name
    record.unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    if outcome.made is not None:
        made.rename(place)
    write_atomic(record, to_json(Made(inputs=inputs_of(entry, environment.digest), outcome=outcome)))
