"""`porter models`, `porter image` and `porter skills build` as a person runs them, without a sandbox."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import Done, run_porter
from tests.launch.workspaces import finished


def porter(tmp_path: Path, *arguments: str | Path) -> Done:
    return run_porter(tmp_path / "cache", *arguments, cwd=tmp_path)


def test_models_are_listed_for_people_and_machines(tmp_path: Path) -> None:
    done = porter(tmp_path, "models")
    assert done.code == 0, done.err
    head, *lines = done.out.splitlines()
    assert head.split() == ["MODEL", "TASK", "AUTOML", "FORMATS", "ACTIONS"]
    rows = porter(tmp_path, "models", "--scope", "automl", "--format", "json").json
    assert [row["name"] for row in rows] == [line.split()[0] for line in lines]
    mal = next(row for row in rows if row["name"] == "mal")
    assert mal == {
        "name": "mal",
        "title": "Mask Auto-Label",
        "task": "instance-segmentation",
        "actions": ["train", "evaluate", "inference"],
        "formats": ["default"],
        "automl": True,
        "workspace": "",
    }


def test_an_image_is_shown_for_people_and_machines(tmp_path: Path) -> None:
    done = porter(tmp_path, "image", "dino", "--action", "gen_trt_engine")
    resolved = porter(tmp_path, "image", "dino", "--action", "gen_trt_engine", "--format", "json").json
    assert done.out == f"image    {resolved['image']}\ncommand  {resolved['command']}\n"
    assert resolved["kind"] == "deploy"
    assert "on a TensorRT engine" in porter(tmp_path, "image", "dino", "--action", "evaluate").out


def test_ported_networks_are_listed_with_their_workspaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTER_CACHE", str(tmp_path / "cache"))
    workspace = finished(tmp_path / "port")
    rows = porter(tmp_path, "models", "--format", "json").json
    assert {row["name"] for row in rows if row["workspace"]} == {"tiny_vit"}
    text = porter(tmp_path, "models").out.splitlines()
    assert text[0].split()[-2:] == ["PORTED", "IN"]
    line = next(line for line in text if line.startswith("tiny_vit "))
    assert line.endswith(str(workspace.root))
    for model in ("tiny_vit", "port"):
        shown = porter(tmp_path, "image", model, "--action", "train").out
        assert "command  tiny_vit train -e {config_path}\n" in shown
        assert f"{workspace.root / 'tao-pytorch'} has to be on PYTHONPATH" in shown
    shutil.rmtree(workspace.root)
    gone = porter(tmp_path, "skills", "build", "tiny_vit")
    assert gone.code == 4
    assert f"gone from {workspace.root}" in gone.err
    assert "tiny_vit" not in porter(tmp_path, "models").out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["models", "--scope", "hpo"], 2, "scopes: all, automl"),
        (["models", "--format", "yaml"], 2, "formats: text, json"),
        (["image", "dino"], 2, "--action"),
        (["image", "dinno", "--action", "train"], 2, "near it: dino"),
        (["image", "dino", "--action", "evalute"], 2, "near it: evaluate"),
        (["image", "dino", "--action", "train", "--format", "xml"], 2, "formats: text, json"),
        (["skills", "build", "dinno"], 2, "near it: dino"),
        (["skills", "build", "dino", "--format", "xml"], 2, "formats: text, json"),
        (["skills", "build", "dino", "--tao-pytorch", "nowhere"], 4, "nowhere"),
        (["skills", "build", "dino"], 4, "no clone of tao-pytorch"),
        (["skills", "build", "dino", "--output", "."], 7, "porter did not write"),
    ],
)
def test_usage_errors_say_what_to_do(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = porter(tmp_path, *arguments)
    assert (done.code, "Traceback" in done.err) == (code, False), done.err
    assert said in done.err
    assert not (tmp_path / "tao-train-dino").exists()
