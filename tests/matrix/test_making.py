"""Models that are made of configs: their signal lives, and what cannot be made is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from porter.matrix import listing, making
from porter.records.matrix import MatrixEntry, ModelToMake
from porter.records.probes import MadeModels, MakeModels
from porter.records.sandbox import Environment
from tests.models import python, read, serve

pytestmark = pytest.mark.torch_env

SHIPPED = {entry.name: entry for entry in listing.read_list(listing.shipped())}
BROKEN = MatrixEntry(
    name="broken", model=ModelToMake(architecture="ViTForImageClassification", config={"patch_size": 0})
)
UNKNOWN = MatrixEntry(name="unknown", model=ModelToMake(architecture="NoSuchModel"))
MADE = ("efficientnet", "mobilevit", "swin", "timm-densenet")


@pytest.fixture(scope="module")
def made(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MadeModels]:
    """Folder and answer of a run that makes some models of the shipped list, and fails at two others."""
    root = tmp_path_factory.mktemp("made")
    entries = [*(SHIPPED[name] for name in MADE), BROKEN, UNKNOWN]
    requests = [making.request_of(entry, root / entry.name) for entry in entries]
    # The same model without a look at images.
    blind = msgspec.structs.replace(requests[0], folder=str(root / "blind"), calibrate=None)
    answers = serve(tao_environment, root, [("make_models", MakeModels(models=(*requests, blind)))])
    return root, read(answers[0], MadeModels)


def test_a_model_that_cannot_be_made_keeps_no_other_from_it(made: tuple[Path, MadeModels]) -> None:
    answers = dict(zip((*MADE, "broken", "unknown", "blind"), made[1].models, strict=True))
    assert all(answers[name].made for name in (*MADE, "blind"))
    assert "cannot be built from this config: ZeroDivisionError" in answers["broken"].problem
    assert "has no class NoSuchModel" in answers["unknown"].problem


def test_different_images_have_different_outputs(made: tuple[Path, MadeModels]) -> None:
    spreads = [outcome.made.spread for outcome in made[1].models[: len(MADE)] if outcome.made]
    assert all(spread is not None and spread > 0.05 for spread in spreads)


_SPREAD = """
import json, sys, torch, transformers
from porter.weights.kernel.fresh import spread_of
found = {}
for name in ("efficientnet", "blind"):
    model = transformers.AutoModelForImageClassification.from_pretrained(f"{sys.argv[1]}/{name}").eval()
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found[name] = spread_of(model(pixel_values=images).logits)
json.dump(found, open(f"{sys.argv[1]}/spread.json", "w"))
"""


def test_norm_statistics_that_fit_keep_the_signal_alive(
    made: tuple[Path, MadeModels], tao_environment: Environment
) -> None:
    root = made[0]
    python(tao_environment, _SPREAD, str(root), cwd=root)
    spread: dict[str, float] = json.loads((root / "spread.json").read_bytes())
    assert spread["efficientnet"] > 0.1
    # What it is for: without it the output depends on nothing but the last bias.
    assert spread["blind"] < 1e-4


def test_a_timm_model_is_written_as_timm_writes_it(made: tuple[Path, MadeModels]) -> None:
    config: dict[str, Any] = json.loads((made[0] / "timm-densenet" / "config.json").read_bytes())
    assert {"architecture", "num_classes", "label_names", "model_args", "pretrained_cfg"} <= set(config)
    assert not {"model_type", "architectures", "transformers_version"} & set(config)
    assert config["label_names"] == ["zebra", "ant", "moth", "bee"]


def test_equal_requests_make_equal_bytes_and_are_not_repeated(
    made: tuple[Path, MadeModels], tao_environment: Environment, tmp_path: Path
) -> None:
    entry = SHIPPED["mobilevit"]
    making.make_models([entry, UNKNOWN], tmp_path, tao_environment)
    weights = tmp_path / "mobilevit" / "model.safetensors"
    assert weights.read_bytes() == (made[0] / "mobilevit" / "model.safetensors").read_bytes()
    outcome = making.outcome(UNKNOWN, tmp_path, tao_environment.digest)
    assert outcome is not None
    assert "NoSuchModel" in outcome.problem
    before = weights.stat().st_ino
    making.make_models([entry], tmp_path, tao_environment)
    assert weights.stat().st_ino == before
    assert making.outcome(entry, tmp_path, "another environment") is None
