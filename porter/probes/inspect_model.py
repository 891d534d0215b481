"""Builds a Hugging Face model, looks at its state, and tries whether ONNX can express it.

Request: ``porter.records.probes.InspectModel``; answer: ``porter.records.inspection.ModelProbe``.
"""

from __future__ import annotations

import contextlib
import ctypes
import inspect
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

if TYPE_CHECKING:
    import torch

DTYPES = {
    "torch.bfloat16": "BF16",
    "torch.bool": "BOOL",
    "torch.complex64": "C64",
    "torch.float16": "F16",
    "torch.float32": "F32",
    "torch.float64": "F64",
    "torch.float8_e4m3fn": "F8_E4M3",
    "torch.float8_e5m2": "F8_E5M2",
    "torch.int16": "I16",
    "torch.int32": "I32",
    "torch.int64": "I64",
    "torch.int8": "I8",
    "torch.uint8": "U8",
}
REWRITES = {
    "_upsample_bicubic2d_aa": "compute the resized position embedding once, at the size that is exported",
    "adaptive_avg_pool2d": "replace the pooling by two constant averaging matrices",
    "col2im": "replace fold by reshape and permute, or export with opset 18",
    "Split": "split the batch into a number of parts, and not into parts of a traced size",
    "grid_sampler": "cast the sampling grid to the type of the image",
    "GridSample": "cast the sampling grid to the type of the image",
}
"""What helps against an operator; seen on real models."""


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Answer the request."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    import transformers

    from porter.weights.kernel import timm_models
    from porter.weights.kernel.serve import ProbeError

    torch.set_num_threads(request["threads"])
    torch.set_grad_enabled(False)
    model, loading = build(request["folder"], request["architecture"])
    inputs = images(2, request["channels"], request["image_size"], request["seed"])
    try:
        outputs = dict(tensors(model(pixel_values=inputs[:1])))
    except Exception as error:
        raise ProbeError(
            f"{request['architecture']} does not run on an image of {tuple(inputs.shape[1:])}",
            why=first_line(error),
            next_step="check image_size and num_channels in config.json",
        ) from error
    attempts, worst = exports(wrap(model), inputs, request)
    top = head(model, inputs) if request["head"] else None
    timm = timm_models.held(model) is not None
    return {
        "transformers": transformers.__version__,
        "state": state(model),
        "missing": sorted(loading["missing_keys"]),
        "unexpected": sorted(loading["unexpected_keys"]),
        "tied": tied(model),
        "head": top,
        "output_shapes": {name: list(tensor.shape) for name, tensor in outputs.items()},
        "exports": attempts,
        "max_relative_error": worst,
        "stages": timm_models.stages(model)
        if timm
        else stages(model, inputs[:1], top["tensors"] if top else []),
        "maps": timm_models.maps(model, inputs[:1]) if timm else maps(model, inputs[:1]),
        "interpolates": interpolates(model, request["channels"]),
        "queries": queries(model, outputs),
        **(
            {}
            if request["head"]
            else {"body": body_of(model, outputs), "class_tensors": class_tensors(model)}
        ),
    }


def build(folder: str, architecture: str) -> tuple[Any, dict[str, Any]]:
    """Return the model in float32 with eager attention, and what ``from_pretrained`` reported.

    Raises:
        ProbeError: this transformers lacks the class, or the files do not make one.
    """
    import torch
    import transformers

    from porter.weights.kernel.serve import ProbeError

    model_class: Any = getattr(transformers, architecture, None)
    if not is_model_class(model_class):
        raise ProbeError(
            f"transformers {transformers.__version__} has no model class {architecture}",
            next_step="correct architectures in config.json",
        )
    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        model, loading = model_class.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation="eager",
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:
        raise ProbeError(
            f"{architecture} cannot be built from its files",
            why=first_line(error),
            next_step="check that config.json and the weights belong together",
        ) from error
    return model.eval(), loading


