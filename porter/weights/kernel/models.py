"""The two forms of the model: the Hugging Face one, and TAO's after TAO's own loaders."""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from porter.weights.kernel.queries import MASK_SIZES, semantic_scores
from porter.weights.kernel.serve import ProbeError

Outputs = dict[str, torch.Tensor]

_RESAMPLE = "interpolate_pos_encoding"
"""The argument by which most models of transformers are told to; the others always do."""


def import_name(path: str) -> Any:
    """Return the object that ``module:name`` names.

    Raises:
        ProbeError: the module or the name is not there.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ProbeError(
            f"{path} cannot be imported from the staged package",
            why=f"{type(error).__name__}: {error}",
            next_step="check the generated module and the environment's packages",
        ) from error


def enter_package(target: Mapping[str, Any]) -> None:
    """Put the staged package first on ``sys.path``."""
    root = str(Path(target["package_root"]))
    if root not in sys.path:
        sys.path.insert(0, root)


def experiment(target: Mapping[str, Any], overrides: Mapping[str, Any], work: Path) -> Any:
    """Return the experiment config: the schema's defaults, the spec, the request's overrides, *overrides*.

    Where the target names classes, ``dataset.root_dir`` becomes a folder in *work* with ``classes.txt``.

    Raises:
        ProbeError: the config class cannot be imported, or the spec does not fit it.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    enter_package(target)
    schema = import_name(target["config"])
    values = {"results_dir": str(work / "results"), **target["overrides"]}
    if target["classes"]:
        root = work / "dataset"
        root.mkdir(parents=True, exist_ok=True)
        (root / "classes.txt").write_text(
            "".join(f"{name}\n" for name in target["classes"]), encoding="utf-8"
        )
        values["dataset.root_dir"] = str(root)
    try:
        config = OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.load(target["spec"]))
        for key, value in {**values, **overrides}.items():
            OmegaConf.update(config, key, value, merge=True)
    except OmegaConfBaseException as error:
        raise ProbeError(
            f"{Path(target['spec']).name} does not fit the schema {target['config']}",
            why=str(error).splitlines()[0],
            next_step="compare the spec with the config dataclasses",
        ) from error
    return config


def build_tao(target: Mapping[str, Any], work: Path, checkpoint: str | None = None) -> torch.nn.Module:
    """Return the TAO module in eval mode, given *checkpoint* as its ``pretrained_backbone_path``."""
    overrides = {target["backbone_weights"]: checkpoint}
    config = experiment(target, overrides, work)
    module: torch.nn.Module = import_name(target["builder"])(config, export=False)
    return module.eval()


def load_tao(target: Mapping[str, Any], work: Path, checkpoint: str) -> torch.nn.Module:
    """Return the TAO module in eval mode, loaded by Lightning as evaluate, inference and export do.

    Raises:
        ProbeError: the request names no Lightning module.
    """
    if not target["pl_module"]:
        raise ProbeError("load_from_checkpoint needs the Lightning module", next_step="name pl_module")
    # The loader must not find the weights by the other way first.
    config = experiment(target, {target["backbone_weights"]: None}, work)
    kind = import_name(target["pl_module"])
    lightning = kind.load_from_checkpoint(checkpoint, map_location="cpu", experiment_spec=config)
    module: torch.nn.Module = lightning.model
    return module.eval()


def computed_tensors(
    plan: Mapping[str, Any], target: Mapping[str, Any] | None, work: Path
) -> dict[str, torch.Tensor]:
    """Return the buffers that the TAO module's class computes, of a module that was given no weights.

    Raises:
        ProbeError: there are some, and the request does not say how the module is built.
    """
    if not plan["computed"]:
        return {}
    if target is None:
        raise ProbeError("a plan with computed buffers needs the target", next_step="name the target")
    state = build_tao(target, work).state_dict()
    return {each["name"]: state[each["name"]].clone() for each in plan["computed"]}


def tao_by(way: str, target: Mapping[str, Any], work: Path, checkpoint: str) -> torch.nn.Module:
    """Return the TAO module loaded by *way* (``pretrained_backbone_path`` or ``load_from_checkpoint``)."""
    loader: Callable[..., torch.nn.Module] = build_tao if way == "pretrained_backbone_path" else load_tao
    return loader(target, work, checkpoint)


