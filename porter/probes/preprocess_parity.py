"""Compares what the Hugging Face image processor and TAO's datasets make of the same image files.

Request: ``porter.records.weights.PreprocessRequest``; answer: ``PreprocessAnswer``. The processor is
given ``image.convert("RGB")``, as transformers' own pipelines give it.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

DRAWN = (
    ("RGB", 300, 200),
    ("RGB", 64, 64),
    ("L", 48, 96),
    ("RGBA", 500, 333),
    ("P", 257, 100),
    ("RGB", 7, 31),
)
"""Mode, width and height of the images that are drawn where none are given."""

_CLASS = "porter_preprocess"
_PICTURED = 4


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Send every image through both sides and keep the tensors for the review."""
    import numpy
    from PIL import Image
    from transformers import AutoImageProcessor

    from porter.weights.kernel.compare import WORST
    from porter.weights.kernel.models import experiment, import_name
    from porter.weights.kernel.serve import ProbeError

    work = Path(request["work"])
    images = [Path(each) for each in request["images"]] or _draw(work / "drawn")
    datasets = work / "preprocess"
    placed = _place(images, datasets)
    processor = AutoImageProcessor.from_pretrained(request["folder"], use_fast=False, local_files_only=True)
    target = {**request["target"], "classes": []}
    overrides = {
        "dataset.root_dir": str(datasets),
        "dataset.train_dataset.images_dir": str(datasets / "val"),
        "dataset.val_dataset.images_dir": str(datasets / "val"),
        "dataset.test_dataset.images_dir": str(datasets / "test"),
        "dataset.workers": 0,
    }
    config = experiment(target, overrides, work)
    kind = import_name(target["data_module"])
    try:
        module = kind(config.dataset)
        module.setup("fit")
        module.setup("predict")
    except Exception as error:
        raise ProbeError(
            f"the data module {kind.__name__} cannot be set up with the test images",
            why=f"{type(error).__name__}: {error}",
            next_step="run it by hand on a folder of images",
        ) from error
    checks = []
    for split, dataset in (("val", module.val_dataset), ("predict", module.predict_dataset)):
        items = {Path(item["name"]).name: item["img"] for item in (dataset[i] for i in range(len(dataset)))}
        if set(items) != set(placed):
            missing = ", ".join(sorted(set(placed) - set(items)))
            raise ProbeError(
                f"the {split} dataset does not hold the images that were put into its folder",
                why=f"missing: {missing or 'none; it holds others'}",
                next_step="compare the dataset's image suffixes with the files",
            )
        for name, path in placed.items():
            with Image.open(path) as image:
                mode, size = image.mode, image.size
                # timm's processor makes torch tensors only.
                made = processor(image.convert("RGB"), return_tensors="pt")
            reference = numpy.asarray(made["pixel_values"])[0].astype(numpy.float32)
            candidate = items[name].numpy()
            apart = WORST
            if reference.shape == candidate.shape:
                gap = numpy.abs(reference.astype(numpy.float64) - candidate.astype(numpy.float64)).max()
                apart = float(gap) if numpy.isfinite(gap) else WORST
            kept = [work / f"{Path(name).stem}.{split}.{side}.npy" for side in ("hf", "tao")]
            numpy.save(kept[0], reference)
            numpy.save(kept[1], candidate)
            checks.append(
                {
                    "image": str(path),
                    "mode": mode,
                    "size": list(size),
                    "dataset": split,
                    "shape": list(candidate.shape),
                    "max_abs": apart,
                    "reference": str(kept[0]),
                    "candidate": str(kept[1]),
                }
            )
    if request["pictures"]:
        _picture(checks, processor, Path(request["pictures"]))
    return {
        "processor": type(processor).__name__,
        "tolerance": request["tolerance"],
        "checks": checks,
    }


def _picture(checks: list[dict[str, Any]], processor: Any, folder: Path) -> None:
    """Keep pictures of the first images: as they lie there, by both sides, and how far these are apart."""
    import numpy
    from PIL import Image

    from porter.weights.kernel.pictures import Album

    album = Album(folder, *_normalisation(processor))
    for path in list(dict.fromkeys(check["image"] for check in checks))[:_PICTURED]:
        worst = max((check for check in checks if check["image"] == path), key=lambda each: each["max_abs"])
        reference, candidate = numpy.load(worst["reference"]), numpy.load(worst["candidate"])
        name = Path(path).name
        with Image.open(path) as image:
            album.source(name, image)
        album.tensor(name, "huggingface", reference)
        album.tensor(name, "trainer", candidate)
        album.difference(name, "trainer", reference, candidate)
    album.save()


def _normalisation(processor: Any) -> tuple[Any, Any]:
    """Return mean and std of an image processor; empty where it does not normalise."""
    given = getattr(processor, "data_config", None)
    if isinstance(given, dict):
        return given["mean"], given["std"]
    return getattr(processor, "image_mean", ()), getattr(processor, "image_std", ())


def _place(images: list[Path], root: Path) -> dict[str, Path]:
    """Copy the images into class folders of a val and a test split; return them by their new names."""
    shutil.rmtree(root, ignore_errors=True)
    placed = {}
    for split in ("val", "test"):
        (root / split / _CLASS).mkdir(parents=True)
    for number, path in enumerate(images):
        name = f"{number:03d}-{path.name}"
        for split in ("val", "test"):
            shutil.copyfile(path, root / split / _CLASS / name)
        placed[name] = path
    (root / "classes.txt").write_text(f"{_CLASS}\n", encoding="utf-8")
    return placed


def _draw(folder: Path) -> list[Path]:
    """Draw seeded images with edges, gradients and noise, in several sizes and modes."""
    import numpy
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, (mode, width, height) in enumerate(DRAWN):
        chance = numpy.random.default_rng(number)
        y, x = numpy.mgrid[0:height, 0:width]
        channels = [
            (x * (3 + c) + y * (7 - c)) % 256 if c % 2 else 255 * ((x // 5 + y // 3) % 2) for c in range(3)
        ]
        pixels = numpy.stack(channels, axis=-1) * 0.7 + chance.integers(0, 77, (height, width, 3))
        image = Image.fromarray(pixels.clip(0, 255).astype(numpy.uint8), "RGB")
        if mode == "RGBA":
            image.putalpha(Image.fromarray(((x * 255) // width).astype(numpy.uint8), "L"))
        elif mode == "P":
            image = image.quantize(32)
        elif mode != "RGB":
            image = image.convert(mode)
        path = folder / f"{mode.lower()}-{width}x{height}.png"
        image.save(path)
        paths.append(path)
    return paths


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
