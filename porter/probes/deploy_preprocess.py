"""Compares the tensors of the deploy loader with those that the trainer's datasets made of the same images.

Request: ``porter.records.engines.LoaderRequest``; answer: ``LoaderAnswer``.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

BATCH = 4
_PICTURED = 4
_SPLITS = {"val": "val", "predict": "test"}
"""Folder by split: what evaluation and inference read."""


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Answer the request."""
    import numpy
    from omegaconf import OmegaConf

    from porter.weights.kernel.pictures import WORST, Album

    schema = imported(request["schema"])
    config = OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.load(request["spec"]))
    section = OmegaConf.select(config, request["section"])
    root = Path(request["root"])
    album = Album(Path(request["pictures"]), *normalisation(request, section))
    checks, batches, problems = [], {}, []
    for split, folder in _SPLITS.items():
        try:
            images = loader_of(request, section, root, split, folder)
            batches_of = [(numpy.asarray(batch), labels) for batch, labels in images]
            loaded = [batch for batch, _ in batches_of]
        except Exception as error:
            traceback.print_exc()
            problems.append(f"{split}: {type(error).__name__}: {error}")
            continue
        batches[split] = [len(batch) for batch in loaded]
        if sum(batches[split]) != len(images.image_paths):
            problems.append(
                f"{split}: {sum(batches[split])} of {len(images.image_paths)} images are in a batch"
            )
        if not loaded:
            continue
        read = {f"{Path(str(path)).stem}.{split}.tao.npy" for path in images.image_paths}
        due = {name for name in request["tensors"] if name.endswith(f".{split}.tao.npy")}
        if due - read:
            problems.append(f"{split}: {len(due - read)} of the trainer's {len(due)} images are not read")
        if request["layout"] == "masks" and split == "val":
            masks = numpy.concatenate([labels for _, labels in batches_of])
            problems += mask_problems(images.image_paths, masks, request["tensors"])
        # Images that keep their ratio have several sizes, one in each batch.
        tensors = [tensor for batch in loaded for tensor in batch]
        dtypes = {str(tensor.dtype) for tensor in tensors} - {"float32"}
        if dtypes:
            problems.append(f"{split}: tensors are {', '.join(dtypes)}, not float32")
        for path, tensor in zip(images.image_paths, tensors, strict=False):
            name = f"{Path(str(path)).stem}.{split}.tao.npy"
            if name not in request["tensors"]:
                problems.append(f"{split}: {Path(str(path)).name} is no image of the trainer's")
                continue
            trainer = numpy.load(request["tensors"][name])
            apart = WORST
            if trainer.shape == tensor.shape:
                gap = float(numpy.abs(trainer.astype(numpy.float64) - tensor.astype(numpy.float64)).max())
                apart = gap if numpy.isfinite(gap) else WORST
            checks.append({"image": Path(str(path)).name, "split": split, "max_abs": apart})
            if split == "val" and len(checks) <= _PICTURED:
                # The review knows an image by the name that it had before it was numbered.
                shown = Path(str(path)).name.partition("-")[2]
                album.tensor(shown, "deploy", tensor)
                album.difference(shown, "deploy", trainer, tensor)
    album.save()
    return {"checks": checks, "batches": batches, "problems": problems}


def loader_of(request: dict[str, Any], section: Any, root: Path, split: str, folder: str) -> Any:
    """Return the generated loader of a split, set up as the scripts set it up."""
    kind, shape = imported(request["loader"]), tuple(request["shape"])
    mean, std = normalisation(request, section)
    more = {"batch_size": BATCH, "image_mean": mean, "image_std": std}
    if request["layout"] == "lists":
        return kind(shape, [str(root / "images.txt")], **more)
    if request["layout"] == "masks":
        palette = imported(request["palette"])(section.palette, section.num_classes)
        masks = [str(root / "masks" / folder)] if split == "val" else None
        return kind(shape, [str(root / "images" / folder)], masks, palette, **more)
    classes = {line: i for i, line in enumerate((root / "classes.txt").read_text().splitlines())}
    return kind(shape, [str(root / folder)], classes, is_inference=split == "predict", **more)


def normalisation(request: dict[str, Any], section: Any) -> tuple[list[float], list[float]]:
    """Return mean and std per channel, of pixels in 0-1."""
    if request["layout"] == "lists":
        pixels = section.test_dataset.augmentation
        return list(pixels.input_mean), list(pixels.input_std)
    return list(section.augmentation.mean), list(section.augmentation.std)


def mask_problems(paths: Any, masks: Any, tensors: dict[str, str]) -> list[str]:
    """Return where masks are not as the trainer's dataset reads them."""
    import numpy

    problems = []
    for path, mask in zip(paths, masks, strict=True):
        stem = Path(str(path)).stem
        trainer = Path(tensors[f"{stem}.val.tao.npy"]).with_name(f"{stem}.val.mask.npy")
        wanted = numpy.squeeze(numpy.load(trainer))
        if wanted.shape != mask.shape or (wanted != mask).any():
            problems.append(f"the mask of {stem} is not as the trainer reads it")
    return problems


def imported(symbol: str) -> Any:
    """Return the object that ``module:name`` names."""
    module, _, name = symbol.partition(":")
    return getattr(importlib.import_module(module), name)


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
