"""Compares what the Hugging Face image processor and TAO's datasets make of the same image files.

Request: ``porter.records.weights.PreprocessRequest``; answer: ``PreprocessAnswer``. The processor is
given ``image.convert("RGB")``, as transformers' own pipelines give it, or what mode the model takes.

A processor that resizes with torchvision is compared by levels of 255, and the one of the same name that
resizes with Pillow exactly, except of images that these two make something else of.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

DRAWN = (
    ("RGB", 300, 200, "png"),
    ("RGB", 64, 64, "jpg"),
    ("L", 48, 96, "png"),
    ("RGBA", 500, 333, "png"),
    ("P", 257, 100, "png"),
    ("RGB", 7, 31, "png"),
    ("RGB", 211, 320, "jpg"),
    ("CMYK", 120, 90, "jpg"),
    ("L", 90, 70, "JPEG"),
    ("LA", 33, 65, "png"),
)
"""Mode, width, height and ending of the images that are drawn where none are given."""

_CLASS = "porter_preprocess"
_PICTURED = 4


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Send every image through both sides and keep the tensors for the review."""
    import numpy
    from omegaconf import OmegaConf
    from PIL import Image

    from porter.weights.kernel.models import experiment, import_name
    from porter.weights.kernel.serve import ProbeError

    work = Path(request["work"])
    images = [Path(each) for each in request["images"]] or _draw(work / "drawn", request["least_edge"])
    datasets = work / "preprocess"
    layout = LAYOUTS[request["layout"]]
    target = {**request["target"], "classes": []}
    shipped = OmegaConf.select(experiment(target, {}, work), request["section"])
    placed, overrides = layout.place(images, datasets, request, shipped)
    processors = _Processors(request)
    config = OmegaConf.select(experiment(target, overrides, work), request["section"])
    kind = import_name(target["data_module"])
    try:
        module = kind(config)
        module.setup("fit")
        module.setup("predict")
    except Exception as error:
        raise ProbeError(
            f"the data module {kind.__name__} cannot be set up with the test images",
            why=f"{type(error).__name__}: {error}",
            next_step="run it by hand on a folder of images",
        ) from error
    checks, std = [], [float(each) for each in OmegaConf.select(config, layout.std)]
    for split, dataset in (("val", module.val_dataset), ("predict", getattr(module, layout.predicted))):
        found = [dataset[index] for index in range(len(dataset))]
        items = {Path(item["name"]).name: item[layout.image] for item in found}
        labels = {Path(item["name"]).name: item["mask"] for item in found if "mask" in item}
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
                reference, measured = processors.compare(image, items[name].numpy(), std)
                if name in labels:
                    numpy.save(work / f"{Path(name).stem}.val.mask.npy", labels[name].numpy())
                    measured |= processors.labels(image, datasets, name, labels[name].numpy())
            kept = [work / f"{Path(name).stem}.{split}.{side}.npy" for side in ("hf", "tao")]
            numpy.save(kept[0], reference)
            numpy.save(kept[1], items[name].numpy())
            checks.append(
                {
                    "image": str(path),
                    "mode": mode,
                    "size": list(size),
                    "dataset": split,
                    "shape": list(items[name].shape),
                    "reference": str(kept[0]),
                    "candidate": str(kept[1]),
                    **measured,
                }
            )
    if request["pictures"]:
        _picture(checks, processors.first, Path(request["pictures"]))
    return {
        "processor": type(processors.first).__name__,
        "fast": type(processors.fast).__name__ if processors.fast is not None else "",
        "tolerance": request["tolerance"],
        "levels": request["levels"],
        "checks": checks,
    }


class _Processors:
    """The model's image processor, with Pillow and, where the model asks for it, with torchvision."""

    def __init__(self, request: dict[str, Any]) -> None:
        from porter.weights.kernel.processing import load_processor
        from porter.weights.kernel.serve import ProbeError

        folder = request["folder"]
        self.slow = load_processor(folder)
        self.fast = load_processor(folder, fast=True) if request["fast"] or self.slow is None else None
        self.first = self.slow if self.slow is not None else self.fast
        if self.first is None:
            raise ProbeError(
                "transformers has no image processor for the model",
                next_step="check preprocessor_config.json",
            )
        self._mode, self._bound = request["mode"], request["levels"]
        self._shift, self._cropped = request["shift"], request["cropped"]

    def compare(self, image: Any, candidate: Any, std: Any) -> tuple[Any, dict[str, Any]]:
        """Return what the processor makes of *image*, and how far *candidate* is from it."""
        import numpy

        from porter.weights.kernel.compare import WORST
        from porter.weights.kernel.processing import process

        def apart(one: Any, other: Any, scale: Any) -> float:
            if one.shape != other.shape:
                return WORST
            gap = numpy.abs(one.astype(numpy.float64) - other.astype(numpy.float64)) * scale
            return float(gap.max()) if numpy.isfinite(gap).all() else WORST

        levels = 255 * numpy.asarray(std, numpy.float64)[:, None, None]
        reference: Any = None
        measured, exact = None, False
        if self.slow is not None:
            reference = process(self.slow, image, self._mode)
            exact = True
        if self.fast is not None:
            quick = process(self.fast, image, self._mode)
            measured = apart(quick, candidate, levels)
            exact = exact and apart(quick, reference, levels) <= self._bound
            reference = reference if exact else quick
        return reference, {
            "max_abs": apart(reference, candidate, 1.0),
            "largest": float(numpy.abs(reference).max()),
            "levels": measured,
            "exact": exact,
        }

    def labels(self, image: Any, root: Path, name: str, candidate: Any) -> dict[str, int]:
        """Return how many pixels of a mask have another class than they should.

        Some processors resize masks like images, and give pixels between two classes a third one. Where a
        processor does nothing but resize, the nearest pixel of the file is right, whatever it makes of it.
        """
        import numpy
        from PIL import Image

        with Image.open(root / "masks" / "val" / f"{Path(name).stem}.png") as opened:
            # The processor writes into it where it reduces labels.
            mask = numpy.array(opened)
        found = numpy.squeeze(candidate)
        assert self.first is not None
        made = self.first(image.convert(self._mode), segmentation_maps=mask, return_tensors="np")
        theirs = _unequal(_label_map(made), found)
        if self._cropped:
            return {"labels": theirs}
        with Image.open(root / "masks" / "val" / f"{Path(name).stem}.png") as opened:
            small = opened.resize(found.shape[::-1], resample=Image.Resampling.NEAREST)
            wanted = numpy.asarray(small).astype(numpy.int64)
        if self._shift:
            wanted = numpy.where((wanted == 0) | (wanted == 255), 255, wanted - 1)
        return {"labels": _unequal(wanted, found), "processor_labels": theirs}


