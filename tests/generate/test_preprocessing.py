"""The one contract of preprocessing: image processor, data module and deploy loader make the same tensors."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import msgspec
import pytest

from porter import processors, resources
from porter.generate.context import ClassificationContext
from porter.generate.values import mode_of
from porter.records.engines import LoaderAnswer, LoaderRequest
from porter.records.reference import Reference
from porter.records.sandbox import Environment
from porter.records.weights import PreprocessAnswer, PreprocessRequest, TargetSpec
from tests.e2e.conftest import deploy_clone
from tests.generate.test_compose import RESNET, Fed, context
from tests.models import ROOT, read, serve

__all__ = ["deploy_clone"]

pytestmark = pytest.mark.torch_env

KIT = ROOT / "porter" / "embedded" / "kit" / "tao-pytorch"
_HALF: dict[str, Any] = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
_EDGE: dict[str, Any] = {"size": {"shortest_edge": 36}, "crop_size": 32}


def named(stem: str, **settings: Any) -> dict[str, Any]:
    return {"image_processor_type": f"{stem}ImageProcessor", **settings}


# Model types of the families, each with the processor that its checkpoints have.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("vit", named("ViT", size=32, **_HALF)),
    "vit without rescale": ("vit", named("ViT", size=32, do_rescale=False, do_normalize=False)),
    "vit grey": ("vit", named("ViT", size=32, image_mean=[0.4], image_std=[0.3])),
    "vit with transparency": ("vit", named("ViT", size=32, image_mean=[0.4] * 4, image_std=[0.3] * 4)),
    "swin": ("swin", named("ViT", size=32, resample=3)),
    "deit": ("deit", named("DeiT", size=37, crop_size=32)),
    "beit": ("beit", named("Beit", size=32, do_center_crop=False)),
    "data2vec": ("data2vec-vision", named("Beit", size=36, crop_size=32)),
    "convnext": ("convnext", named("ConvNext", size={"shortest_edge": 32}, crop_pct=0.875, resample=3)),
    "resnet": ("resnet", {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 32}),
    "dinov2": ("dinov2", named("Bit", **_EDGE)),
    "clip": ("clip", named("CLIP", size=32, crop_size=32)),
    "siglip": ("siglip", named("Siglip", size={"height": 32, "width": 32})),
    "efficientnet": ("efficientnet", named("EfficientNet", size=32)),
    "efficientnet from -1 to 1": (
        "efficientnet",
        named("EfficientNet", size=32, rescale_factor=1 / 127.5, rescale_offset=True, **_HALF),
    ),
    "levit": ("levit", named("Levit", size=28, crop_size=28)),
    "mobilenet": ("mobilenet_v2", named("MobileNetV2", size=37, crop_size=32)),
    "mobilevit": ("mobilevit", named("MobileViT", **_EDGE)),
    "mobilevit beyond the image": (
        "mobilevit",
        named("MobileViT", size={"shortest_edge": 27}, crop_size=32),
    ),
    "poolformer": ("poolformer", named("PoolFormer", size=32, crop_size=32)),
    "pvt": ("pvt", named("Pvt", size=32)),
    "fast vit with transparency": (
        "vit",
        named("ViT", size=32, image_mean=[0.4] * 4, image_std=[0.3] * 4, resample=3),
    ),
    "fast vit": ("vit", named("ViT", size=32, **_HALF)),
    "fast deit": ("deit", named("DeiT", size=37, crop_size=32)),
    "fast convnext": ("convnext", named("ConvNext", size={"shortest_edge": 32}, crop_pct=0.875)),
    "fast clip": ("clip", named("CLIP", **_EDGE)),
    "fast mobilevit": ("mobilevit", named("MobileViT", **_EDGE)),
    "fast efficientnet": ("efficientnet", named("EfficientNet", size=32)),
}
CHANNELS = {"vit grey": 1, "vit with transparency": 4, "fast vit with transparency": 4}
MODES = {"RGB", "L", "RGBA", "P", "CMYK", "LA"}

_LOADERS = """
import importlib.util, json, sys
jobs, target, root = json.load(open(sys.argv[1])), sys.argv[2], sys.argv[3]
spec = importlib.util.spec_from_file_location("probe", f"{root}/porter/probes/deploy_preprocess.py")
probe = importlib.util.module_from_spec(spec)
spec.loader.exec_module(probe)
json.dump([probe.run(job) for job in jobs], open(target, "w"), allow_nan=False)
"""


def rendered(template: str, values: ClassificationContext) -> str:
    """Return one file of the templates; copier renders whole trees, which takes a second each."""
    from porter.generate.filters import LiteralFilters

    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.tree("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=[LiteralFilters],
        autoescape=False,
    )
    return jinja.get_template(template).render(values.template_data())


class Contract:
    """Each case: its settings, what porter reads of them, and the template values."""

    def __init__(self, name: str, reference: Reference) -> None:
        self.name = name
        self.channels = CHANNELS.get(name, 3)
        self.model_type, self.settings = CASES[name]
        if name.startswith("fast "):
            kind = self.settings["image_processor_type"] + "Fast"
            self.settings = {**self.settings, "image_processor_type": kind}
        kind = processors.class_name(self.settings, {"model_type": self.model_type})
        self.facts = processors.facts(kind, self.settings, self.channels)
        size = processors.output_size(self.facts)
        assert size is not None
        self.values = context(reference, RESNET, fed=Fed(size, self.channels, self.facts))
        self.module = "case_" + "".join(c if c.isalnum() else "_" for c in name)


@pytest.fixture(scope="module")
def contracts(reference: Reference) -> dict[str, Contract]:
    return {name: Contract(name, reference) for name in CASES}


@pytest.fixture(scope="module")
def trained(
    contracts: dict[str, Contract], tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, PreprocessAnswer]]:
    """What the generated data modules make of the drawn images, held against the image processors."""
    work = tmp_path_factory.mktemp("contract")
    (work / "spec.yaml").write_text("model: {head: {topk: [1]}}\n")
    jobs: list[tuple[str, Any]] = []
    for each in contracts.values():
        folder = work / each.module
        folder.mkdir()
        config = {"model_type": each.model_type, "num_channels": each.channels}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "preprocessor_config.json").write_text(json.dumps(each.settings))
        path = f"tao_pytorch/{each.values.reference}/nvidia_tao_pytorch/cv/{{{{ name }}}}"
        source = rendered(f"{path}/dataloader/pl_data_module.py.jinja", each.values)
        (work / f"{each.module}.py").write_text(source)
        target = TargetSpec(
            package_root=str(KIT),
            config="nvidia_tao_pytorch.config.classification_pyt.default_config:ExperimentConfig",
            spec=str(work / "spec.yaml"),
            builder="",
            pl_module="",
            data_module=f"{each.module}:{each.values.prefix}DataModule",
            overrides={
                "dataset.num_classes": 1,
                "dataset.img_size": each.values.img_size,
                "dataset.augmentation.mean": list(each.values.mean),
                "dataset.augmentation.std": list(each.values.std),
                "dataset.augmentation.random_color.enable": False,
            },
            classes=(),
        )
        (folder / "work").mkdir()
        request = PreprocessRequest(
            folder=str(folder),
            target=target,
            work=str(folder / "work"),
            mode=mode_of(each.channels),
            fast=each.facts.fast,
        )
        jobs.append(("preprocess_parity", request))
    answers = serve(tao_environment, work, jobs)
    return work, {
        name: read(answer, PreprocessAnswer) for name, answer in zip(contracts, answers, strict=True)
    }


@pytest.fixture(scope="module")
def deployed(
    contracts: dict[str, Contract],
    trained: tuple[Path, dict[str, PreprocessAnswer]],
    deploy_clone: Path,
    deploy_environment: Environment,
) -> dict[str, LoaderAnswer]:
    """What the generated deploy loaders make of the same images, held against the data modules."""
    work, answers = trained
    requests = []
    for name, each in contracts.items():
        path = f"tao_deploy/{each.values.reference}/nvidia_tao_deploy/cv/{{{{ name }}}}"
        source = rendered(f"{path}/dataloader.py.jinja", each.values)
        (work / f"loader_{each.module}.py").write_text(source)
        spec = work / each.module / "deploy.yaml"
        pixels = {"mean": list(each.values.mean), "std": list(each.values.std)}
        spec.write_text(json.dumps({"dataset": {"augmentation": pixels}}))
        request = LoaderRequest(
            loader=f"loader_{each.module}:{each.values.prefix}Loader",
            shape=(each.channels, each.values.height, each.values.width),
            spec=str(spec),
            schema="nvidia_tao_deploy.config.classification_pyt.default_config:ExperimentConfig",
            root=str(work / each.module / "work" / "preprocess"),
            tensors={Path(check.candidate).name: check.candidate for check in answers[name].checks},
            pictures=str(work / each.module / "pictures"),
            tolerance=0.0,
        )
        requests.append(request)
    asked, answered = work / "deploy.json", work / "deployed.json"
    asked.write_bytes(msgspec.json.encode(requests))
    done = subprocess.run(
        [deploy_environment.python, "-c", _LOADERS, str(asked), str(answered), str(ROOT)],
        cwd=work,
        capture_output=True,
        text=True,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(work),
            "PYTHONPATH": os.pathsep.join([str(deploy_clone), str(ROOT), *deploy_environment.python_path]),
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(answered.read_bytes())
    return {name: read(answer, LoaderAnswer) for name, answer in zip(contracts, found, strict=True)}


@pytest.mark.parametrize("name", CASES)
def test_the_trainer_sees_what_the_processor_makes(
    contracts: dict[str, Contract], trained: tuple[Path, dict[str, PreprocessAnswer]], name: str
) -> None:
    answer = trained[1][name]
    levels = max(check.levels or 0.0 for check in answer.checks)
    print(f"{name}: {answer.processor} {answer.fast} max {answer.worst:.1e} levels {levels:.2f}")
    assert contracts[name].facts.caveats == ()
    assert answer.within
    assert {check.mode for check in answer.checks} == MODES
    assert {Path(check.image).suffix for check in answer.checks} == {".png", ".jpg", ".JPEG"}
    assert all(check.shape[0] == contracts[name].channels for check in answer.checks)
    # Images are left to the levels alone where the two processors differ: only that of torchvision rounds
    # half a pixel up, and only Pillow weighs colours with their transparency.
    differ = ("fast convnext", "fast vit with transparency")
    assert all(check.exact for check in answer.checks) == (name not in differ)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("fast ")])
def test_a_processor_of_torchvision_is_measured(
    trained: tuple[Path, dict[str, PreprocessAnswer]], name: str
) -> None:
    answer = trained[1][name]
    assert answer.fast.endswith("Fast")
    assert not answer.processor.endswith("Fast")
    assert all(check.levels is not None and check.levels <= answer.levels for check in answer.checks)
    assert "efficientnet" in name or any(check.levels for check in answer.checks)


@pytest.mark.deploy_env
@pytest.mark.parametrize("name", CASES)
def test_the_deploy_loader_sees_the_same(deployed: dict[str, LoaderAnswer], name: str) -> None:
    answer = deployed[name]
    worst = max(check.max_abs for check in answer.checks)
    print(f"{name}: deploy {worst:.1e} over {len(answer.checks)}")
    assert answer.problems == ()
    assert len(answer.checks) == 20
    assert worst == 0