def is_model_class(value: object) -> bool:
    """Return whether *value* is a model class of transformers."""
    import transformers

    return isinstance(value, type) and issubclass(value, transformers.PreTrainedModel)


def images(count: int, channels: int, size: Sequence[int], seed: int) -> torch.Tensor:
    """Return *count* different inputs of the spread that normalised images have."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, *size, generator=generator)


def tensors(value: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors in a model's output with dotted names, in order."""
    import torch

    if isinstance(value, torch.Tensor):
        yield name or "output", value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from tensors(part, f"{name}.{key}".strip("."))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from tensors(part, f"{name}.{index}".strip("."))


def state(model: Any) -> list[dict[str, Any]]:
    """Return the state dict's tensors, sorted by name."""
    buffers = {name for name, _ in model.named_buffers(remove_duplicate=False)}
    return [
        {
            "name": name,
            "shape": list(tensor.shape),
            "dtype": DTYPES.get(str(tensor.dtype), str(tensor.dtype)),
            "buffer": name in buffers,
        }
        for name, tensor in sorted(model.state_dict().items())
    ]


def tied(model: Any) -> list[list[str]]:
    """Return the groups of names in the state dict that share storage."""
    groups: dict[int, list[str]] = {}
    for name, tensor in sorted(model.state_dict().items()):
        if tensor.numel():
            groups.setdefault(tensor.untyped_storage().data_ptr(), []).append(name)
    return sorted(names for names in groups.values() if len(names) > 1)


def head(model: Any, images: torch.Tensor) -> dict[str, Any] | None:
    """Return the classification head as ``HeadFacts`` has it; None for a model without logits.

    Args:
        model: built.
        images: at least two different ones.
    """
    from porter.weights.kernel import timm_models
    from porter.weights.kernel.heads import find_head

    count = getattr(model.config, "num_labels", 0)
    if timm_models.held(model) is not None:
        return timm_models.head(model, count)

    def run(pixel_values: torch.Tensor) -> Any:
        return dict(tensors(model(pixel_values=pixel_values))).get("logits")

    if run(images[:1]) is None:
        return None
    return find_head(model, run, images, count)


def body_of(model: Any, outputs: Mapping[str, torch.Tensor]) -> str:
    """Return the path of the child that holds most of the weights, or of the backbone below queries."""
    from transformers.utils.backbone_utils import BackboneMixin

    backbones = [name for name, module in model.named_modules() if isinstance(module, BackboneMixin)]
    if backbones and "masks_queries_logits" in outputs:
        # Its one large child is the whole network but for the layer of the classes.
        return str(backbones[0])
    sizes = {name: sum(each.numel() for each in child.parameters()) for name, child in model.named_children()}
    return max(sizes, key=lambda name: sizes[name], default="")


def queries(model: Any, outputs: Mapping[str, torch.Tensor]) -> dict[str, Any] | None:
    """Return how scores come of the model's queries, as ``QueryFacts`` has it; None where nobody knows."""
    from porter.weights.kernel.queries import MASK_SIZES

    model_type = model.config.model_type
    if "masks_queries_logits" not in outputs or model_type not in MASK_SIZES:
        return None
    return {"mask_size": MASK_SIZES[model_type]}


def class_tensors(model: Any) -> list[str]:
    """Return the tensors whose size follows the number of classes: another number is built, and compared."""
    import copy

    import torch

    config = copy.deepcopy(model.config)
    config.num_labels = config.num_labels + 1
    with torch.device("meta"):
        other = type(model)(config).state_dict()
    return sorted(
        name
        for name, tensor in model.state_dict().items()
        if name in other and other[name].shape != tensor.shape
    )


