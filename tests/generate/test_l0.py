"""The generated unit tests pass on the generated packages, and notice what is wrong with them."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from porter.gates.unit_tests import read_report
from porter.generate.context import ClassificationContext, classification_context
from porter.generate.deploy import deploy_context
from porter.generate.fileplan import rendered
from porter.records.base import Record
from porter.records.inspection import ProcessorFacts
from porter.records.plan import PlannedFile
from porter.records.reference import (
    Candidate,
    Reference,
    ReferenceChoice,
    Repo,
    StrategyChoice,
)
from porter.records.sandbox import Environment
from porter.records.validate import UnitTests
from tests.backbones import vit_match
from tests.e2e.clones import CONFIG, add_mini_backbone, kit_clone
from tests.e2e.conftest import deploy_clone
from tests.generate.test_render import BICUBIC, CROP, SQUARE, inspection
from tests.repositories import write

__all__ = ["deploy_clone"]

NAME = "mini_vit"
SIDE = 32
LABELS = 6
PROCESSORS = {
    "square": msgspec.structs.replace(SQUARE, size=(SIDE, SIDE), std=(0.5, 0.4, 0.3)),
    "crop": msgspec.structs.replace(CROP, shortest_edge=40, crop=(SIDE, SIDE)),
    "bicubic": msgspec.structs.replace(BICUBIC, size=(SIDE, SIDE)),
    "squashed": msgspec.structs.replace(BICUBIC, size=(40, 40), crop=(SIDE, SIDE)),
}
TRAINER_TESTS = f"tests/cv_unit_test/{NAME}"
DEPLOY_TESTS = f"tests/{NAME}"
# What the packages import of others and takes long: imported once for all runs.
TRAINER_IMPORTS = (
    *("cv2", "fvcore.common.registry", "hydra", "onnx", "onnxruntime", "pytorch_lightning", "s3fs"),
    *("timm", "torchmetrics", "transformers.optimization"),
)
DEPLOY_IMPORTS = ("cv2", "h5py", "hydra", "matplotlib.pyplot", "onnx", "onnxruntime", "pycocotools.mask")


class Run(Record, frozen=True, kw_only=True):
    """A run of generated unit tests on a package with one change.

    Attributes:
        file, old, new: the change; none where *file* is empty.
        fails: the test that has to notice; empty where all have to pass.
        tests: the file or folder to run.
        kind: of the processor that the package was generated for.
    """

    file: str = ""
    old: str = ""
    new: str = ""
    fails: str = ""
    tests: str
    kind: str = "square"


# Imports what takes seconds once, then makes every change in turn and runs pytest in a child.
_RUNNER = """
import importlib, json, os, sys
from pathlib import Path
import pytest

asked = json.loads(Path(sys.argv[1]).read_text())
for module in asked["imports"]:
    importlib.import_module(module)
for number, run in enumerate(asked["runs"]):
    root = asked["roots"][run["kind"]]
    path = Path(root, run["file"])
    before = path.read_text() if run["file"] else ""
    if run["file"]:
        assert run["old"] in before, (run["file"], run["old"])
        path.write_text(before.replace(run["old"], run["new"]))
    child = os.fork()
    if not child:
        os.chdir(root)
        sys.path.insert(0, root)
        out = Path(asked["out"])
        log = os.open(out / f"{number}.txt", os.O_CREAT | os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)
        options = ["-q", "-p", "no:cacheprovider", f"--basetemp={out / str(number)}", *asked["options"]]
        code = pytest.main([*options, f"--junitxml={out / str(number)}.xml", run["tests"]])
        sys.stdout.flush()
        os._exit(code)
    os.waitpid(child, 0)
    if run["file"]:
        path.write_text(before)
