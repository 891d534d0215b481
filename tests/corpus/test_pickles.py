"""Pickles that run code where they are opened: opened in every engine by the real reader, they run none."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from porter.errors import ModelRejectedError
from porter.records.probes import PicklesRead, ReadPickles
from porter.records.sandbox import Environment, Mount
from porter.sandbox import facts
from porter.sandbox.base import Sandbox, run_probe
from porter.sandbox.host import HostSandbox
from tests.corpus.folders import evil_pickle
from tests.sandbox.conftest import container_sandbox


def zipped(data: bytes) -> bytes:
    """Return what torch.save writes, with *data* in place of its pickle and a file that climbs out."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("archive/data.pkl", data)
        target.writestr("archive/version", "3\n")
        target.writestr("../../porter-canary-ran", "ran")
    return archive.getvalue()


PICKLES = {
    "pickle": evil_pickle(),
    "zip": zipped(evil_pickle()),
    "zip cut off": zipped(evil_pickle())[:-20],
    "no pickle": b"\x93NUMPY\x01\x00" + bytes(64),
}


@pytest.fixture(params=["host", "podman", "docker"])
def sandbox(request: pytest.FixtureRequest, tao_environment: Environment, world: Path) -> Iterator[Sandbox]:
    work = world / "work" / "port"
    work.mkdir()
    if request.param == "host":
        if not facts.machine().bwrap:
            pytest.skip(f"bubblewrap is not used here: {facts.machine().problem}")
        yield HostSandbox(tao_environment, work / "runs")
        return
    with container_sandbox(request.getfixturevalue(request.param), tao_environment, work) as made:
        yield made


def test_no_pickle_runs_code_and_each_is_refused_by_name(sandbox: Sandbox, world: Path) -> None:
    for name, data in PICKLES.items():
        model, out = world / "work" / f"model-{len(name)}", world / "work" / f"out-{len(name)}"
        for folder in (model, out):
            folder.mkdir()
        (model / "pytorch_model.bin").write_bytes(data)
        target = str(out / "model.safetensors")
        request = ReadPickles(folder=str(model), files=("pytorch_model.bin",), target=target)
        with pytest.raises(ModelRejectedError) as caught:
            run_probe(
                sandbox,
                "read_pickles",
                request,
                PicklesRead,
                mounts=[Mount(path=str(model)), Mount(path=str(out), writable=True)],
                error=ModelRejectedError,
            )
        assert "pytorch_model.bin" in f"{caught.value.what} {caught.value.why}", name
        assert not list(out.iterdir()), name
