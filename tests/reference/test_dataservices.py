from __future__ import annotations

from pathlib import Path

import pytest

from porter.errors import WorkspaceError
from porter.reference.dataservices import read_coverage
from tests.repositories import repository

MARKER = "nvidia_tao_ds/__init__.py"
FILE = "nvidia_tao_ds/annotations/conversion/mapping.py"
BOXES = 'CONVERSION_MAPPING = {"coco": {"kitti": to_kitti, "odvg": f}, "kitti": {"coco": to_coco}}\n'


def clone(tmp_path: Path, mapping: str) -> Path:
    return repository(tmp_path / "ds", {MARKER: "", FILE: mapping})


def test_without_a_clone_it_says_that_nobody_looked() -> None:
    found = read_coverage(None, "image-classification")
    assert not found.looked_at
    assert not found.covered
    assert "no clone of tao-dataservices" in found.reason


def test_converters_of_boxes_do_not_cover_class_folders(tmp_path: Path) -> None:
    found = read_coverage(clone(tmp_path, BOXES), "image-classification")
    assert found.looked_at
    assert not found.covered
    assert found.converters == ("coco -> kitti", "coco -> odvg", "kitti -> coco")
    assert "no converter for class folders" in found.reason


def test_a_converter_to_class_folders_covers_them(tmp_path: Path) -> None:
    mapping = BOXES.replace('"kitti": {', '"Coco2": {"imagefolder": g}, "kitti": {')
    found = read_coverage(clone(tmp_path, mapping), "image-classification")
    assert found.covered
    assert "coco2 -> imagefolder" in found.reason


@pytest.mark.parametrize("mapping", ["", "CONVERSION_MAPPING = build()\n", "def broken(:\n"])
def test_converters_that_cannot_be_read_are_not_said_to_be_missing(tmp_path: Path, mapping: str) -> None:
    found = read_coverage(clone(tmp_path, mapping), "image-classification")
    assert not found.looked_at
    assert "that porter can read" in found.reason


def test_another_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="not a clone of tao-dataservices"):
        read_coverage(repository(tmp_path / "other", {"setup.py": ""}), "image-classification")
