"""`porter models`, `porter image` and `porter skills build` as a person runs them, without a sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Done, run_porter


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
    }


def test_an_image_is_shown_for_people_and_machines(tmp_path: Path) -> None:
    done = porter(tmp_path, "image", "dino", "--action", "gen_trt_engine")
    resolved = porter(tmp_path, "image", "dino", "--action", "gen_trt_engine", "--format", "json").json
    assert done.out == f"image    {resolved['image']}\ncommand  {resolved['command']}\n"
    assert resolved["kind"] == "deploy"
    assert "on a TensorRT engine" in porter(tmp_path, "image", "dino", "--action", "evaluate").out


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
