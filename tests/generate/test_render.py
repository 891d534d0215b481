"""What the templates make: complete, deterministic, clean, and free of porter."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml
from jinja2 import UndefinedError

from porter.generate.context import ClassificationContext, classification_context
from porter.generate.fileplan import build_file_plan
from porter.generate.render import render
from porter.records.inspection import Inspection, Licence, ProcessorFacts, Source, TaskChoice
from porter.records.plan import PlannedFile
from porter.records.reference import Candidate, Reference, ReferenceChoice, StrategyChoice
from tests.backbones import vit_match

HALF = (0.5, 0.5, 0.5)
SQUARE = ProcessorFacts(kind="ViTImageProcessor", size=(224, 224), mean=HALF, std=HALF)
CROP = ProcessorFacts(
    kind="ViTImageProcessor", shortest_edge=256, crop=(224, 224), resample=3, mean=HALF, std=HALF
)
BICUBIC = ProcessorFacts(kind="ViTImageProcessor", size=(224, 224), resample=3, mean=HALF, std=HALF)


def inspection(processor: ProcessorFacts = SQUARE, ref: str = "org/vit", labels: int = 10) -> Inspection:
    return Inspection(
        source=Source(kind="hub", ref=ref, sha="0" * 40, folder="/nowhere"),
        model_type="vit",
        architecture="ViTForImageClassification",
        task=TaskChoice(task="image-classification", source="architecture", reason="its class"),
        config={"hidden_size": 768},
        labels=tuple(f"label {index}" for index in range(labels)),
        image_size=(224, 224),
        processor=processor,
        licence=Licence(name="apache-2.0"),
    )


def context(reference: Reference, facts: Inspection, name: str = "vit_demo") -> ClassificationContext:
    return classification_context(facts, choice(reference), name=name, year=2026)


def choice(reference: Reference) -> ReferenceChoice:
    match = vit_match(epsilon=1e-12)
    return ReferenceChoice(
        reference=reference,
        candidates=(Candidate(name=reference.name, score=100, reasons=("only one",)),),
        strategy=StrategyChoice(strategy="native", reason="it is there", backbone=match),
    )


def rendered(values: ClassificationContext, folder: Path) -> dict[str, PlannedFile]:
    return {file.path: file for file in render(values.template_data(), "tao-pytorch", folder)}


@pytest.fixture(scope="module", params=["square", "crop", "bicubic"])
def files(
    request: pytest.FixtureRequest, reference: Reference, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, PlannedFile]:
    processor = {"square": SQUARE, "crop": CROP, "bicubic": BICUBIC}[request.param]
    return rendered(context(reference, inspection(processor)), tmp_path_factory.mktemp("stage") / "out")


def test_the_package_is_complete(files: dict[str, PlannedFile]) -> None:
    network = "nvidia_tao_pytorch/cv/vit_demo"
    for name in ("train", "evaluate", "inference", "export"):
        assert f"{network}/scripts/{name}.py" in files
    assert f"{network}/entrypoint/vit_demo.py" in files
    assert f"{network}/experiment_specs/experiment_spec.yaml" in files
    folders = {path.rpartition("/")[0] for path in files if path.endswith(".py")}
    assert all(f"{folder}/__init__.py" in files for folder in folders)


def test_only_what_package_data_keeps(files: dict[str, PlannedFile]) -> None:
    assert {Path(path).suffix for path in files} == {".py", ".yaml"}


def test_python_parses_and_imports_nothing_of_porter(files: dict[str, PlannedFile]) -> None:
    for path, file in files.items():
        if path.endswith(".py"):
            modules = {
                name.name if isinstance(node, ast.Import) else node.module or ""
                for node in ast.walk(ast.parse(file.content))
                if isinstance(node, ast.Import | ast.ImportFrom)
                for name in node.names
            }
            assert not {module for module in modules if module.split(".")[0] in {"porter", "transformers"}}


def test_every_file_opens_with_the_licence_header(
    files: dict[str, PlannedFile], reference: Reference
) -> None:
    header = "\n".join(line.replace("{year}", "2026") for line in reference.header)
    assert all(file.content.startswith(header + "\n") for file in files.values())


def test_every_file_names_its_template(files: dict[str, PlannedFile]) -> None:
    from porter import resources

    assert all((resources.tree("templates") / file.produced_by).is_file() for file in files.values())


def test_linters_find_nothing(files: dict[str, PlannedFile], tmp_path: Path) -> None:
    for path, file in files.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.content)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,W,F,I,D", "--ignore"]
    # TAO's own pydocstyle arguments and line length.
    command += ["E501,D107,D200,D203,D205,D212,D213,D400,D401,D4,I001", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_spec_is_complete_but_for_two_paths(files: dict[str, PlannedFile]) -> None:
    text = files["nvidia_tao_pytorch/cv/vit_demo/experiment_specs/experiment_spec.yaml"].content
    spec = yaml.safe_load(text)
    missing = [line.strip() for line in text.splitlines() if "???" in line]
    assert missing == ["results_dir: ???", "root_dir: ???"]
    assert spec["dataset"]["augmentation"]["mean"] == list(HALF)
    assert spec["export"]["input_width"] == spec["dataset"]["img_size"] == 224
    assert spec["evaluate"]["checkpoint"].endswith("/vit_demo_model_latest.pth")


def test_rendering_twice_gives_the_same_bytes(reference: Reference, tmp_path: Path) -> None:
    values = context(reference, inspection())
    assert rendered(values, tmp_path / "a") == rendered(values, tmp_path / "b")


def test_a_missing_value_is_an_error(reference: Reference, tmp_path: Path) -> None:
    data = context(reference, inspection()).template_data()
    del data["title"]
    with pytest.raises(UndefinedError, match="title"):
        render(data, "tao-pytorch", tmp_path / "stage")


def test_a_hostile_model_name_stays_in_its_comment(reference: Reference, tmp_path: Path) -> None:
    facts = inspection(ref="org/vit\nimport os; os.abort()  {{ 7*7 }}")
    spec = rendered(context(reference, facts), tmp_path / "out")[
        "nvidia_tao_pytorch/cv/vit_demo/experiment_specs/experiment_spec.yaml"
    ].content
    line = next(line for line in spec.splitlines() if "org/vit" in line)
    assert line.startswith("# ")
    assert "{{ 7*7 }}" in line
    assert yaml.safe_load(spec)["model"]


def test_few_labels_ask_for_no_top_5(reference: Reference) -> None:
    assert context(reference, inspection(labels=3)).topk == (1,)
    assert context(reference, inspection(labels=10)).topk == (1, 5)


def test_the_plan_edits_setup_py_once(reference: Reference, kit: Path) -> None:
    setup = (kit / "setup.py").read_text()
    values = context(reference, inspection())
    target = "nvidia_tao_pytorch.cv.vit_demo.entrypoint.vit_demo:main"
    plan = build_file_plan(values, settings={"train.num_epochs": 3}, setup=setup, console_target=target)
    edits = [file for file in plan.files if file.action == "edit"]
    assert [file.path for file in edits] == ["setup.py"]
    added = set(edits[0].content.splitlines()) - set(setup.splitlines())
    assert [line.strip().strip(",").strip("'\"") for line in added] == [f"vit_demo={target}"]
    spec = next(file for file in plan.files if file.path.endswith("experiment_spec.yaml"))
    assert yaml.safe_load(spec.content)["train"]["num_epochs"] == 3
    assert list(plan.files) == sorted(plan.files, key=lambda file: file.path)


def test_equal_input_gives_an_equal_plan_digest(reference: Reference) -> None:
    assert msgspec.json.encode(context(reference, inspection())) == msgspec.json.encode(
        context(reference, inspection())
    )