def _label_map(made: Any) -> Any:
    """Return the classes (H, W) that an image processor makes of a mask, 255 for none."""
    import numpy

    if "labels" in made:
        return numpy.asarray(made["labels"][0])
    # Those for models with queries cut the mask into one for each class.
    masks = numpy.asarray(made["mask_labels"][0])
    found = numpy.full(masks.shape[1:], 255, numpy.int64)
    for mask, label in zip(masks, made["class_labels"][0], strict=True):
        found[mask > 0] = label
    return found


def _unequal(wanted: Any, found: Any) -> int:
    return int((wanted != found).sum()) if wanted.shape == found.shape else int(wanted.size)


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


Placed = tuple[dict[str, Path], dict[str, Any]]
"""The images by their new names, and what the experiment config says where they lie."""


def _place(images: list[Path], root: Path, request: dict[str, Any], config: Any) -> Placed:
    """Copy the images into class folders of a val and a test split."""
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
    section = request["section"]
    return placed, {
        f"{section}.root_dir": str(root),
        f"{section}.train_dataset.images_dir": str(root / "val"),
        f"{section}.val_dataset.images_dir": str(root / "val"),
        f"{section}.test_dataset.images_dir": str(root / "test"),
        f"{section}.workers": 0,
    }


def _place_with_masks(images: list[Path], root: Path, request: dict[str, Any], config: Any) -> Placed:
    """Copy the images into every split, and draw masks in which every class is seen, and pixels of none."""
    import numpy
    from PIL import Image

    shutil.rmtree(root, ignore_errors=True)
    placed = {}
    for split in ("train", "val", "test"):
        (root / "images" / split).mkdir(parents=True)
        (root / "masks" / split).mkdir(parents=True)
    levels = [*range(request["shift"], request["classes"] + request["shift"]), 255]
    levels += [0] if request["shift"] else []
    for number, path in enumerate(images):
        name = f"{number:03d}-{path.name}"
        with Image.open(path) as opened:
            width, height = opened.size
        y, x = numpy.mgrid[0:height, 0:width]
        mask = numpy.asarray(levels, numpy.uint8)[(x // 7 + 3 * (y // 5) + number) % len(levels)]
        for split in ("train", "val", "test"):
            shutil.copyfile(path, root / "images" / split / name)
            if split != "test":
                Image.fromarray(mask).save(root / "masks" / split / f"{Path(name).stem}.png")
        placed[name] = path
    return placed, {f"{request['section']}.root_dir": str(root), f"{request['section']}.workers": 0}


def _place_in_lists(images: list[Path], root: Path, request: dict[str, Any], config: Any) -> Placed:
    """Copy the images into a folder, and write a list of them that every task reads."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    placed = {f"{number:03d}-{path.name}": path for number, path in enumerate(images)}
    for name, path in placed.items():
        shutil.copyfile(path, root / name)
    (root / "images.txt").write_text("".join(f"{name}\n" for name in placed), encoding="utf-8")
    overrides: dict[str, Any] = {}
    for task in ("train", "val", "test", "infer"):
        [source] = config[f"{task}_dataset"].data_sources
        key = f"{request['section']}.{task}_dataset"
        named = {"dataset_name": source["dataset_name"], "data_file": str(root / "images.txt")}
        overrides |= {f"{key}.data_sources": [named], f"{key}.workers": 0}
    return placed, overrides


class Layout(NamedTuple):
    """How datasets lie on disk, and what data modules that read them so call things.

    Attributes:
        place: puts the images where a dataset has them.
        image: key of the image in an item.
        std: key of the deviation in the section of the experiment config.
        predicted: the attribute of the data module with the dataset that inference reads.
    """

    place: Callable[[list[Path], Path, dict[str, Any], Any], Placed]
    image: str = "img"
    std: str = "augmentation.std"
    predicted: str = "predict_dataset"


LAYOUTS = {
    "folders": Layout(_place),
    "masks": Layout(_place_with_masks),
    "lists": Layout(_place_in_lists, "image", "val_dataset.augmentation.input_std", "infer_dataset"),
}


def _draw(folder: Path, least: int) -> list[Path]:
    """Draw seeded images with edges, gradients and noise, in several modes and sizes from *least* on."""
    import numpy
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, (mode, width, height, ending) in enumerate(DRAWN):
        if min(width, height) < least:
            continue
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
        path = folder / f"{mode.lower()}-{width}x{height}.{ending}"
        image.save(path)
        paths.append(path)
    return paths


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
