from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from porter import hub
from porter.errors import ModelRejectedError
from porter.inspection import inspect
from porter.records.inspection import ExportAttempt, ModelProbe
from porter.records.probes import InspectModel, MadeModel
from porter.records.sandbox import Environment, Mount
from porter.sandbox.base import run_probe
from porter.sandbox.host import HostSandbox
from porter.support import reject_unexportable, reject_unloadable
from tests.models import LABELS, ROOT, make_models, python, read, request, serve

pytestmark = pytest.mark.torch_env

CLASSES = {
    "vit": "ViTForImageClassification",
    "sharded": "ViTForImageClassification",
    "half": "ViTForImageClassification",
    "deit": "DeiTForImageClassificationWithTeacher",
    "resnet": "ResNetForImageClassification",
    "swin": "SwinForImageClassification",
    "tied": "DabDetrForObjectDetection",
}


@pytest.fixture(scope="module")
def folders(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folders by name; treat them as read-only."""
    root = tmp_path_factory.mktemp("models")
    names = ("vit", "deit", "resnet", "swin", "tied", "vit-body")
    models = {name: request(root / name, name) for name in names}
    models["sharded"] = request(root / "sharded", "vit", shard_bytes=60_000)
    models["half"] = request(root / "half", "vit", dtype="bfloat16")
    models["again"] = request(root / "again", "vit")
    make_models(tao_environment, root, models)
    return root


def asking(folder: Path, architecture: str, **changes: Any) -> InspectModel:
    return InspectModel(
        folder=str(folder), architecture=architecture, **{"head": True, "image_size": (32, 32), **changes}
    )


@pytest.fixture(scope="module")
def probes(tao_environment: Environment, folders: Path) -> dict[str, ModelProbe]:
    """What the probe says about each folder."""
    jobs = [
        ("inspect_model", asking(folders / name, cls, image_size=(64, 64) if name == "tied" else (32, 32)))
        for name, cls in CLASSES.items()
    ]
    answers = serve(tao_environment, folders / "answers", list(jobs))
    return {name: read(answer, ModelProbe) for name, answer in zip(CLASSES, answers, strict=True)}


def test_models_are_made_alike_and_every_tensor_is_perturbed(folders: Path) -> None:
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        assert (folders / "vit" / name).read_bytes() == (folders / "again" / name).read_bytes()
    found = inspect(hub.resolve(str(folders / "vit")))
    assert found.labels == LABELS
    assert found.image_size == (32, 32)
    assert found.processor is not None
    assert found.processor.size == (32, 32)


def test_the_layer_that_makes_the_logits(probes: dict[str, ModelProbe]) -> None:
    heads = {name: probes[name].head for name in ("vit", "resnet", "swin")}
    found = {name: (head.linear, head.in_features) for name, head in heads.items() if head}
    assert found == {"vit": ("classifier", 32), "resnet": ("classifier.1", 16), "swin": ("classifier", 32)}
    # Two heads make the logits of a distilled DeiT; none of them does alone.
    deit = probes["deit"].head
    assert deit is not None
    assert (deit.linear, deit.others, deit.combined) == ("cls_classifier", ("distillation_classifier",), True)


def test_stages_go_from_the_input_to_the_last_layer(probes: dict[str, ModelProbe]) -> None:
    assert probes["vit"].stages == ("vit.embeddings", "vit.encoder.layer.0", "vit.encoder.layer.1")
    assert probes["resnet"].stages == (
        "resnet.embedder",
        "resnet.encoder.stages.0",
        "resnet.encoder.stages.1",
    )
    assert probes["swin"].stages == ("swin.embeddings", "swin.encoder.layers.0", "swin.encoder.layers.1")


def test_feature_maps_have_four_axes(probes: dict[str, ModelProbe]) -> None:
    found = {name: probes[name].maps for name in ("vit", "resnet", "swin")}
    assert found == {"vit": "", "resnet": "hidden_states", "swin": "reshaped_hidden_states"}


def test_headers_agree_with_what_transformers_loads(folders: Path, probes: dict[str, ModelProbe]) -> None:
    for name in ("vit", "sharded", "resnet", "swin"):
        found = inspect(hub.resolve(str(folders / name)))
        assert found.architecture == CLASSES[name]
        headers = {(t.name, t.shape, t.dtype) for t in found.tensors}
        assert headers == {(t.name, t.shape, t.dtype) for t in probes[name].state}
    assert len({t.file for t in inspect(hub.resolve(str(folders / "sharded"))).tensors}) > 1
    assert {t.dtype for t in inspect(hub.resolve(str(folders / "half"))).tensors} == {"BF16"}
    assert {t.dtype for t in probes["half"].state} == {"F32"}


def test_buffers_are_told_from_parameters(probes: dict[str, ModelProbe]) -> None:
    buffers = {t.name.rpartition(".")[2] for t in probes["resnet"].state if t.buffer}
    assert buffers == {"running_mean", "running_var", "num_batches_tracked"}
    assert not any(t.buffer for t in probes["vit"].state)


def test_nothing_is_missing_from_whole_models(probes: dict[str, ModelProbe]) -> None:
    for name in ("vit", "sharded", "half", "deit", "resnet", "swin"):
        assert (probes[name].missing, probes[name].unexpected) == ((), ())
        assert probes[name].tied == ()


def test_tied_tensors_are_grouped(folders: Path, probes: dict[str, ModelProbe]) -> None:
    assert (
        "bbox_predictor.layers.0.weight",
        "model.decoder.bbox_embed.layers.0.weight",
    ) in probes["tied"].tied
    found = inspect(hub.resolve(str(folders / "tied")))
    assert len(found.tensors) < len(probes["tied"].state)
    reject_unloadable(found, probes["tied"])


def test_heads(probes: dict[str, ModelProbe]) -> None:
    heads = {name: probe.head for name, probe in probes.items()}
    for name, tensors in {
        "vit": ("classifier.bias", "classifier.weight"),
        "swin": ("classifier.bias", "classifier.weight"),
        "resnet": ("classifier.1.bias", "classifier.1.weight"),
    }.items():
        head = heads[name]
        assert head is not None
        assert (head.prefix, head.tensors, head.separable) == ("classifier", tensors, True)
    deit = heads["deit"]
    assert deit is not None
    assert deit.separable
    assert deit.prefix == "cls_classifier + distillation_classifier"
    assert len(deit.tensors) == 4


def test_outputs_and_exports(probes: dict[str, ModelProbe]) -> None:
    assert probes["vit"].output_shapes == {"logits": (1, 3)}
    for name in ("vit", "half", "deit", "resnet", "swin"):
        (attempt,) = probes[name].exports
        assert (attempt.ok, attempt.opset, attempt.exporter) == (True, 17, "legacy")
        error = probes[name].max_relative_error
        assert error is not None
        assert 0 < error < 1e-4
    assert probes["vit"].exports[0].attention == "sdpa"
    assert probes["resnet"].exports[0].attention == "eager"


def test_whole_probe_in_the_sandbox(folders: Path, tao_sandbox: HostSandbox) -> None:
    answer = run_probe(
        tao_sandbox,
        "inspect_model",
        asking(folders / "vit", CLASSES["vit"]),
        ModelProbe,
        mounts=(Mount(path=str(folders / "vit")),),
    )
    assert answer.transformers == "4.57.6"
    assert answer.exports[-1].ok
    assert not list(tao_sandbox.runs.rglob("*.onnx"))


def test_model_is_made_in_the_sandbox(tao_sandbox: HostSandbox, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    made = run_probe(
        tao_sandbox,
        "make_demo_model",
        request(work / "vit", "vit"),
        MadeModel,
        mounts=(Mount(path=str(work), writable=True),),
    )
    assert made.files == ("config.json", "model.safetensors", "preprocessor_config.json")
    assert inspect(hub.resolve(str(work / "vit"))).architecture == "ViTForImageClassification"


def test_expected_failures_are_told(tao_environment: Environment, folders: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    shutil.copytree(folders / "vit", wrong)
    config = json.loads((wrong / "config.json").read_text())
    (wrong / "config.json").write_text(json.dumps({**config, "hidden_size": 48, "num_attention_heads": 3}))
    missing = tmp_path / "missing"
    shutil.copytree(folders / "vit-body", missing)
    changed = {**config, "architectures": ["ViTForImageClassification"]}
    (missing / "config.json").write_text(json.dumps(changed))
    told = serve(
        tao_environment,
        tmp_path / "answers",
        [
            ("inspect_model", asking(wrong, "ViTForImageClassification")),
            ("inspect_model", asking(folders / "vit", "ViTForWorldPeace")),
            ("inspect_model", asking(folders / "vit", "AutoModel")),
            ("inspect_model", asking(folders / "vit", "ViTForImageClassification", image_size=(40, 40))),
            ("inspect_model", asking(missing, "ViTForImageClassification", dynamo=False)),
        ],
    )
    assert "cannot be built" in told[0]["error"]["what"]
    assert "no model class ViTForWorldPeace" in told[1]["error"]["what"]
    assert "no model class AutoModel" in told[2]["error"]["what"]
    assert "does not run on an image" in told[3]["error"]["what"]
    probe = read(told[4], ModelProbe)
    assert set(probe.missing) == {"classifier.weight", "classifier.bias"}
    with pytest.raises(ModelRejectedError, match="do not fill"):
        reject_unloadable(inspect(hub.resolve(str(missing))), probe)


ATTEMPTS = """
import importlib.util, json, sys
import torch
import torch.nn.functional as F
spec = importlib.util.spec_from_file_location("probe", sys.argv[1] + "/porter/probes/inspect_model.py")
probe = importlib.util.module_from_spec(spec)
spec.loader.exec_module(probe)

class Net(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 3, 3, padding=1)
        self.blocks = torch.nn.ModuleList([torch.nn.Identity(), inner])

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return (x,)

def module(function):
    class Inner(torch.nn.Module):
        def forward(self, x):
            return function(x)
    return Net(Inner()).eval()

cases = {
    "plain": lambda x: torch.relu(x),
    "alias": lambda x: torch.special.gammainc(x.abs() + 1, x.abs() + 1),
    "eigh": lambda x: torch.linalg.eigh(x @ x.transpose(-1, -2))[0],
    "fold": lambda x: F.fold(F.unfold(x, 2, stride=2), (8, 8), 2, stride=2),
    "pool": lambda x: F.adaptive_avg_pool2d(x, 5),
    "flow": lambda x: x * 2 if x.shape[0] > 1 else x - 5,
}
torch.set_grad_enabled(False)
torch.manual_seed(0)
inputs = torch.randn(2, 3, 8, 8)
found = {}
for name, exporter, opset in json.loads(sys.argv[3]):
    outcome, worst = probe.export(module(cases[name]), inputs, exporter, opset, 1e-3)
    found[f"{name} {exporter} {opset}"] = [outcome, worst]
json.dump(found, open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def attempts(
    tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[ExportAttempt, float | None]]:
    """Outcomes of single exports of small modules, by case, exporter and opset."""
    work = tmp_path_factory.mktemp("attempts")
    cases = [
        ("plain", "legacy", 17),
        ("plain", "dynamo", 18),
        ("eigh", "legacy", 17),
        ("eigh", "dynamo", 18),
        ("alias", "legacy", 17),
        ("fold", "legacy", 17),
        ("pool", "legacy", 17),
        ("flow", "legacy", 17),
        ("flow", "dynamo", 18),
    ]
    python(tao_environment, ATTEMPTS, str(ROOT), str(work / "found.json"), json.dumps(cases), cwd=work)
    found = json.loads((work / "found.json").read_text())
    return {
        key: (
            read(
                {**outcome, "opset": int(key.split()[2]), "exporter": key.split()[1], "attention": "eager"},
                ExportAttempt,
            ),
            worst,
        )
        for key, (outcome, worst) in found.items()
    }


@pytest.mark.parametrize("way", ["plain legacy 17", "plain dynamo 18"])
def test_export_that_works(attempts: dict[str, tuple[ExportAttempt, float | None]], way: str) -> None:
    attempt, worst = attempts[way]
    assert attempt.ok
    assert worst is not None
    assert worst < 1e-5


@pytest.mark.parametrize(
    ("way", "operator", "help_"),
    [
        ("eigh legacy 17", "aten::linalg_eigh", "rewrite blocks.1 without"),
        ("eigh dynamo 18", "aten::_linalg_eigh", "rewrite blocks.1 without"),
        ("alias legacy 17", "aten::igamma", "rewrite blocks.1 without"),
        ("fold legacy 17", "aten::col2im", "opset 18"),
        ("pool legacy 17", "aten::adaptive_avg_pool2d", "averaging matrices"),
    ],
)
def test_operator_without_a_translation_is_named_with_its_module(
    attempts: dict[str, tuple[ExportAttempt, float | None]], way: str, operator: str, help_: str
) -> None:
    attempt, worst = attempts[way]
    assert not attempt.ok
    assert worst is None
    assert attempt.operator == operator
    assert attempt.module == "blocks.1"
    assert help_ in attempt.workaround
    assert attempt.error


def test_export_with_wrong_numbers_does_not_count(
    attempts: dict[str, tuple[ExportAttempt, float | None]],
) -> None:
    attempt, worst = attempts["flow legacy 17"]
    assert not attempt.ok
    assert worst is not None
    assert worst > 1e-3
    assert "differs from torch" in attempt.error
    assert not attempts["flow dynamo 18"][0].ok


def test_rejection_names_operator_module_and_workaround(
    folders: Path, attempts: dict[str, tuple[ExportAttempt, float | None]]
) -> None:
    exports = tuple(attempts[way][0] for way in ("eigh legacy 17", "eigh dynamo 18"))
    probe = ModelProbe(transformers="4.57.6", state=(), exports=exports)
    with pytest.raises(ModelRejectedError) as caught:
        reject_unexportable(inspect(hub.resolve(str(folders / "vit"))), probe)
    text = str(caught.value)
    assert "aten::linalg_eigh" in text
    assert "blocks.1" in text
    assert "rewrite" in text
