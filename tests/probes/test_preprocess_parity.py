from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image, ImageChops

from porter.errors import PorterError
from porter.records.base import from_json
from porter.records.review import PreprocessingPicture, PreprocessingPictures
from porter.records.weights import PreprocessAnswer, PreprocessCheck, PreprocessRequest
from tests.probes.conftest import Bench

pytestmark = pytest.mark.torch_env


def ask(
    bench: Bench, out: Path, images: tuple[str, ...] = (), pictures: Path | None = None, **overrides: Any
) -> PreprocessAnswer:
    request = PreprocessRequest(
        folder=str(bench.model("whole")),
        target=bench.target(**overrides),
        work=str(out),
        images=images,
        pictures=str(pictures or ""),
    )
    write = [out, pictures] if pictures else [out]
    return bench.probe("preprocess_parity", request, PreprocessAnswer, write=write)


def index_of(folder: Path) -> dict[tuple[str, str], PreprocessingPicture]:
    found = from_json((folder / "index.json").read_bytes(), PreprocessingPictures)
    return {(each.image, each.what): each for each in found}


def test_equal_preprocessing_is_equal_for_every_size_and_mode(bench: Bench) -> None:
    out = bench.folder("preprocess")
    answer = ask(bench, out)
    assert answer.processor == "ViTImageProcessor"
    assert answer.within
    assert {each.dataset for each in answer.checks} == {"val", "predict"}
    assert {each.mode for each in answer.checks} == {"RGB", "L", "RGBA", "P", "CMYK", "LA"}
    assert len({each.size for each in answer.checks}) == 10
    assert (answer.fast, answer.worst) == ("", 0)
    for each in answer.checks:
        assert each.max_abs <= 1e-6
        for kept in (each.reference, each.candidate):
            assert _npy_shape(Path(kept)) == "(3, 32, 32)"


def test_other_statistics_are_seen_on_the_images_that_were_given(bench: Bench) -> None:
    out = bench.folder("preprocess-wrong")
    path = out / "given.png"
    Image.new("RGB", (40, 30), (200, 100, 50)).save(path)
    other: dict[str, Any] = {"augmentation.mean": [0.4, 0.5, 0.5]}
    answer = ask(bench, out, (str(path),), **other)
    assert not answer.within
    assert [each.image for each in answer.checks] == [str(path)] * 2
    assert answer.checks[0].max_abs == pytest.approx(0.2)


def test_pictures_show_both_sides_and_where_they_differ(bench: Bench) -> None:
    out, pictures = bench.folder("preprocess-pictures"), bench.folder("pictures")
    ask(bench, out, pictures=pictures)
    found = index_of(pictures)
    assert {what for _, what in found} == {"source", "huggingface", "trainer", "trainer-difference"}
    assert len({image for image, _ in found}) == 4
    for (_, what), each in found.items():
        with Image.open(pictures / each.file) as image:
            assert image.size == each.shape[:0:-1] if what != "source" else max(image.size) <= 320
    first = "rgb-300x200.png"
    equal = found[first, "trainer-difference"]
    assert (equal.max_abs, equal.different) == (0, 0)
    with Image.open(pictures / found[first, "huggingface"].file) as ours:
        ours.load()
    with Image.open(out / "drawn" / first) as source:
        near = source.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
    assert max(ImageChops.difference(ours, near).tobytes()) <= 1

    # A trainer that normalises otherwise looks otherwise; its pictures take the place of those before.
    darker: dict[str, Any] = {"augmentation.mean": [0.7, 0.5, 0.5]}
    ask(bench, bench.folder("preprocess-darker"), pictures=pictures, **darker)
    again = index_of(pictures)
    assert again.keys() == found.keys()
    worst = again[first, "trainer-difference"]
    assert worst.max_abs == pytest.approx(0.4)
    assert worst.different == pytest.approx(1 / 3)
    with Image.open(pictures / worst.file) as image:
        assert image.getextrema() == (255, 255)
    with Image.open(pictures / again[first, "trainer"].file) as other:
        assert max(ImageChops.difference(ours, other).getchannel("R").tobytes()) > 40


_DEPLOY = """
import json, sys
from pathlib import Path
sys.modules["torch"] = None  # the deploy environment has none
import numpy
from porter.weights.kernel.pictures import Album
folder = Path(sys.argv[1])
first = Album(folder, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
equal = numpy.zeros((3, 4, 6), numpy.float32)
first.tensor("a.png", "trainer", equal)
first.save()
other = equal.copy()
other[1, 2, 3] = 0.25
broken = equal.copy()
broken[0, 0, 0] = numpy.nan
second = Album(folder, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
second.tensor("a.png", "deploy", other)
second.difference("a.png", "deploy", equal, other)
second.difference("b.png", "deploy", equal, broken)
second.difference("c.png", "deploy", equal, equal[:, :2])
second.save()
print(json.dumps("done"))
"""


