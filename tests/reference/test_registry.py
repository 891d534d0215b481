"""The backbone registry, read as importing its package would fill it."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.records.reference import BackboneEntry
from porter.reference.modules import Sources
from porter.reference.registry import read_registry
from porter.reference.release import read_release
from porter.reference.source import Snapshot
from tests.real_clones import real_clone
from tests.reference.trees import CV, tao_tree

PACKAGE = "nvidia_tao_pytorch.cv.backbone_v2"
IMPORT = f"from {PACKAGE} import BACKBONE_REGISTRY\n"


def registry(clone: Path, revision: str = "HEAD") -> dict[str, BackboneEntry]:
    release = read_release("tao-pytorch", clone, revision=revision)
    sources = Sources({"tao-pytorch": Snapshot(clone, release.commit)}, release)
    entries = read_registry(sources, PACKAGE, f"{PACKAGE}:BACKBONE_REGISTRY")
    assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
    return {entry.name: entry for entry in entries}


def with_module(root: Path, source: str, *, imported: bool = True) -> Path:
    package = f"{IMPORT.replace(PACKAGE, PACKAGE + '.registry')}from {PACKAGE}.vit import vit_base_patch16\n"
    package += f"from {PACKAGE}.more import anything\n" if imported else ""
    return tao_tree(
        root, {f"{CV}/backbone_v2/__init__.py": package, f"{CV}/backbone_v2/more.py": IMPORT + source}
    )


def test_what_a_factory_passes(tmp_path: Path) -> None:
    entries = registry(tao_tree(tmp_path / "clone"))

    base = entries["vit_base_patch16"]
    assert base.target == f"{PACKAGE}.vit.VisionTransformer"
    assert base.arguments == {
        "dynamic_img_size": True,
        "patch_size": 16,
        "embed_dim": 768,
        "depth": 12,
        "num_heads": 12,
        "mlp_ratio": 4,
        "qkv_bias": True,
        "final_norm": True,
    }
    assert base.accepts_kwargs
    assert entries["vit_base_patch16_mae"].expressions == {
        "norm_layer": "functools.partial(torch.nn.LayerNorm, eps=1e-06)"
    }
    assert entries["vit_huge_patch14"].arguments["depth"] == 32
    assert entries["vit_huge_patch14"].accepts_kwargs


FACTORIES = """
from nvidia_tao_pytorch.cv.backbone_v2.vit import VisionTransformer as Vit
WIDTHS = [8, 16]


@BACKBONE_REGISTRY.register()
def by_constant(**kwargs):
    depth = 4
    ratio = [1] * (depth // 2)
    model = Vit(Block, depth=depth, ratio=ratio, widths=WIDTHS, stem=build(), **kwargs)
    return model


@BACKBONE_REGISTRY.register()
def by_dict(**kwargs):
    return Vit(**dict({}, embed_dim=3, **kwargs))


@BACKBONE_REGISTRY.register()
def swallows(path=None, **kwargs):
    return Vit(depth=1)


@BACKBONE_REGISTRY.register()
class ByClass(Vit):
    def __init__(self, depth=2, **kwargs):
        pass


def by_call(**kwargs):
    return Vit(depth=9, **kwargs)


if True:
    BACKBONE_REGISTRY.register(by_call)


@OTHER_BACKBONE_REGISTRY.register()
def elsewhere(**kwargs):
    return Vit(**kwargs)


for size in (1, 2):
    BACKBONE_REGISTRY.register(make(size))
"""


def test_every_way_to_register_and_to_build(tmp_path: Path) -> None:
    entries = registry(with_module(tmp_path / "clone", FACTORIES))

    assert set(entries) - {"vit_base_patch16", "vit_base_patch16_mae", "vit_huge_patch14"} == {
        "by_constant",
        "by_dict",
        "swallows",
        "ByClass",
        "by_call",
    }
    constant = entries["by_constant"]
    assert constant.target == f"{PACKAGE}.vit.VisionTransformer"
    assert constant.arguments == {"depth": 4, "ratio": [1, 1], "widths": [8, 16]}
    assert constant.expressions == {"*0": "Block", "stem": "build()"}
    assert entries["by_dict"].arguments == {"embed_dim": 3}
    assert entries["by_dict"].accepts_kwargs
    assert not entries["swallows"].accepts_kwargs
    assert entries["ByClass"].target == f"{PACKAGE}.more.ByClass"
    assert entries["by_call"].arguments == {"depth": 9}


def test_a_module_that_nothing_imports_registers_nothing(tmp_path: Path) -> None:
    assert "by_call" not in registry(with_module(tmp_path / "clone", FACTORIES, imported=False))


@pytest.mark.real_tao
@pytest.mark.parametrize(("revision", "count"), [("d99ff77", 122), ("bb8b234", 116)])
def test_the_real_registry_has_the_names_that_a_run_counted(revision: str, count: int) -> None:
    entries = registry(real_clone("tao-pytorch"), revision)

    assert len(entries) == count
    assert all(entry.target for entry in entries.values())
    plain = {name for name, entry in entries.items() if entry.target == f"{PACKAGE}.vit.VisionTransformer"}
    assert plain == {"vit_base_patch16", "vit_large_patch16", "vit_huge_patch14"}
    assert entries["fan_xlarge_16_p4_hybrid"].arguments["channel_dims"] == [528] * 20 + [768] * 3
