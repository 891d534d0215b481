"""Makes small models, lifts them, and tries what was lifted, in two processes for all of them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from porter.gates.findings import read_end, recorded, steps
from porter.records.base import from_json
from porter.records.probes import MakeModel
from porter.records.sandbox import Environment
from porter.records.transplant import Lifted, LiftFacts, LiftRequest, Trial, TrialRequest
from porter.records.validate import Finding, LintEnd
from porter.transplant.lift import lift
from porter.transplant.reach import SKIP
from porter.transplant.tweaks import ALL, ALWAYS
from tests.models import LABELS, ROOT
from tests.transplant.families import FAMILIES, NO_IMAGES, REWRITTEN


@dataclass(frozen=True)
class Case:
    """A family: what was lifted in how many seconds, what a trial says of it, and what else was seen."""

    facts: LiftFacts
    lifted: Lifted
    seconds: float
    trial: Trial
    seen: dict[str, Any]


def run(
    environment: Environment, work: Path, names: Collection[str], exported: Collection[str]
) -> dict[str, Case]:
    """Return the cases *names*; those of *exported* go through ONNX too, which takes longer than all else."""
    asked = {}
    for name in names:
        architecture, config = FAMILIES[name]
        folder = str(work / name)
        made = MakeModel(folder=folder, architecture=architecture, config=config, labels=LABELS)
        wanted = LiftRequest(folder=folder, architecture=architecture, skip=SKIP)
        asked[name] = {"make": made, "facts": wanted, "image_size": side(config)}
    facts = {
        name: from_json(json.dumps(raw).encode(), LiftFacts)
        for name, raw in _inside(environment, work, "make", asked).items()
    }
    lifted, seconds = {}, {}
    for name, found in facts.items():
        start = time.process_time()
        lifting = lift(found, tweaks=ALL if name in REWRITTEN else ALWAYS)
        seconds[name] = time.process_time() - start
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
                    export=name in exported,
                    threads=1,
                )
            ),
        }
        for name, each in lifted.items()
    }
    seen = _inside(environment, work, "try", trials)
    return {
        name: Case(
            facts=facts[name],
            lifted=lifted[name],
            seconds=seconds[name],
            trial=from_json(json.dumps(seen[name].pop("trial")).encode(), Trial),
            seen=seen[name],
        )
        for name in lifted
    }


def _inside(environment: Environment, work: Path, mode: str, jobs: dict[str, Any]) -> dict[str, Any]:
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
    """Return the edge length of a case's images."""
    size = config.get("image_size") or config.get("vision_config", {}).get("image_size") or 64
    return int(size[0] if isinstance(size, list) else size)


def lint(
    environment: Environment, work: Path, cases: dict[str, Case], pylinted: Collection[str]
) -> list[tuple[str, Finding]]:
    """Return what TAO's linters find, by case; pylint takes longest and sees *pylinted* alone."""
    names = {}
    for name, case in cases.items():
        names[f"{name.replace('-', '_')}.py"] = name
        (work / f"{name.replace('-', '_')}.py").write_text(case.lifted.text, encoding="utf-8")
    found: list[tuple[str, Finding]] = []
    for step in steps(dict(recorded()), str(work), list(names)):
        files = [path for path in step.files if step.tool != "pylint" or names[path] in pylinted]
        done = subprocess.run(
            [environment.python, "-m", *step.argv, *files],
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
        )
        end = LintEnd(exit_code=done.returncode, out=done.stdout, err=done.stderr)
        found += [(names[item.path], item) for item in read_end(step, end)]
    return found