def test_another_probe_adds_its_pictures_without_torch(bench: Bench) -> None:
    folder = bench.folder("pictures-deploy")
    bench.python(_DEPLOY, folder)
    found = index_of(folder)
    assert set(found) == {
        ("a.png", "trainer"),
        ("a.png", "deploy"),
        *((name, "deploy-difference") for name in ("a.png", "b.png", "c.png")),
    }
    one = found["a.png", "deploy-difference"]
    assert one.max_abs == 0.25
    assert one.different == pytest.approx(1 / 72)
    with Image.open(folder / one.file) as image:
        assert image.size == (6, 4)
        assert [image.getpixel((x, y)) for x, y in ((3, 2), (0, 0))] == [255, 0]
    with Image.open(folder / found["a.png", "deploy"].file) as image:
        assert image.getpixel((3, 2)) == (128, 159, 128)
    for name, files in (("b.png", True), ("c.png", False)):
        entry = found[name, "deploy-difference"]
        assert entry.max_abs is not None
        assert entry.max_abs > 1e300
        assert bool(entry.file) == files


def test_files_that_the_dataset_does_not_take_are_named(bench: Bench) -> None:
    out = bench.folder("preprocess-suffix")
    taken, left = out / "taken.png", out / "left.bmp"
    for path in (taken, left):
        Image.new("RGB", (9, 9)).save(path)
    with pytest.raises(PorterError) as caught:
        ask(bench, out, (str(taken), str(left)))
    assert "left.bmp" in caught.value.why
    assert "taken.png" not in caught.value.why
    with pytest.raises(PorterError) as caught:
        ask(bench, out, (str(left),))
    assert "cannot be set up" in caught.value.what


def test_a_request_of_no_image_at_all_is_never_within() -> None:
    empty = PreprocessAnswer(processor="x", tolerance=1.0, checks=())
    assert not msgspec.structs.replace(empty).within


@pytest.mark.parametrize(
    ("changes", "within"),
    [
        ({"max_abs": 1e-6}, True),
        ({"max_abs": 2e-6}, False),
        ({"max_abs": 2e-6, "largest": 40.0}, True),
        ({"max_abs": 1.0, "exact": False, "levels": 7.0}, True),
        ({"max_abs": 0.0, "levels": 9.0}, False),
    ],
)
def test_what_is_within_the_bounds(changes: dict[str, Any], within: bool) -> None:
    given: dict[str, Any] = {
        "image": "a",
        "mode": "RGB",
        "size": (1, 1),
        "dataset": "val",
        "shape": (3, 1, 1),
    }
    check = PreprocessCheck(reference="r", candidate="c", **{**given, **changes})
    assert PreprocessAnswer(processor="x", tolerance=1e-6, checks=(check,)).within == within


def _npy_shape(path: Path) -> str:
    header = path.read_bytes()[10:128].decode("latin-1")
    return header.split("'shape': ")[1].split("), ")[0] + ")"


_MASKS = """
import json, sys
from pathlib import Path
import numpy
from PIL import Image
from porter.probes.preprocess_parity import _Processors, _place_with_masks
folder = Path(sys.argv[1])
Image.new("RGB", (40, 30)).save(folder / "a.png")
answers = []
for reduced in (False, True):
    settings = {"image_processor_type": "SegformerImageProcessor", "size": {"height": 8, "width": 8},
                "do_reduce_labels": reduced}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    request = {"folder": str(folder), "fast": False, "mode": "RGB", "levels": 1, "section": "x",
               "shift": int(reduced), "classes": 3, "cropped": False}
    placed, _ = _place_with_masks([folder / "a.png"], folder / "data", request, None)
    (name,) = placed
    with Image.open(folder / "data" / "masks" / "val" / f"{Path(name).stem}.png") as opened:
        levels = numpy.unique(numpy.asarray(opened)).tolist()
        small = numpy.asarray(opened.resize((8, 8), Image.Resampling.NEAREST)).astype(int)
    meant = numpy.where((small == 255) | (small < int(reduced)), 255, small - int(reduced))
    nearest, cropped = _Processors(request), _Processors({**request, "cropped": True})
    with Image.open(folder / "a.png") as image:
        merged = numpy.where(meant == 2, 1, meant)
        apart = [each.labels(image, folder / "data", name, masks)["labels"]
                 for masks in (meant, meant[None], (meant + 1) % 3, merged) for each in (nearest, cropped)]
        cut = cropped.labels(image, folder / "data", name, meant[:4])["labels"]
    answers.append({"levels": levels, "apart": apart, "cut": cut, "third": int((meant == 2).sum())})
print(json.dumps(answers))
"""


def test_pixels_of_another_class_are_counted_whether_labels_are_reduced_or_not(bench: Bench) -> None:
    plain, reduced = bench.python(_MASKS, bench.folder("masks"))
    assert plain["levels"] == [0, 1, 2, 255]
    assert reduced["levels"] == [0, 1, 2, 3, 255]
    for found in (plain, reduced):
        assert found["third"] > 0
        assert found["apart"] == [0, 0, 0, 0, 64, 64, found["third"], found["third"]]
        assert found["cut"] == 64
