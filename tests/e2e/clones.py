"""Clones with one more backbone: a ViT so small that a whole port of it takes seconds.

porter finds a backbone by reading the clone's registry, so a port of a small transformers ViT goes
through everything that a port of ViT-Base goes through.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.repositories import git

_MINI = '''

@BACKBONE_REGISTRY.register()
def vit_mini_patch16(**kwargs):
    """A ViT of two blocks."""
    return VisionTransformer(
        dynamic_img_size=True,
        patch_size=16,
        embed_dim=48,
        depth=2,
        num_heads=3,
        mlp_ratio=4,
        qkv_bias=True,
        final_norm=True,
        **kwargs,
    )
'''

CONFIG = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 192,
    "image_size": 32,
    "patch_size": 16,
}


def add_mini_backbone(clone: Path) -> Path:
    """Commit the small backbone to *clone*, a repository with a checked-out branch."""
    package = clone / "nvidia_tao_pytorch" / "cv" / "backbone_v2"
    vit = package / "vit.py"
    vit.write_text(vit.read_text() + _MINI)
    init = package / "__init__.py"
    text = init.read_text()
    assert "    vit_base_patch16,\n" in text
    init.write_text(
        text.replace("    vit_base_patch16,\n", "    vit_base_patch16,\n    vit_mini_patch16,\n", 1)
    )
    git(clone, "add", "nvidia_tao_pytorch/cv/backbone_v2")
    # A clone may lack blobs that its sparse checkout leaves out; `git commit` would insist on them.
    tree = git(clone, "write-tree", "--missing-ok")
    commit = git(clone, "commit-tree", tree, "-p", "HEAD", "-m", "add a small backbone")
    git(clone, "update-ref", "refs/heads/main", commit)
    return clone


def private_clone(original: Path, folder: Path) -> Path:
    """Return a clone of *original* with the same sparse patterns, to commit to."""
    git(original, "clone", "-q", "--no-checkout", "--shared", str(original), str(folder))
    patterns = Path(
        git(original, "rev-parse", "--path-format=absolute", "--git-path", "info/sparse-checkout")
    )
    if patterns.is_file():
        git(folder, "config", "core.sparseCheckout", "true")
        target = folder / ".git" / "info" / "sparse-checkout"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(patterns, target)
    git(folder, "checkout", "-q", "-B", "main", "HEAD")
    return folder


def kit_clone(folder: Path) -> Path:
    """Return a repository with the embedded kit, in *folder*."""
    from porter.embedded.materialise import materialise_tao_pytorch

    return materialise_tao_pytorch(folder)
