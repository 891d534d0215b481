"""Small models of many families, what was lifted of them, and how that does without transformers."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from porter.records.base import from_json
from porter.records.probes import MakeModel
from porter.records.sandbox import Environment
from porter.records.transplant import Lifted, LiftFacts, LiftRequest, Trial, TrialRequest
from porter.transplant.lift import lift
from porter.transplant.reach import SKIP
from porter.transplant.tweaks import ALL, STATIC
from tests.models import LABELS, ROOT
from tests.transplant.families import FAMILIES, NO_IMAGES, REWRITTEN

EXPORTED = ("clip", "mobilevit", "resnet", "swin", *REWRITTEN)
"""The cases that are exported to ONNX: it takes longer than all else."""


@dataclass(frozen=True)
class Case:
    """A family: what was lifted, what a trial says of it, and what else was seen."""

    facts: LiftFacts
    lifted: Lifted
    trial: Trial
    seen: dict[str, Any]


def inside(environment: Environment, work: Path, mode: str, jobs: dict[str, Any]) -> dict[str, Any]:
    asked, answered = work / f"{mode}.json", work / f"{mode}-answers.json"
    asked.write_bytes(msgspec.json.encode(jobs))
    script = Path(__file__).with_name("inside.py")
    done = subprocess.run(
        [environment.python, "-W", "ignore", str(script), mode, str(asked), str(answered), str(ROOT)],
        cwd=work,
        capture_output=True,
        text=True,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(work),
            "PYTHONPATH": str(ROOT),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers: dict[str, Any] = json.loads(answered.read_bytes())
    wrong = {name: answer["error"] for name, answer in answers.items() if "error" in answer}
    assert wrong == {}
    return answers


def side(config: dict[str, Any]) -> int:
    size = config.get("image_size") or config.get("vision_config", {}).get("image_size") or 64
    return int(size[0] if isinstance(size, list) else size)


@pytest.fixture(scope="package")
def cases(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    work = tmp_path_factory.mktemp("families")
    asked = {}
    for name, (architecture, config) in FAMILIES.items():
        folder = str(work / name)
        made = MakeModel(folder=folder, architecture=architecture, config=config, labels=LABELS)
        wanted = LiftRequest(folder=folder, architecture=architecture, skip=SKIP)
        asked[name] = {"make": made, "facts": wanted, "image_size": side(config)}
    facts = {
        name: from_json(json.dumps(raw).encode(), LiftFacts)
        for name, raw in inside(tao_environment, work, "make", asked).items()
    }
    lifted = {}
    for name, found in facts.items():
        lifting = lift(found, tweaks=ALL if name in REWRITTEN else (STATIC,))
        assert lifting.reasons == (), name
        assert lifting.lifted is not None
        lifted[name] = lifting.lifted
    trials = {
        name: {
            "patches": name in NO_IMAGES,
            **msgspec.to_builtins(
                TrialRequest(
                    folder=str(work / name),
                    architecture=each.architecture,
                    text=each.text,
                    config=each.config,
                    attention="eager",
                    image_size=(side(FAMILIES[name][1]),) * 2,
                    export=name in EXPORTED,
                    threads=1,
                )
            ),
        }
        for name, each in lifted.items()
    }
    seen = inside(tao_environment, work, "try", trials)
    return {
        name: Case(
            facts=facts[name],
            lifted=lifted[name],
            trial=from_json(json.dumps(seen[name].pop("trial")).encode(), Trial),
            seen=seen[name],
        )
        for name in lifted
    }