"""


def run_all(
    roots: dict[str, Path],
    environment: Environment,
    runs: Sequence[Run],
    out: Path,
    *,
    imports: Sequence[str] = (),
    options: Sequence[str] = (),
) -> dict[Run, UnitTests]:
    """Run the generated tests with one change after the other, in the clone of the run's kind."""
    out.mkdir()
    asked = {
        "roots": {kind: str(root) for kind, root in roots.items()},
        "runs": runs,
        "out": str(out),
        "imports": imports,
        "options": options,
    }
    (out / "asked.json").write_bytes(msgspec.json.encode(asked))
    done = subprocess.run(
        [environment.python, "-c", _RUNNER, str(out / "asked.json")],
        cwd=out,
        env={
            "PYTHONPATH": ":".join(environment.python_path),
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": "/usr/bin:/bin",
            "HOME": str(out),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {run: read_report(out / f"{number}.xml") for number, run in enumerate(runs)}


def mini_context(reference: Reference, processor: ProcessorFacts) -> ClassificationContext:
    """Return the template values of a small ViT."""
    facts = msgspec.structs.replace(
        inspection(processor, labels=LABELS), config=CONFIG, image_size=(SIDE, SIDE)
    )
    match = vit_match("vit_mini_patch16", epsilon=1e-12)
    choice = ReferenceChoice(
        reference=reference,
        candidates=(Candidate(name=reference.name, score=100, reasons=("only one",)),),
        strategy=StrategyChoice(strategy="native", reason="it is there", backbone=match),
    )
    return classification_context(facts, choice, name=NAME, year=2026)


def lay(root: Path, values: ClassificationContext, repo: Repo) -> tuple[PlannedFile, ...]:
    """Render a package into a clone."""
    files = rendered(values, repo)
    write(root, {file.path: file.content for file in files})
    return files


@pytest.fixture(scope="module")
def deploy_values(deploy_clone: Path, reference: Reference) -> Callable[[str], ClassificationContext]:
    """Return the template values of the deploy package, by kind of processor."""
    from porter.reference.deploy import read_deploy
    from porter.reference.release import read_release

    found = read_deploy(deploy_clone, read_release("tao-deploy", deploy_clone), reference.name)
    return lambda kind: deploy_context(mini_context(reference, PROCESSORS[kind]), found, year=2026)


_TRAINER = f"nvidia_tao_pytorch/cv/{NAME}/"


def trainer_change(file: str, old: str, new: str, tests: str, fails: str) -> Run:
    return Run(file=_TRAINER + file, old=old, new=new, tests=f"{TRAINER_TESTS}/{tests}.py", fails=fails)


TRAINER_CHANGES = {
    "checkpoint-name": trainer_change(
        "model/classifier_pl_model.py",
        '"mini_vit_model"',
        '"classifier_model"',
        "test_trainer",
        "test_checkpoints_have_the_networks_name",
    ),
    "logits": trainer_change(
        "model/classifier_pl_model.py",
        "torch.nn.functional.softmax(out, dim=1)",
        "out",
        "test_trainer",
        "test_evaluation_writes_its_results[cpu]",
    ),
    "rows-left-out": trainer_change(
        "model/classifier_pl_model.py",
        "for name in sorted(rows)",
        "for name in sorted(rows)[1:]",
        "test_trainer",
        "test_inference_writes_its_results",
    ),
    "rows-of-other-images": trainer_change(
        "model/classifier_pl_model.py",
        "[name, *rows[name]] for name in sorted(rows)",
        "[name, *rows[other]] for name, other in zip(sorted(rows), sorted(rows)[::-1])",
        "test_trainer",
        "test_inference_writes_its_results",
    ),
    "sorted-classes": trainer_change(
        "dataloader/pl_data_module.py",
        "self._check_classes(dataset.class_names)",
        "dataset.class_names = {name: i for i, name in enumerate(sorted(dataset.class_names))}",
        "test_dataloader",
        "test_classes_are_in_the_order_of_the_file[train]",
    ),
    "any-number-of-classes": trainer_change(
        "dataloader/pl_data_module.py",
        "if len(class_names) != num_classes:",
        "if False:",
        "test_dataloader",
        "test_another_number_of_classes_is_refused",
    ),
    "frozen-head": trainer_change(
        "model/classifier.py",
        "head.requires_grad_(True)",
        "head.requires_grad_(False)",
        "test_model",
        "test_a_frozen_backbone_leaves_the_head",
    ),
    "thawed-backbone": trainer_change(
        "model/classifier.py",
        'freeze_at="all" if backbone_config.freeze_backbone else None',
        "freeze_at=None",
        "test_model",
        "test_a_frozen_backbone_leaves_the_head",
    ),
    "any-weights": trainer_change(
        "model/classifier.py",
        "if wrong or missing:",
        "if False:",
        "test_model",
        "test_weights_that_do_not_fit_are_refused[misshapen]",
    ),
    "forgotten-weights": trainer_change(
        "model/classifier.py",
        "model.load_state_dict(state_dict, strict=fits)",
        "pass",
        "test_model",
        "test_pretrained_weights_are_loaded",
    ),
    "onnx-names": trainer_change(
        "scripts/export.py",
        'input_names=["input"]',
        'input_names=["images"]',
        "test_export",
        "test_names_of_input_and_output",
    ),
    "static-batch": trainer_change(
        "scripts/export.py",
        "        export_config.batch_size,\n        onnx_file",
        "        1,\n        onnx_file",
        "test_export",
        "test_only_the_batch_is_dynamic",
    ),
    "overwritten-file": trainer_change(
        "scripts/export.py",
        "if os.path.exists(onnx_file):",
        "if False:",
        "test_export",
        "test_an_existing_file_is_kept",
    ),
    "unknown-key": trainer_change(
        "experiment_specs/experiment_spec.yaml",
        "  img_size: 32",
        "  img_size: 32\n  image_size: 32",
        "test_config",
        "test_the_spec_fits_the_schema",
    ),
    "dead-reference": trainer_change(
        "experiment_specs/experiment_spec.yaml",
        "${dataset.root_dir}/val",
        "${dataset.rootdir}/val",
        "test_config",
        "test_the_spec_asks_for_two_folders_only",
    ),
}

_DEPLOY = f"nvidia_tao_deploy/cv/{NAME}/"


def deploy_change(file: str, old: str, new: str, fails: str) -> Run:
    return Run(file=_DEPLOY + file, old=old, new=new, tests=DEPLOY_TESTS, fails=fails)


DEPLOY_CHANGES = {
    "torch": deploy_change(
        "scripts/inference.py", "import os\n", "import os\nimport torch\n", "test_the_package_needs_no_torch"
    ),
    "sorted-classes": deploy_change(
        "dataloader.py",
        "self.class_mapping = class_mapping or {}",
        "class_mapping = self.class_mapping = {n: i for i, n in enumerate(sorted(class_mapping or {}))}",
        "test_labels_are_in_the_order_of_the_file",
    ),
    "dropped-last-batch": deploy_change(
        "dataloader.py",
        "-(-self.n_samples // batch_size)",
        "self.n_samples // batch_size",
        "test_every_image_is_loaded_once[4-sizes2]",
    ),
    "resolved-links": deploy_change(
        "dataloader.py",
        "return sorted(paths)",
        "return sorted(map(os.path.realpath, paths))",
        "test_links_keep_their_names",
    ),
    "replaced-mean": deploy_change(
        "dataloader.py",
        "image_mean=tuple(image_mean)",
        "image_mean=list(image_mean)",
        "test_pixels_are_normalised[mean1-std1]",
    ),
    "other-filter": deploy_change(
        "dataloader.py",
        'interpolation_method="bilinear"',
        'interpolation_method="nearest"',
        "test_the_whole_image_is_resized",
    ),
    "logits": deploy_change(
        "inferencer.py",
        "return exponents / exponents.sum(axis=1, keepdims=True)",
        "return logits",
        "test_the_inferencer_gives_probabilities",
    ),
    "whole-buffer": deploy_change(
        "inferencer.py", "[:len(imgs)]", "", "test_the_inferencer_gives_probabilities"
    ),
    "other-order": deploy_change(
        "utils.py",
        "for index, line in enumerate(f)}",
        "for index, line in enumerate(sorted(f))}",
        "test_classes_are_read_in_the_order_of_the_file",
    ),
    "no-truth": deploy_change(
        "utils.py", 'heading.append("gt_label")', "pass", "test_rows_of_result_csv[True]"
    ),
    "worst-k": deploy_change(
        "utils.py", "np.argsort(-probabilities", "np.argsort(probabilities", "test_top_k"
    ),
    "unresolved": deploy_change(
        "utils.py",
        "OmegaConf.resolve(cfg)",
        "pass",
        "test_paths_are_resolved_before_the_task_has_its_folder",
    ),
    "spec-key": deploy_change(
        "specs/evaluate.yaml", "  img_size: 32", "  size: 32", "test_the_spec_fits_the_schema[evaluate]"
    ),
}


@pytest.fixture(scope="module")
def trainer_runs(
    reference: Reference, tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> dict[Run, UnitTests]:
    """How the tests of the trainer's package end, whole and with every change."""
    folder = tmp_path_factory.mktemp("trainer-runs")
    kit = add_mini_backbone(kit_clone(folder))
    roots = {}
    for kind, processor in PROCESSORS.items():
        roots[kind] = folder / kind
        shutil.copytree(kit / "nvidia_tao_pytorch", roots[kind] / "nvidia_tao_pytorch")
        lay(roots[kind], mini_context(reference, processor), "tao-pytorch")
    runs = [
        Run(tests=TRAINER_TESTS),
        *TRAINER_CHANGES.values(),
        *map(resized, ("crop", "bicubic", "squashed")),
    ]
    options = ("-m", "cv_unit", "-W", "ignore")
    imports = TRAINER_IMPORTS
    return run_all(roots, tao_environment, runs, folder / "out", imports=imports, options=options)


def resized(kind: str) -> Run:
    """Return the run for a package whose resize is not the reference's: without that resize, it fails."""
    return Run(
        file=f"{_TRAINER}dataloader/pl_data_module.py",
        old="if not isinstance(dataset.augmentor, ProcessorResize):",
        new="if False:",
        tests=f"{TRAINER_TESTS}/test_dataloader.py",
        fails="test_the_centre_is_kept" if kind == "crop" else "test_the_whole_image_is_resized",
        kind=kind,
    )


@pytest.fixture(scope="module")
def deploy_runs(
    deploy_clone: Path,
    deploy_values: Callable[[str], ClassificationContext],
    deploy_environment: Environment,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[Run, UnitTests]:
    """How the tests of the deploy package end, whole and with every change."""
    folder = tmp_path_factory.mktemp("deploy-runs")
    lay(deploy_clone, deploy_values("square"), "tao-deploy")
    runs = [Run(tests=DEPLOY_TESTS), *DEPLOY_CHANGES.values()]
    roots = {"square": deploy_clone}
    return run_all(roots, deploy_environment, runs, folder / "out", imports=DEPLOY_IMPORTS)


@pytest.mark.torch_env
def test_the_trainers_tests_pass(trainer_runs: dict[Run, UnitTests]) -> None:
    tests = trainer_runs[Run(tests=TRAINER_TESTS)]
    assert tests.failed == {}
    assert tests.passed > 40
    assert set(tests.skipped) <= {"there is no GPU"}


@pytest.mark.torch_env
@pytest.mark.parametrize("change", TRAINER_CHANGES)
def test_a_wrong_trainer_is_noticed(trainer_runs: dict[Run, UnitTests], change: str) -> None:
    assert_noticed(trainer_runs, TRAINER_CHANGES[change])


@pytest.mark.torch_env
@pytest.mark.parametrize("kind", ["crop", "bicubic", "squashed"])
def test_a_forgotten_resize_is_noticed(trainer_runs: dict[Run, UnitTests], kind: str) -> None:
    assert_noticed(trainer_runs, resized(kind))


@pytest.mark.deploy_env
def test_the_deploy_tests_pass(deploy_runs: dict[Run, UnitTests]) -> None:
    tests = deploy_runs[Run(tests=DEPLOY_TESTS)]
    assert tests.failed == {}
    assert tests.passed > 30
    assert all("trtexec" in reason or "GPU" in reason for reason in tests.skipped)


@pytest.mark.deploy_env
@pytest.mark.parametrize("change", DEPLOY_CHANGES)
def test_a_wrong_deploy_package_is_noticed(deploy_runs: dict[Run, UnitTests], change: str) -> None:
    assert_noticed(deploy_runs, DEPLOY_CHANGES[change])


def assert_noticed(runs: dict[Run, UnitTests], change: Run) -> None:
    failed = [name.rpartition("::")[2] for name in runs[change].failed]
    assert any(name.startswith(change.fails) for name in failed), failed
    # A change that breaks every test would show nothing about the one that is for it.
    assert runs[change].passed


@pytest.mark.parametrize("kind", PROCESSORS)
@pytest.mark.parametrize("repo", ["tao-pytorch", "tao-deploy"])
def test_the_tests_are_clean_and_know_nothing_of_porter(
    reference: Reference,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    repo: Repo,
    kind: str,
) -> None:
    if repo == "tao-deploy":
        values = request.getfixturevalue("deploy_values")(kind)
    else:
        values = mini_context(reference, PROCESSORS[kind])
    files = [file for file in rendered(values, repo) if "tests" in file.path]
    assert len(files) == {"tao-pytorch": 7, "tao-deploy": 2}[repo]
    write(tmp_path / "out", {file.path: file.content for file in files})
    for file in files:
        body = file.content.partition('"""')[2]
        assert not re.search(r"\b(porter|rehears\w*|stand-?ins?)\b", body, re.IGNORECASE)
        assert max(map(len, file.content.splitlines())) <= 110
        marked = "pytestmark = [pytest.mark.cv_unit, pytest.mark.mini_vit]" in body
        assert marked == (repo == "tao-pytorch" and "/test_" in file.path)
        functions = [node for node in ast.walk(ast.parse(file.content)) if isinstance(node, ast.FunctionDef)]
        assert all(ast.get_docstring(node) or node.name.startswith("_") for node in functions)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,W,F", "--ignore", "E501"]
    done = subprocess.run([*command, str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
