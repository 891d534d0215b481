"""The managed environment itself, and that real training fits into the sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from porter.records.sandbox import Environment, Mount, RunSpec
from porter.resources import tree
from porter.sandbox.host import HostSandbox
from tests.conftest import REAL_CACHE

STAND_INS = tree("containers") / "tao-pytorch-7.0.1" / "stand-ins"

TRAIN = """
import torch, pytorch_lightning as pl
from torch.utils.data import DataLoader, TensorDataset

class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 2)
    def training_step(self, batch, index):
        return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])
    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters())

data = TensorDataset(torch.randn(64, 8), torch.randint(0, 2, (64,)))
loader = DataLoader(data, batch_size=8, num_workers=2, shuffle=True)
trainer = pl.Trainer(max_epochs=1, accelerator="cpu", devices=1, enable_progress_bar=False)
trainer.fit(Module(), loader)
print("threads", torch.get_num_threads(), "steps", trainer.global_step)
"""

IMPORTS = """
import onnx, onnxruntime, torch, transformers
import nvidia_tao_pytorch.core.checkpoint_encryption
import nvidia_tao_pytorch.core.cookbooks.tlt_pytorch_cookbook
from nvidia_tao_pytorch.cv.classification_pyt.entrypoint import classification
from nvidia_tao_pytorch.cv.classification_pyt.scripts import evaluate, export, inference, train
print(torch.__version__.split("+")[0], transformers.__version__)
try:
    nvidia_tao_pytorch.core.checkpoint_encryption.encrypt_checkpoint({"state_dict": {}}, "key")
except RuntimeError as error:
    print(error)
"""


def test_stand_ins_load_and_refuse_to_encrypt() -> None:
    source = (
        "import operator\n"
        "from eff.callbacks import BinaryContentCallback, StringContentCallback\n"
        "from eff.codec import decrypt_stream, encrypt_stream, get_random_encryption\n"
        "from eff.core import Archive\n"
        "from eff.core.archive import Archive\n"
        "from eff.core.codec import decrypt_stream, encrypt_stream\n"
        "from eff.utils.object_class import generate_obj_cls\n"
        "from eff.validator.conditions import Expression\n"
        "from eff.validator.validator import validate_metadata\n"
        "from eff_tao_encryption.tao_codec import decrypt_stream, encrypt_stream\n"
        "Expression(operator.eq, 1)\n"
        "for use in (lambda: encrypt_stream(input_stream=1, output_stream=2, passphrase='key'),\n"
        "            get_random_encryption, BinaryContentCallback, Archive.restore_from):\n"
        "    try:\n"
        "        use()\n"
        "    except RuntimeError as error:\n"
        "        print('nvidia-eff' in str(error) and 'not encrypted' in str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={"PYTHONPATH": str(STAND_INS), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n" * 4


@pytest.fixture
def every_processor() -> Iterator[None]:
    """Let the test have the processors of the other workers, too."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    yield
    os.sched_setaffinity(0, own)


@pytest.mark.bwrap
@pytest.mark.torch_env
@pytest.mark.usefixtures("every_processor")
def test_training_with_loader_processes_fits_into_the_default_limits(
    torch_environment: Environment, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "train.py").write_text(TRAIN)
    spec = RunSpec(
        name="train",
        argv=(torch_environment.python, "train.py"),
        cwd=str(out),
        mounts=(Mount(path=str(out), writable=True),),
        variables={"MKL_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
    )
    result = HostSandbox(torch_environment, tmp_path / "runs").run(spec)
    assert result.exit_code == 0, Path(result.log).read_text()
    assert "threads 2 steps 8" in Path(result.log).read_text()
    assert list(out.glob("lightning_logs/*/checkpoints/*.ckpt"))


@pytest.mark.bwrap
@pytest.mark.torch_env
@pytest.mark.real_tao
def test_the_real_clone_imports_in_the_sandbox(torch_environment: Environment, tmp_path: Path) -> None:
    clone = REAL_CACHE / "repos" / "tao-pytorch"
    if not clone.is_dir():
        pytest.skip(f"there is no clone of tao-pytorch in {clone.parent}")
    spec = RunSpec(
        name="imports",
        argv=(torch_environment.python, "-c", IMPORTS),
        cwd=str(clone),
        mounts=(Mount(path=str(clone)),),
        variables={"PYTHONPATH": str(clone), "TAO_VISIBLE_DEVICES": "0"},
    )
    result = HostSandbox(torch_environment, tmp_path / "runs").run(spec)
    log = Path(result.log).read_text()
    assert result.exit_code == 0, log
    assert "2.11.0 4.57.6" in log
    assert "needs the package nvidia-eff" in log
