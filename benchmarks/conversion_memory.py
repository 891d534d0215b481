"""Prints how much anonymous memory a conversion needs above its post-import baseline.

The goal is 1.3 times the largest tensor + 64 MB. The weights are random, written here with the shapes
of a ViT; the target is the backbone of that size in the embedded kit. Run it with porter's own Python:

    python benchmarks/conversion_memory.py --size large --dtype BF16
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from porter.records.inspection import TensorInfo
from porter.records.sandbox import Mount
from porter.records.weights import BuildTargetRequest, Conversion, ConvertRequest, TargetModule, TargetSpec
from porter.sandbox.base import run_probe
from porter.sandbox.environments import ensure
from porter.sandbox.host import HostSandbox
from porter.weights.ledger import audit
from porter.weights.plan import plan_weights
from porter.weights.remap import load_rules

KIT = Path(__file__).resolve().parents[1] / "porter" / "embedded" / "kit" / "tao-pytorch"
SIZES = {
    "base": ("vit_base_patch16", 768, 12, 16),
    "large": ("vit_large_patch16", 1024, 24, 16),
    "huge": ("vit_huge_patch14", 1280, 32, 14),
}
"""Registry name, width, layers and patch size."""

LABELS = 1000
BYTES = {"F32": 4, "BF16": 2}
CLASSIFICATION = "nvidia_tao_pytorch.cv.classification_pyt"


def main() -> None:
    """Write a model, convert it in the sandbox and print what that cost."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--size", choices=sorted(SIZES), default="base")
    arguments.add_argument("--dtype", choices=sorted(BYTES), default="F32")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        done = convert(root, chosen.size, chosen.dtype)
    mega = 2**20
    print(f"model               ViT {chosen.size}, {chosen.dtype}, {done.parameters / 1e6:.1f} M parameters")
    print(f"checkpoint          {done.size / mega:.1f} MiB in {done.seconds:.1f} s")
    print(f"largest tensor      {done.largest_tensor / mega:.1f} MiB")
    print(f"RssAnon baseline    {done.baseline_anon / mega:.1f} MiB after the imports")
    print(f"RssAnon peak above  {done.peak_anon / mega:.1f} MiB")
    print(f"limit               {done.limit_anon / mega:.1f} MiB (1.3 x largest tensor + 64 MiB)")
    print(f"ratio               {done.peak_anon / done.limit_anon:.3f}")


def convert(root: Path, size: str, dtype: str) -> Conversion:
    """Convert random weights of one size; everything lies below *root*."""
    name, width, layers, patch = SIZES[size]
    spec = root / "spec.yaml"
    spec.write_text(f"model: {{backbone: {{type: {name}}}}}\ndataset: {{num_classes: {LABELS}}}\n")
    model, out = root / "model", root / "out"
    model.mkdir()
    out.mkdir()
    table = write_model(model / "model.safetensors", shapes(width, layers, patch), dtype)
    sandbox = HostSandbox(ensure("tao-pytorch-7.0.1", progress=print), root / "runs")
    target = TargetSpec(
        package_root=str(KIT),
        config="nvidia_tao_pytorch.config.classification_pyt.default_config:ExperimentConfig",
        spec=str(spec),
        builder=f"{CLASSIFICATION}.model.classifier:build_model",
        classes=("any",),
    )
    mounts = (Mount(path=str(KIT)), Mount(path=str(spec)))
    built = run_probe(sandbox, "build_target", BuildTargetRequest(target=target), TargetModule, mounts=mounts)
    plan = plan_weights(table, built.tensors, load_rules("vit"), num_labels=LABELS)
    problems = audit(plan, table, built.tensors)
    if problems:
        raise SystemExit("\n".join(problems))
    request = ConvertRequest(folder=str(model), plan=plan, checkpoint=str(out / "port.pth"))
    mounts = (Mount(path=str(model)), Mount(path=str(out), writable=True))
    return run_probe(sandbox, "convert", request, Conversion, mounts=mounts)


def write_model(
    path: Path, tensors: Iterable[tuple[str, tuple[int, ...]]], dtype: str
) -> tuple[TensorInfo, ...]:
    """Write random bytes under names and shapes; return their table."""
    table = tuple(TensorInfo(name=name, shape=shape, dtype=dtype, file=path.name) for name, shape in tensors)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for each in table:
        length = BYTES[dtype]
        for axis in each.shape:
            length *= axis
        header[each.name] = {
            "dtype": dtype,
            "shape": list(each.shape),
            "data_offsets": [offset, offset + length],
        }
        offset += length
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    block = os.urandom(2**20)
    with path.open("wb") as handle:
        handle.write(len(text).to_bytes(8, "little") + text)
        for start in range(0, offset, len(block)):
            handle.write(block[: offset - start])
    return table


def shapes(width: int, layers: int, patch: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the tensors of transformers' ViTForImageClassification at 224 x 224."""
    yield "vit.embeddings.cls_token", (1, 1, width)
    yield "vit.embeddings.position_embeddings", (1, (224 // patch) ** 2 + 1, width)
    yield "vit.embeddings.patch_embeddings.projection.weight", (width, 3, patch, patch)
    yield "vit.embeddings.patch_embeddings.projection.bias", (width,)
    for layer in range(layers):
        for name, rows, columns in (
            ("attention.attention.query", width, width),
            ("attention.attention.key", width, width),
            ("attention.attention.value", width, width),
            ("attention.output.dense", width, width),
            ("intermediate.dense", 4 * width, width),
            ("output.dense", width, 4 * width),
        ):
            yield f"vit.encoder.layer.{layer}.{name}.weight", (rows, columns)
            yield f"vit.encoder.layer.{layer}.{name}.bias", (rows,)
        for name in ("layernorm_before", "layernorm_after"):
            yield f"vit.encoder.layer.{layer}.{name}.weight", (width,)
            yield f"vit.encoder.layer.{layer}.{name}.bias", (width,)
    yield "vit.layernorm.weight", (width,)
    yield "vit.layernorm.bias", (width,)
    yield "classifier.weight", (LABELS, width)
    yield "classifier.bias", (LABELS,)


if __name__ == "__main__":
    main()
