"""Whether a position embedding fits images of other sizes: tried, not read from a signature."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from porter.records.sandbox import Environment
from tests.models import python

pytestmark = pytest.mark.torch_env

LOOK = """
import json, sys
import transformers
from porter.probes.inspect_model import interpolates

small = dict(hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, patch_size=8)
square = transformers.ViTForImageClassification(transformers.ViTConfig(**small, image_size=32))
# This class takes the embedding for that of a square, whatever it is.
oblong = transformers.DeiTForImageClassification(transformers.DeiTConfig(**small, image_size=[32, 48]))
fixed = transformers.ResNetForImageClassification(transformers.ResNetConfig(hidden_sizes=[8], depths=[1]))
found = [interpolates(model.eval(), 3) for model in (square, oblong, fixed)]
json.dump(found, open(sys.argv[1], "w"))
"""


def test_an_embedding_that_does_not_fit_other_sizes_is_not_asked_to(
    tao_environment: Environment, tmp_path: Path
) -> None:
    python(tao_environment, LOOK, str(tmp_path / "found.json"), cwd=tmp_path)
    assert json.loads((tmp_path / "found.json").read_text()) == [[32, 32], None, None]
