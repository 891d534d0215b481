"""Pickle-only models: what the sandbox reads of them, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from porter import safetensors
from porter.errors import ModelRejectedError
from porter.records.probes import PicklesRead, ReadPickles
from porter.records.sandbox import Environment, Mount
from porter.sandbox.base import run_probe
from porter.sandbox.host import HostSandbox
from tests.models import python

pytestmark = pytest.mark.torch_env

MAKE = """
import sys, torch
from pathlib import Path
root = Path(sys.argv[1])
torch.manual_seed(0)
base = torch.randn(4, 6)
state = {"b": base[1], "a": base.t(), "half": torch.randn(3).half(), "n": torch.tensor(7), "tied": base}
def put(name, value, **options):
    (root / name).mkdir()
    torch.save(value, root / name / "pytorch_model.bin", **options)
put("zip", state)
put("legacy", state, _use_new_zipfile_serialization=False)
put("parameters", {"w": torch.nn.Parameter(torch.ones(2, 2))})
put("nested", {"state_dict": state})
put("list", [base])
put("number", {"epoch": 3})
put("module", torch.nn.Linear(2, 2))
class Evil:
    def __reduce__(self):
        return (open, (str(root / "evil" / "opened"), "w"))
put("evil", {"w": base, "x": Evil()})
(root / "cut").mkdir()
whole = (root / "zip" / "pytorch_model.bin").read_bytes()
(root / "cut" / "pytorch_model.bin").write_bytes(whole[: len(whole) // 2])
(root / "text").mkdir()
(root / "text" / "pytorch_model.bin").write_text("version https://git-lfs.github.com/spec/v1\\n")
(root / "sharded").mkdir()
torch.save({"a": base}, root / "sharded" / "one.bin")
torch.save({"b": base + 1}, root / "sharded" / "two.bin")
torch.save({"a": base}, root / "sharded" / "again.bin")
"""

COMPARE = """
import sys, torch
from safetensors.torch import load_file
from safetensors import safe_open
source = torch.load(sys.argv[1], weights_only=True)
found = load_file(sys.argv[2])
assert set(found) == set(source), set(found)
for name, tensor in source.items():
    assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name
with safe_open(sys.argv[2], "pt") as file:
    assert file.metadata() == {"format": "pt"}
"""


@pytest.fixture(scope="module")
def pickles(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pickles")
    root.chmod(0o755)
    python(tao_environment, MAKE, str(root), cwd=root)
    return root


def read(
    sandbox: HostSandbox, folder: Path, out: Path, files: tuple[str, ...] = ("pytorch_model.bin",)
) -> PicklesRead:
    out.mkdir(exist_ok=True)
    return run_probe(
        sandbox,
        "read_pickles",
        ReadPickles(folder=str(folder), files=files, target=str(out / "model.safetensors")),
        PicklesRead,
        mounts=(Mount(path=str(folder)), Mount(path=str(out), writable=True)),
        error=ModelRejectedError,
    )


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_every_tensor_arrives_as_it_was(
    tao_sandbox: HostSandbox, tao_environment: Environment, pickles: Path, tmp_path: Path, form: str
) -> None:
    answer = read(tao_sandbox, pickles / form, tmp_path / "out")
    assert (answer.tensors, answer.shared) == (5, (("a", "b", "tied"),))
    target = tmp_path / "out" / "model.safetensors"
    assert [tensor.name for tensor in safetensors.read_file(target)] == ["a", "b", "half", "n", "tied"]
    assert target.stat().st_mode & 0o004
    made = str(pickles / form / "pytorch_model.bin")
    python(tao_environment, COMPARE, made, str(target), cwd=tmp_path)


def test_shards_become_one_file_and_none_may_repeat_another(
    tao_sandbox: HostSandbox, pickles: Path, tmp_path: Path
) -> None:
    assert read(tao_sandbox, pickles / "sharded", tmp_path / "out", ("one.bin", "two.bin")).tensors == 2
    with pytest.raises(ModelRejectedError, match=r"again\.bin holds 'a'"):
        read(tao_sandbox, pickles / "sharded", tmp_path / "other", ("one.bin", "again.bin"))


REFUSED: dict[str, tuple[str, ...]] = {
    "evil": ("open", "runs code"),
    "module": ("torch.nn.modules.linear.Linear", "runs code"),
    "nested": ("state_dict", "not a tensor"),
    "number": ("epoch", "not a tensor"),
    "list": ("no table of tensors",),
    "cut": ("damaged",),
    "text": ("pytorch_model.bin",),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_more_than_plain_weights_is_refused_by_name(
    tao_sandbox: HostSandbox, pickles: Path, tmp_path: Path, case: str
) -> None:
    with pytest.raises(ModelRejectedError) as caught:
        read(tao_sandbox, pickles / case, tmp_path / "out")
    error: Any = caught.value
    text = f"{error.what} {error.why}"
    assert "pytorch_model.bin" in text
    assert all(word in text for word in REFUSED[case]), text
    assert error.next_step
    assert not (tmp_path / "out" / "model.safetensors").exists()
    assert not (pickles / "evil" / "opened").exists()