def load_hf(folder: Path, plan: Mapping[str, Any]) -> torch.nn.Module:
    """Return the Hugging Face model: float32, the plan's attention, eval mode.

    Where the plan resamples a position embedding, transformers does so itself whenever the model runs.

    Args:
        folder: config and safetensors files; nothing else of it is read.
        plan: the weight plan; a source without a head gets a random one, which nobody compares.

    Raises:
        ProbeError: transformers could not load it whole.
    """
    import transformers

    # The class by its name, as in phase 1: a model type may have one for each of several tasks.
    kind = getattr(transformers, plan["architecture"] or "AutoModelForImageClassification")
    model, report = kind.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        torch_dtype=torch.float32,
        attn_implementation=plan["attention"],
        output_loading_info=True,
    )
    # transformers leaves tensors where they lie in the mapped file; matrix kernels round differently on
    # memory that is aligned differently.
    for each in (*model.parameters(), *model.buffers()):
        each.data = each.data.clone()
    new = tuple(f"{head}." for head in heads_of(plan, "source")) if plan["head"] == "re-initialised" else ()
    missing = [name for name in report["missing_keys"] if not name.startswith(new)]
    if missing:
        raise ProbeError(
            "transformers did not find all tensors of the model in its files",
            why=f"missing: {', '.join(sorted(missing)[:5])}",
            next_step="save the model again with save_pretrained",
        )
    resamples = any(step["op"] == "interpolate" for step in plan["operations"])
    if resamples and _RESAMPLE in inspect.signature(model.forward).parameters:
        model.forward = functools.partial(model.forward, **{_RESAMPLE: True})
    loaded: torch.nn.Module = model.eval()
    return loaded


def copy_config(folder: Path, target: Path) -> None:
    """Copy the small JSON files of a model folder: what transformers needs beside the weights."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix == ".json" and not path.name.endswith(".index.json"):
            shutil.copyfile(path, target / path.name)


def use_eager_attention(module: torch.nn.Module) -> dict[torch.nn.Module, bool]:
    """Switch timm's fused attention off, as both sides must compute alike; return what stood there."""
    before = {each: bool(each.fused_attn) for each in module.modules() if hasattr(each, "fused_attn")}
    for each in before:
        each.fused_attn = False
    return before


def restore_attention(before: Mapping[torch.nn.Module, bool]) -> None:
    """Undo :func:`use_eager_attention`."""
    for each, fused in before.items():
        each.fused_attn = fused


def heads_of(plan: Mapping[str, Any], side: str) -> tuple[str, ...]:
    """Return the module names of the heads on *side*, ``source`` or ``target``."""
    return tuple(name for name in (plan[f"{side}_head"], *plan[f"{side}_twins"]) if name)


class Observed:
    """A model with its outputs named: ``logits``, and ``features`` (what its heads are given, in a row).

    A model without heads has no features. What a model calls otherwise, such as ``predicted_depth``, is its
    logits here; and so is what an image processor makes of the classes and masks of queries.
    """

    def __init__(self, module: torch.nn.Module, heads: Sequence[str], **more: Any) -> None:
        self.module = module
        model_type = getattr(getattr(module, "config", None), "model_type", "")
        self._mask_size = MASK_SIZES.get(model_type)
        self._more = more
        self._features: list[torch.Tensor] = []
        for head in heads:
            module.get_submodule(head).register_forward_pre_hook(self._note)

    def __call__(self, images: torch.Tensor) -> Outputs:
        """Run the images (N, C, H, W) one by one, so that batching cannot blur the comparison."""
        logits, features = [], []
        with torch.no_grad():
            for image in images.split(1):
                self._features.clear()
                result = self.module(image, **self._more)
                logits.append(result if isinstance(result, torch.Tensor) else scores(result, self._mask_size))
                if self._features:
                    # A second head may be given every token where the first is given their mean.
                    features.append(torch.cat([each.flatten(1) for each in self._features], dim=-1))
        outputs = {"logits": torch.cat(logits)}
        return {**outputs, "features": torch.cat(features)} if features else outputs

    def _note(self, module: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        self._features.append(given[0].detach().clone())


def scores(result: Any, mask_size: tuple[int, int] | None = None) -> torch.Tensor:
    """Return, of all that a model of transformers gives, what its task is about.

    Args:
        result: what the model gives.
        mask_size: see :func:`porter.weights.kernel.queries.semantic_scores`.
    """
    if "masks_queries_logits" in result:
        return semantic_scores(result, mask_size)
    found: torch.Tensor = next(result[name] for name in ("logits", "predicted_depth") if name in result)
    if "field_of_view" in result and result["field_of_view"] is not None:
        # The depth is that of a lens of one angle, and means nothing without the angle of the image.
        return found * 2 * torch.tan(0.5 * torch.deg2rad(result["field_of_view"]))[:, None, None]
    return found


def compared_outputs(plan: Mapping[str, Any], reference: Outputs) -> Outputs:
    """Return the reference's outputs that the TAO module must equal, its classes in the TAO order."""
    if plan["head"] == "re-initialised":
        return {"features": reference["features"]}
    outputs = copy.copy(reference)
    head = f"{plan['target_head']}."
    order = next(
        (
            each["index"]
            for each in plan["operations"]
            if each["op"] == "select" and each["target"]["name"].startswith(head)
        ),
        None,
    )
    if order:
        outputs["logits"] = reference["logits"][:, list(order)]
    return outputs
