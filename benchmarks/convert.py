"""Prints what a conversion costs against transformers' ``from_pretrained`` and ``torch.save``.

The source is a sharded ViT-Large of 1.2 GB with random weights, made here in a temporary folder. Each
side runs in its own process of the managed environment, one after the other, several times; the medians
are printed. Times and memory are taken after the imports, and the whole process is timed as well. The
goals are half of the time and a fifth of the memory. Run it with porter's own Python:

    python benchmarks/convert.py --rounds 3
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from conversion_memory import CLASSIFICATION, KIT, LABELS, SIZES, shapes, write_model

from porter.records.base import to_json
from porter.records.inspection import TensorInfo
from porter.records.sandbox import Environment, Mount
from porter.records.weights import BuildTargetRequest, ConvertRequest, TargetModule, TargetSpec, WeightPlan
from porter.sandbox.base import run_probe
from porter.sandbox.environments import ensure
from porter.sandbox.host import HostSandbox
from porter.weights.ledger import audit
from porter.weights.plan import plan_weights
from porter.weights.remap import load_rules

ROOT = Path(__file__).resolve().parents[1]
SHARDS = 4

_THEIRS = """
import json, sys, time
import torch, transformers
from transformers import AutoModelForImageClassification
from transformers.models.vit import ViTForImageClassification
from porter.weights.kernel.memory import AnonymousPeak

started, worked = time.monotonic(), time.process_time()
with AnonymousPeak(seconds=0.005) as memory:
    model = AutoModelForImageClassification.from_pretrained(sys.argv[1], local_files_only=True)
    torch.save(model.state_dict(), sys.argv[2])
seconds, worked = time.monotonic() - started, time.process_time() - worked
print(json.dumps([seconds, worked, memory.peak, memory.baseline]))
"""

_OURS = """
import importlib.util, json, sys, time
import torch

spec = importlib.util.spec_from_file_location("convert", sys.argv[2])
convert = importlib.util.module_from_spec(spec)
spec.loader.exec_module(convert)
request = json.load(open(sys.argv[1]))
started, worked = time.monotonic(), time.process_time()
done = convert.run(request)
seconds, worked = time.monotonic() - started, time.process_time() - worked
print(json.dumps([seconds, worked, done["peak_anon"], done["baseline_anon"]]))
"""


def main() -> None:
    """Make the model, run both sides in turn and print the ratios."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--size", choices=sorted(SIZES), default="large")
    arguments.add_argument("--dtype", choices=("F32", "BF16"), default="F32")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--folder", type=Path, default=None, help="where the temporary folder is made")
    chosen = arguments.parse_args()
    environment = ensure("tao-pytorch-7.0.1", progress=print)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        root = Path(folder)
        root.chmod(0o755)
        table = make_model(root / "model", chosen.size, chosen.dtype)
        plan = plan_for(root, environment, table, chosen.size)
        requests = {"both files": True, "pth alone": False}
        runs: dict[str, list[tuple[float, ...]]] = {name: [] for name in ("theirs", *requests)}
        for _ in range(chosen.rounds):
            runs["theirs"].append(timed(environment, _THEIRS, root / "model", root / "theirs.pth"))
            for name, second in requests.items():
                path = request(root, plan, second=second)
                runs[name].append(timed(environment, _OURS, path, ROOT / "porter" / "probes" / "convert.py"))
    theirs = report("theirs", runs["theirs"])
    for name in requests:
        ours = report(name, runs[name])
        print(
            f"{name:<12} ratio  time {ours[0] / theirs[0]:.2f} (goal 0.50), with imports "
            f"{ours[4] / theirs[4]:.2f}, processor {ours[1] / theirs[1]:.2f}, memory "
            f"{ours[2] / max(theirs[2], 1):.2f} (goal 0.20)"
        )


def make_model(folder: Path, size: str, dtype: str) -> tuple[TensorInfo, ...]:
    """Write the shards, their index and the config."""
    _, width, layers, patch = SIZES[size]
    folder.mkdir()
    tensors = list(shapes(width, layers, patch))
    table: list[TensorInfo] = []
    for number in range(SHARDS):
        part = tensors[number::SHARDS]
        name = f"model-{number + 1:05}-of-{SHARDS:05}.safetensors"
        table += write_model(folder / name, part, dtype)
    index = {"metadata": {}, "weight_map": {each.name: each.file for each in table}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    config = {
        "architectures": ["ViTForImageClassification"],
        "model_type": "vit",
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 16,
        "patch_size": patch,
        "image_size": 224,
        "id2label": {str(number): f"class {number}" for number in range(LABELS)},
        "label2id": {f"class {number}": number for number in range(LABELS)},
        "torch_dtype": {"F32": "float32", "BF16": "bfloat16"}[dtype],
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return tuple(table)


def plan_for(root: Path, environment: Environment, table: tuple[TensorInfo, ...], size: str) -> WeightPlan:
    """Return the closed plan to the embedded kit's backbone of that size."""
    spec = root / "spec.yaml"
    spec.write_text(f"model: {{backbone: {{type: {SIZES[size][0]}}}}}\ndataset: {{num_classes: {LABELS}}}\n")
    target = TargetSpec(
        package_root=str(KIT),
        config="nvidia_tao_pytorch.config.classification_pyt.default_config:ExperimentConfig",
        spec=str(spec),
        builder=f"{CLASSIFICATION}.model.classifier:build_model",
        classes=("any",),
    )
    built = run_probe(
        HostSandbox(environment, root / "runs"),
        "build_target",
        BuildTargetRequest(target=target),
        TargetModule,
        mounts=(Mount(path=str(KIT)), Mount(path=str(spec))),
    )
    plan = plan_weights(table, built.tensors, load_rules("vit"), num_labels=LABELS)
    problems = audit(plan, table, built.tensors)
    if problems:
        raise SystemExit("\n".join(problems))
    return plan


def request(root: Path, plan: WeightPlan, *, second: bool) -> Path:
    """Write the request of a conversion and return its file."""
    path = root / "request.json"
    asked = ConvertRequest(
        folder=str(root / "model"),
        plan=plan,
        checkpoint=str(root / "ours.pth"),
        safetensors=str(root / "ours.safetensors") if second else "",
    )
    path.write_bytes(to_json(asked))
    return path


def timed(environment: Environment, code: str, *arguments: Path) -> tuple[float, ...]:
    """Run one side; return seconds, processor seconds, peak and baseline after the imports; all seconds."""
    started = time.monotonic()
    done = subprocess.run(
        [environment.python, "-c", code, *map(str, arguments)],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    measured = json.loads(done.stdout.splitlines()[-1])
    return (*measured, time.monotonic() - started)


def report(name: str, runs: list[tuple[float, ...]]) -> list[float]:
    """Print the medians of one side and return them."""
    middle = [statistics.median(column) for column in zip(*runs, strict=True)]
    each = ", ".join(f"{run[0]:.1f}" for run in runs)
    print(
        f"{name:<12} {middle[0]:6.2f} s ({each}), processor {middle[1]:.2f} s, whole process "
        f"{middle[4]:.2f} s, RssAnon {middle[2] / 2**20:.1f} MiB above {middle[3] / 2**20:.0f} MiB"
    )
    return middle


if __name__ == "__main__":
    main()
