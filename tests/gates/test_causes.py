"""A failing gate names its likely cause."""

from __future__ import annotations

import pytest

from porter.gates.causes import likely_cause

LOGS = [
    ("ModuleNotFoundError: No module named 'eff.codec'", "eff.codec"),
    ("KeyError: \"No object named 'vit_x' found in 'BACKBONE' registry!\"", "registry"),
    ("FileNotFoundError: [Errno 2] '/r/evaluate/train/m_model_latest.pth'", "${results_dir}"),
    ("RuntimeError: size mismatch for head.weight: copying a param", "head.weight"),
    ("Error(s): Missing key(s) in state_dict: a, b", "tensor names"),
    ("Epoch 3: loss=nan", "NaN"),
    ("torch.onnx.errors.UnsupportedOperatorError: Exporting the operator 'aten::fft' to", "aten::fft"),
    ("RuntimeError: CUDA out of memory. Tried", "Memory ran out"),
    ("ValueError: Dataset size (1) is smaller than the total batch size (2).", "only 1 images"),
    ("torch.distributed.DistBackendError: NCCL error", "multi-GPU"),
]


@pytest.mark.parametrize(("log", "said"), LOGS)
def test_the_cause_is_named(log: str, said: str) -> None:
    cause, fix = likely_cause(f"Traceback\n{log}\n")
    assert said in cause
    assert fix


def test_an_unknown_failure_has_no_invented_cause() -> None:
    assert likely_cause("something else entirely") == ("", "")
