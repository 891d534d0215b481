"""Which tensors are exchanged: pairs of one shape, whatever the stages of a model are wide."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from porter.records.sandbox import Environment

pytestmark = pytest.mark.torch_env

ROOT = Path(__file__).resolve().parents[2]
SHAPES = {
    "stages.0.blocks.0.fc.weight": [8, 4],
    "stages.0.blocks.1.fc.weight": [8, 4],
    "stages.1.blocks.0.fc.weight": [16, 8],
    "stages.1.blocks.1.fc.weight": [16, 8],
    "stages.0.norm.weight": [8],
    "stages.1.norm.weight": [16],
}
_ASK = """
import json, sys, torch
from porter.probes.swap import _pairs
views = {name: torch.zeros(shape) for name, shape in json.loads(sys.argv[1]).items()}
print(json.dumps(_pairs(views, 0)))
"""


def test_only_tensors_of_one_shape_are_exchanged(tao_environment: Environment) -> None:
    done = subprocess.run(
        [tao_environment.python, "-c", _ASK, json.dumps(SHAPES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = {frozenset(pair) for pair in json.loads(done.stdout)}
    assert all(len({tuple(SHAPES[name]) for name in pair}) == 1 for pair in pairs)
    blocks = [{f"stages.{stage}.blocks.{block}.fc.weight" for block in (0, 1)} for stage in (0, 1)]
    assert {frozenset(pair) for pair in blocks} <= pairs