def stages(model: Any, pixel_values: torch.Tensor, head_tensors: Sequence[str]) -> list[str]:
    """Return the paths of the modules that can be frozen in turn: what runs before the layers, each layer.

    The layers are the list of modules outside of the head that holds most of the weights.
    """
    import torch

    from porter.weights.kernel.heads import body

    bodies = body(model, head_tensors)
    lists = [
        (sum(each.numel() for each in module.parameters()), name, len(module))
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList)
        and any(f"{name}.".startswith(f"{part}.") for part in bodies)
        and len(module)
    ]
    if not lists:
        return bodies
    # The first of the largest is the outermost.
    _, layers, count = max(lists, key=lambda each: each[0])
    began: list[str] = []

    def remember(name: str) -> Any:
        return lambda _module, _inputs: began.append(name)

    hooks = [module.register_forward_pre_hook(remember(name)) for name, module in model.named_modules()]
    try:
        model(pixel_values=pixel_values)
    finally:
        for hook in hooks:
            hook.remove()
    first = next((place for place, name in enumerate(began) if name.startswith(f"{layers}.")), 0)
    # A module that the list lies in is no stage of its own; neither is a part of one that is.
    before = [name for name in dict.fromkeys(began[:first]) if name and not layers.startswith(f"{name}.")]
    stem = [name for name in before if not any(name.startswith(f"{other}.") for other in before)]
    held = [name for name in stem if any(True for _ in model.get_submodule(name).parameters())]
    return [*held, *(f"{layers}.{place}" for place in range(count))]


def maps(model: Any, pixel_values: torch.Tensor) -> str:
    """Return the output that holds feature maps (B, C, H, W) of the model's layers; empty for none."""
    try:
        outputs = model(pixel_values=pixel_values, output_hidden_states=True)
    except Exception:
        return ""
    for name in ("reshaped_hidden_states", "hidden_states"):
        found = getattr(outputs, name, None) or ()
        if found and all(each.ndim == 4 and _alike(each.shape, pixel_values.shape) for each in found):
            return name
    return ""


def interpolates(model: Any, channels: int) -> list[int] | None:
    """Return the (height, width) of a position embedding that fits other sizes on demand; None for none.

    It is tried: some classes take every embedding for one of a square.
    """
    if "interpolate_pos_encoding" not in inspect.signature(model.forward).parameters:
        return None
    config = getattr(model.config, "vision_config", model.config)
    size, patch = _pair(getattr(config, "image_size", None)), _pair(getattr(config, "patch_size", None))
    if size is None or patch is None:
        return None
    larger = images(1, channels, [2 * one + other for one, other in zip(patch, size, strict=True)], 0)
    try:
        model(pixel_values=larger, interpolate_pos_encoding=True)
    except (RuntimeError, ValueError):
        return None
    return size


def _pair(value: Any) -> list[int] | None:
    if isinstance(value, int):
        return [value, value]
    return [*value] if isinstance(value, list | tuple) and len(value) == 2 else None


def _alike(one: Sequence[int], other: Sequence[int]) -> bool:
    """Return whether the last two sizes are in one ratio; those of channels last are not."""
    return abs(one[-2] * other[-1] - one[-1] * other[-2]) < min(other[-2:])


