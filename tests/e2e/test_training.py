"""A port on the kit is searched, evaluated and exported by `porter train`, with its own code, on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Done
from tests.e2e.trainings import Trainings, file, remember

pytestmark = pytest.mark.torch_env


def test_a_port_is_searched_evaluated_and_exported(
    ported: tuple[Path, Done], e2e_cache: Path, tmp_path: Path
) -> None:
    assert ported[1].code == 0
    remember(ported[0], "mini_vit", e2e_cache)
    trainings = Trainings("mini_vit", tmp_path, e2e_cache)
    search = ("--trials", "2", "--vary", "train.optim.lr=1e-4..1e-2", "--set", "epochs=1", "--export")
    done = trainings.porter(*trainings.arguments(*search))
    assert done.code == 0, done.err
    run = trainings.run(1)
    assert [(job.name, job.state) for job in run.jobs] == [
        ("trial-1", "complete"),
        ("trial-2", "complete"),
        ("evaluate", "complete"),
        ("export", "complete"),
    ]
    best = trainings.job(1, run.best)
    assert best is not None
    assert best.metric == max(job.metric or 0 for job in run.jobs)
    assert file(best, "train/mini_vit_model_latest.pth").is_file()
    assert file(trainings.job(1, "evaluate"), "evaluate/results.json").is_file()
    assert file(trainings.job(1, "export"), "export/mini_vit.onnx").is_file()
    for name in ("trials.md", "trials.json", "trials.svg", "curves.svg"):
        assert (tmp_path / "porter-runs" / "mini_vit-1" / name).is_file()
