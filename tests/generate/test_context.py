"""What the image processor does is what the generated data module does."""

from __future__ import annotations

import pytest

from porter.errors import ModelRejectedError
from porter.generate.values import mode_of, normalisation_of, pascal_case, resize_of
from porter.records.inspection import ProcessorFacts

HALF = (0.5, 0.5, 0.5)
SIZE = (224, 224)


def facts(**changes: object) -> ProcessorFacts:
    values = {"kind": "ViTImageProcessor", "size": (224, 224), "mean": HALF, "std": HALF} | changes
    return ProcessorFacts(**values)  # type: ignore[arg-type]


def test_a_bilinear_square_needs_no_code() -> None:
    assert resize_of(facts(), SIZE) is None


def test_another_filter_needs_a_resize() -> None:
    resize = resize_of(facts(resample=3), SIZE)
    assert resize is not None
    assert (resize.resample, resize.shortest_edge) == ("BICUBIC", None)


def test_a_centre_crop_keeps_its_ratio() -> None:
    resize = resize_of(facts(size=None, shortest_edge=256, crop=(224, 224), resample=3), SIZE)
    assert resize is not None
    assert resize.shortest_edge == 256
    assert resize.ratio[0] * 224 == 256


def test_a_centre_crop_of_a_square_keeps_its_ratio() -> None:
    resize = resize_of(facts(size=(256, 256), crop=(224, 224), resample=3), SIZE)
    assert resize is not None
    assert (resize.sides, resize.shortest_edge, resize.ratio[0] * 224) == ((256, 256), None, 256)


def test_a_crop_to_the_size_of_the_resize_is_none() -> None:
    assert resize_of(facts(crop=(224, 224)), SIZE) is None


def test_a_crop_may_be_larger_than_the_image() -> None:
    resize = resize_of(facts(size=None, shortest_edge=224, crop=(256, 256)), (256, 256))
    assert resize is not None
    assert resize.ratio[0] == 224 / 256


def test_sizes_that_are_no_squares() -> None:
    plain = resize_of(facts(size=(224, 160)), (224, 160))
    assert plain is not None
    assert (plain.sides, plain.shortest_edge) == (None, None)
    cropped = resize_of(facts(size=(256, 240), crop=(224, 160)), (224, 160))
    assert cropped is not None
    assert cropped.ratio == (256 / 224, 240 / 160)
    by_edge = resize_of(facts(size=None, shortest_edge=200, crop=(224, 160)), (224, 160))
    assert by_edge is not None
    assert by_edge.ratio == (1.25, 1.25)


@pytest.mark.parametrize(("mode", "more"), [("L", {}), ("RGBA", {}), ("RGB", {"flipped": True})])
def test_what_is_not_red_green_blue_needs_code(mode: str, more: dict[str, object]) -> None:
    resize = resize_of(facts(**more), SIZE, mode)
    assert resize is not None
    assert resize.flipped == bool(more)


def test_channels_that_no_image_has() -> None:
    assert [mode_of(channels) for channels in (1, 3, 4)] == ["L", "RGB", "RGBA"]
    with pytest.raises(ModelRejectedError, match="5 channels"):
        mode_of(5)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": (256, 256)},
        {"size": (224, 192)},
        {"size": None, "shortest_edge": 224},
        {"size": None, "shortest_edge": 256, "crop": (240, 240)},
        {"size": None, "crop": (224, 224)},
    ],
)
def test_a_processor_of_another_size_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ModelRejectedError, match="images of 224 x 224"):
        resize_of(facts(**changes), SIZE)


def test_mean_and_std_stay_where_pixels_are_divided_by_255() -> None:
    pixels = normalisation_of(facts())
    assert (pixels.mean, pixels.std) == (HALF, HALF)


@pytest.mark.parametrize(("factor", "scale"), [(1 / 127.5, 2.0), (None, 255.0)])
def test_another_rescale_is_folded_into_mean_and_std(factor: float | None, scale: float) -> None:
    pixels = normalisation_of(facts(rescale_factor=factor))
    value = 200.0
    ours = (value / 255 - pixels.mean[0]) / pixels.std[0]
    processor = (value * (1.0 if factor is None else factor) - 0.5) / 0.5
    assert ours == pytest.approx(processor)
    assert pixels.mean[0] == pytest.approx(0.5 / scale)


def test_no_normalisation_is_mean_0_and_std_1() -> None:
    pixels = normalisation_of(facts(mean=(), std=()))
    assert (pixels.mean, pixels.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert normalisation_of(facts(mean=(), std=()), 1).std == (1.0,)


def test_class_prefix() -> None:
    assert pascal_case("vit_base_patch16_224") == "VitBasePatch16224"