def wrap(model: Any) -> Any:
    """Return a module that takes pixel values by position and returns a tuple of tensors."""
    import torch

    class Wrapped(torch.nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(tensor for _, tensor in tensors(self.model(pixel_values=pixel_values)))

    return Wrapped().eval()


def exports(
    wrapped: Any, inputs: torch.Tensor, request: dict[str, Any]
) -> tuple[list[dict[str, Any]], float | None]:
    """Try to export until one way works; returns the attempts and the error of the one that did."""
    first, *later = request["opsets"]
    ways = [("legacy", first, "sdpa")] if getattr(wrapped.model, "_supports_sdpa", False) else []
    ways += [("legacy", opset, "eager") for opset in (first, *later)]
    ways += [("dynamo", max(18, *request["opsets"]), "eager")] if request["dynamo"] else []
    attempts: list[dict[str, Any]] = []
    for exporter, opset, attention in ways:
        if use_attention(wrapped.model, attention) != attention:
            continue
        attempt = {"exporter": exporter, "opset": opset, "attention": attention}
        outcome, worst = export(wrapped, inputs, exporter, opset, request["tolerance"], request["threads"])
        attempts.append({**attempt, **outcome})
        if outcome["ok"]:
            return attempts, worst
    return attempts, None


def use_attention(model: Any, name: str) -> str:
    """Switch the attention implementation where the model can, and return the one that is in use."""
    if getattr(model.config, "_attn_implementation", name) != name:
        try:
            model.set_attn_implementation(name)
        except ValueError:
            # A part of the model may have less than the model says of itself.
            model.set_attn_implementation("eager")
    return str(getattr(model.config, "_attn_implementation", name))


def export(
    module: Any, inputs: torch.Tensor, exporter: str, opset: int, tolerance: float, threads: int = 2
) -> tuple[dict[str, Any], float | None]:
    """Export *module* with a free batch size, run it in ONNX Runtime, compare.

    Args:
        module: takes one tensor, returns a tuple of tensors.
        inputs: at least two images.
        exporter: ``legacy`` or ``dynamo``.
        opset: opset version.
        tolerance: bound on the relative error.
        threads: threads of ONNX Runtime.

    Returns:
        the outcome (ok, error, operator, module, workaround) and the largest relative error, which is
        None where the file did not run.
    """
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
        path, printed = Path(scratch) / "model.onnx", Path(scratch) / "printed.txt"
        try:
            with warnings.catch_warnings(), printing_to(printed):
                warnings.simplefilter("ignore")
                write_onnx(module, inputs, exporter, opset, path)
        except Exception as error:
            graph = printed.read_text(encoding="utf-8", errors="replace")
            return failure(module, inputs, error, str(error), graph), None
        try:
            worst = compare(module, inputs, path, threads)
        except Exception as error:
            return failure(module, inputs, error, f"ONNX Runtime does not run it: {error}"), None
    if worst <= tolerance:
        return {"ok": True}, worst
    text = f"ONNX Runtime differs from torch by {worst:.1e} (relative), more than {tolerance:.0e}"
    return {"ok": False, "error": text, "workaround": "look for control flow that depends on values"}, worst


@contextlib.contextmanager
def printing_to(path: Path) -> Iterator[None]:
    """Send standard output to *path*: the legacy exporter prints its graph, from C++, when it fails."""

    def flush() -> None:
        sys.stdout.flush()
        ctypes.CDLL(None).fflush(None)

    flush()
    kept = os.dup(1)
    try:
        with path.open("wb") as file:
            os.dup2(file.fileno(), 1)
        yield
    finally:
        flush()
        os.dup2(kept, 1)
        os.close(kept)


def write_onnx(module: Any, inputs: torch.Tensor, exporter: str, opset: int, path: Path) -> None:
    """Write *module* to *path*; the batch size is free, the other sizes are those of *inputs*."""
    import torch

    names = [f"output_{index}" for index, _ in enumerate(module(inputs))]
    if exporter == "dynamo":
        torch.onnx.export(
            module,
            (inputs,),
            path,
            opset_version=opset,
            dynamo=True,
            input_names=["pixel_values"],
            output_names=names,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            verbose=False,
        )
        return
    torch.onnx.export(
        module,
        (inputs,),
        str(path),
        opset_version=opset,
        dynamo=False,
        input_names=["pixel_values"],
        output_names=names,
        dynamic_axes={name: {0: "batch"} for name in ("pixel_values", *names)},
    )


def compare(module: Any, inputs: torch.Tensor, path: Path, threads: int) -> float:
    """Return the largest relative L2 error of ONNX Runtime, over outputs, on one image and on all."""
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in (inputs[-1:], inputs):
        given = session.run(None, {session.get_inputs()[0].name: batch.numpy()})
        for expected, found in zip(module(batch), given, strict=True):
            wanted, got = expected.double(), torch.from_numpy(found).double()
            if wanted.shape != got.shape:
                raise ValueError(
                    f"an output has the shape {tuple(got.shape)} instead of {tuple(wanted.shape)}"
                )
            scale = wanted.norm().item() or 1.0
            error = ((wanted - got).norm() / scale).item()
            if error != error:
                raise ValueError("an output is not a number")
            worst = max(worst, error)
    return worst


def failure(
    module: Any, inputs: torch.Tensor, error: BaseException, text: str, graph: str = ""
) -> dict[str, Any]:
    """Return the outcome of an export that failed: what could not be translated, where, and what helps."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", f"{text}\n{error.__cause__ or ''}")
    operator = culprit(text)
    where = re.search(r"(?:node with name |node\. Name:)'/?([^']+)'", text)
    place = node_path(where[1]) if where else scope_of(graph, operator) or locate(module, inputs, operator)
    return {
        "ok": False,
        "error": summary(error, text),
        "operator": operator,
        "module": place,
        "workaround": workaround(operator, place, text),
    }


def culprit(text: str) -> str:
    """Return the operator that an exporter or ONNX Runtime names in its message; empty for none."""
    for pattern in (
        r"Exporting the operator '([^']+)'",
        r"OpOverload\(op='([^']+)'",
        r"ONNX export of operator (\w+)",
        r"(?:find|exist) an implementation for (\w+)\(",
        r"target=torch\.ops\.([\w.]+)\.\w+\]",
        r"has kind '((?!onnx::Constant)[^']+)'",
        r"while running (\w+) node",
    ):
        if match := re.search(pattern, text):
            name = match[1].replace(".", "::", 1)
            return name if "::" in name or name[:1].isupper() else f"aten::{name}"
    return ""


def scope_of(graph: str, operator: str) -> str:
    """Return the module of *operator* in a graph that the legacy exporter printed; empty for none."""
    match = re.search(rf"= {re.escape(operator)}\(.*?, scope: (\S+)", graph) if operator else None
    names = [part.rpartition("::")[2] for part in match[1].split("/")] if match else []
    return ".".join(name for name in names if name).removeprefix("model.")


def locate(module: Any, inputs: torch.Tensor, operator: str) -> str:
    """Return the module in which *operator* runs, by a trace; empty where the trace does not show it."""
    import torch

    if not operator:
        return ""
    stem = operator.rpartition("::")[2].strip("_")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = torch.jit.trace(module, inputs, strict=False, check_trace=False).inlined_graph
    except Exception:
        return ""
    for node in graph.nodes():
        if node.kind().startswith("aten::") and node.kind().rpartition("::")[2].strip("_") == stem:
            scope: str = node.scopeName().rpartition("/")[2]
            return scope.removeprefix("__module.").removeprefix("model.")
    return ""


def node_path(name: str) -> str:
    """Return the module path in the name of an ONNX node, such as ``/model/vit/layer.0/Add``."""
    return ".".join(name.split("/")[:-1]).removeprefix("model.")


def workaround(operator: str, place: str, text: str) -> str:
    """Return what a person can do about it."""
    where = place or "the model"
    for stem, hint in REWRITES.items():
        if operator.endswith(stem):
            return f"in {where}: {hint}"
    if match := re.search(r"added in version (\d+)", text):
        return f"export with opset {match[1]}"
    if "scaled_dot_product_attention" in operator:
        return "use eager attention"
    if operator:
        return f"rewrite {where} without {operator}"
    return f"rewrite {where} with operators that ONNX has"


def summary(error: BaseException, text: str) -> str:
    """Return the telling line of a long message, at most 300 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [
        line
        for line in lines
        if re.search(r"No ONNX function|GuardOnDataDependent|not supported|NOT_IMPL", line)
    ]
    return f"{type(error).__name__}: {(telling or lines or [''])[0]}"[:300]


def first_line(error: BaseException) -> str:
    """Return the error's type and the first line of its message, at most 300 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"[:300]


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
