"""Prints what `porter inspect` reads of a sharded model of 1 GB, and its time against from_pretrained.

The model lies on the local Hub server. Goal: under 1 % of its size. Needs the managed environment.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from porter.demo import PROCESSOR
from porter.records.probes import MakeModel
from porter.sandbox import environments
from tests.hub_server import HubServer
from tests.models import make_models

ROUNDS = 3
GOAL_SHARE = 0.01
# ViT-Large/16: 304 million weights, 1.2 GB in float32.
CONFIG = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
}
LOAD = """
import sys, transformers
model = transformers.AutoModelForImageClassification.from_pretrained("org/large")
print(sum(p.numel() for p in model.parameters()))
"""


def timed(argv: list[str], endpoint: str, home: Path) -> float:
    """Run a command with caches in *home* and return its wall time in seconds."""
    variables = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home / "hf"),
        "PORTER_CACHE": str(home / "porter"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    start = time.perf_counter()
    subprocess.run(argv, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Make the model, look at it and load it, print."""
    environment = environments.find("tao-pytorch-7.0.1")
    if environment is None:
        raise SystemExit("the environment tao-pytorch-7.0.1 is not built; any port builds it")
    with tempfile.TemporaryDirectory(prefix="porter-benchmark-") as folder, HubServer() as server:
        root = Path(folder)
        made = MakeModel(
            folder=str(root / "large"),
            config=CONFIG,
            processor=PROCESSOR,
            labels=("cat", "dog"),
            shard_bytes=250_000_000,
        )
        make_models(environment, root, {"large": made})
        files = {path.name: path.read_bytes() for path in (root / "large").iterdir() if path.is_file()}
        server.add("org/large", files, pipeline_tag="image-classification")
        size = sum(len(data) for data in files.values())
        shards = sum(name.endswith(".safetensors") for name in files)
        print(f"model: {size / 1e9:.2f} GB in {shards} shards")

        looks = []
        for number in range(ROUNDS):
            server.requests.clear()
            looks.append(
                timed(
                    [sys.executable, "-m", "porter", "inspect", "org/large", "--json"],
                    server.endpoint,
                    root / f"look{number}",
                )
            )
        read = sum(request.sent for request in server.seen())
        print(
            f"porter inspect: {read} bytes in {len(server.seen())} requests, "
            f"{100 * read / size:.3f} % of the model (goal: under {100 * GOAL_SHARE:g} %)"
        )
        loads = [
            timed([environment.python, "-W", "ignore", "-c", LOAD], server.endpoint, root / "load")
            for _ in range(ROUNDS)
        ]
        look, cold, warm = statistics.median(looks), loads[0], statistics.median(loads[1:])
        print(
            f"time, cold caches: {look:.2f} s; from_pretrained {cold:.2f} s, {cold / look:.1f} times as long"
        )
        print(f"from_pretrained with the weights in its cache: {warm:.2f} s, {warm / look:.1f} times as long")


if __name__ == "__main__":
    main()
