"""Probe: build the Lightning module and look at how it would be trained.

Request: ``name``, ``prefix``, ``spec`` (path), ``overrides`` (dotlist), ``reference``, ``config_root``,
``generated`` (where the parts of the package lie).
Answer: ``model_class`` (dotted), ``built_class`` (dotted, what build_model returns), ``hooks`` (hook name
to the class that defines it), ``parameters``, ``trainable``, ``in_no_group``, ``in_two_groups``,
``frozen_in_group`` (names),
``trainable_when_frozen`` and ``head`` (names; of a model whose backbone is frozen),
``trainer`` and ``reference_trainer`` (argument reprs of the train
script with CUDA reported as available), ``tasks`` (evaluate, inference: same, against what
initialize_*_experiment returned).
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any
from unittest import mock


def build_config(request: dict[str, Any]) -> Any:
    """Return the spec merged into the schema, overrides last."""
    from omegaconf import OmegaConf

    schema = importlib.import_module(f"{request['config_root']}.{request['name']}.default_config")
    cfg = OmegaConf.merge(
        OmegaConf.structured(schema.ExperimentConfig),
        OmegaConf.load(request["spec"]),
        OmegaConf.from_dotlist(list(request["overrides"])),
    )
    OmegaConf.resolve(cfg)
    return cfg


def dotted(kind: type) -> str:
    """Return ``module.Class`` of a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_in(parameter: Any, module: Any) -> bool:
    return any(parameter is other for other in module.parameters())


def head_of(model: Any) -> Any:
    """Return what is trained where the backbone is frozen: a classifier, or a decoder."""
    return model.get_classifier() if hasattr(model, "get_classifier") else model.decoder


def look_at_module(request: dict[str, Any]) -> dict[str, Any]:
    """Build the module and its optimizer."""
    from omegaconf import OmegaConf

    package, generated = f"nvidia_tao_pytorch.cv.{request['name']}", request["generated"]
    cfg = build_config(request)
    pl = importlib.import_module(f"{package}.{generated['pl_module']}")
    builder = importlib.import_module(f"{package}.{generated['builder'].partition(':')[0]}")
    data = importlib.import_module(f"{package}.{generated['data_module']}")
    section = OmegaConf.select(cfg, generated["dataset"])
    getattr(data, f"{request['prefix']}DataModule")(section).setup(stage="fit")
    kind = getattr(pl, f"{request['prefix']}PlModel")
    module = kind(cfg)
    # A schedule may ask the trainer how long it will take.
    trainer = mock.MagicMock(estimated_stepping_batches=100)
    module.trainer = trainer
    if "policy" in cfg.train.optim:
        cfg.train.optim.policy = module.lr_policy = "linear"
    optimizer = module.configure_optimizers()["optimizer"]
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    trainable = {name: p for name, p in module.model.named_parameters() if p.requires_grad}
    names = {id(p): name for name, p in module.named_parameters()}
    return {
        **look_at_frozen(request, builder.build_model),
        "model_class": dotted(type(module.model)),
        "built_class": dotted(type(builder.build_model(cfg))),
        "hooks": {
            hook: next(dotted(base) for base in kind.__mro__ if hook in vars(base))
            for hook in request["hooks"]
        },
        "checkpoint_filename": module.checkpoint_filename,
        "parameters": sum(1 for _ in module.model.parameters()),
        "trainable": len(trainable),
        "in_no_group": sorted(n for n, p in trainable.items() if id(p) not in grouped),
        "in_two_groups": sorted({names[i] for i in grouped if grouped.count(i) > 1}),
        "frozen_in_group": sorted(
            n for n, p in module.named_parameters() if not p.requires_grad and id(p) in grouped
        ),
    }


