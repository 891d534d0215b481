"""Every bad folder is refused by the name of its file, or is harmless; nothing of it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter import hub, inspection, support
from porter.errors import ModelRejectedError
from porter.records.inspection import Inspection
from tests.corpus.conftest import KEY, TOKEN
from tests.corpus.folders import FOLDERS, Folder
from tests.model_folders import write_model


def judge(folder: Path) -> Inspection:
    """Do with a folder what porter does before it starts a sandbox."""
    source = hub.resolve(str(folder))
    found = inspection.inspect(source)
    support.check_supported(found, "4.57.6")
    return found


@pytest.mark.parametrize("case", FOLDERS, ids=lambda case: case.name.replace(" ", "-"))
def test_a_folder_is_refused_by_name_or_harmless(
    case: Folder, world: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = world / "work" / "model"
    case.make(folder)
    if case.words:
        with pytest.raises(ModelRejectedError) as caught:
            judge(folder)
        told = str(caught.value)
        for word in case.words:
            assert word in told
        assert "\x1b" not in told
        assert caught.value.next_step
        assert TOKEN not in told
        assert KEY not in told
    else:
        found = judge(folder)
        assert found.tensors
    said = capfd.readouterr()
    assert TOKEN not in said.out + said.err
    # The same cache serves the next model.
    assert judge(write_model(world / "work" / "good")).labels == ("cat", "dog", "fox")


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len(FOLDERS) >= 80
    assert len({case.name for case in FOLDERS}) == len(FOLDERS)