def look_at_frozen(request: dict[str, Any], build_model: Any) -> dict[str, list[str]]:
    """Build the model with its backbone frozen, where the network can."""
    freeze = request["generated"]["freeze"]
    if not freeze:
        return {"trainable_when_frozen": [], "head": []}
    frozen = build_model(build_config({**request, "overrides": [*request["overrides"], f"{freeze}=true"]}))
    return {
        "trainable_when_frozen": sorted(n for n, p in frozen.named_parameters() if p.requires_grad),
        "head": sorted(n for n, p in frozen.named_parameters() if _is_in(p, head_of(frozen))),
    }


class _Recorder:
    """Stands where the Trainer stands; keeps its arguments."""

    arguments: dict[str, str]

    def __init__(self, **kwargs: Any) -> None:
        type(self).arguments = {key: _stable(value) for key, value in kwargs.items()}

    def fit(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    test = predict = fit


def _stable(value: Any) -> str:
    """Return a repr without addresses."""
    if isinstance(value, list) and value and not isinstance(value[0], int | str):
        return f"[{', '.join(type(item).__name__ for item in value)}]"
    return repr(value)


def train_arguments(request: dict[str, Any], package: str) -> dict[str, str]:
    """Return what a package's train script hands to the Trainer on a machine with GPUs."""
    import torch

    script = importlib.import_module(f"{package}.scripts.train")
    # Classes, or functions that make their objects.
    made = ("datamodule", "plmodel", "plmodule")
    stubs = {name: mock.MagicMock() for name in vars(script) if name.replace("_", "").lower().endswith(made)}
    with mock.patch.multiple(script, Trainer=_Recorder, **stubs), _gpus(torch):
        cfg = build_config(request)
        kwargs: dict[str, Any] = {}
        if "lightning_module" in script.run_experiment.__code__.co_varnames:
            kwargs["lightning_module"] = mock.MagicMock()
        script.run_experiment(cfg, None, **kwargs)
    return dict(_Recorder.arguments)


def task_arguments(request: dict[str, Any], mode: str) -> dict[str, dict[str, str]]:
    """Return the Trainer arguments of evaluate or inference, and those of TAO's initialiser."""
    import torch

    script = importlib.import_module(f"nvidia_tao_pytorch.cv.{request['name']}.scripts.{mode}")
    what = {"evaluate": "evaluation", "inference": "inference"}[mode]
    initialiser = f"initialize_{what}_experiment"
    seen: dict[str, Any] = {}
    original = getattr(script, initialiser)

    def keep(*args: Any, **kwargs: Any) -> Any:
        seen["result"] = original(*args, **kwargs)
        return seen["result"]

    stubs: dict[str, Any] = {name: mock.MagicMock() for name in vars(script) if name.endswith("DataModule")}
    stubs |= {"load_model": mock.MagicMock(), "Trainer": _Recorder, initialiser: keep}
    with mock.patch.multiple(script, **stubs), _gpus(torch):
        script.run_experiment(build_config(request), None)
    expected = {key: _stable(value) for key, value in seen["result"][1].items()}
    return {"trainer": dict(_Recorder.arguments), "expected": expected}


def _gpus(torch: Any) -> Any:
    os.environ["TAO_VISIBLE_DEVICES"] = "0,1"
    return mock.patch.object(torch.cuda, "is_available", return_value=True)


def main() -> None:
    """Answer the request."""
    request = json.loads(Path(sys.argv[1]).read_text())
    answer = look_at_module(request)
    answer["trainer"] = train_arguments(request, f"nvidia_tao_pytorch.cv.{request['name']}")
    from omegaconf.errors import OmegaConfBaseException

    try:
        answer["reference_trainer"] = train_arguments(request, request["reference"])
    except OmegaConfBaseException as error:
        # A release's scripts and the schemas that it is installed with may not belong together.
        answer |= {"reference_trainer": {}, "reference_error": str(error).splitlines()[0]}
    answer["tasks"] = {mode: task_arguments(request, mode) for mode in ("evaluate", "inference")}
    Path(sys.argv[2]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
