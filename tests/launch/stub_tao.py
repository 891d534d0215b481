"""A virtual environment with a command that looks like TAO's: it reads a spec and leaves what TAO leaves.

The command stands in for the network alone. What starts it, watches it and reads its files is real.
"""

from __future__ import annotations

import json
import sys
import venv
from pathlib import Path
from typing import Any

_COMMAND = """\
import json, os, sys, time
from pathlib import Path

import yaml

action, spec = sys.argv[1], yaml.safe_load(Path(sys.argv[3]).read_text())
control = json.loads(Path(__file__).with_name("control.json").read_text())
results = Path(spec["results_dir"]) / action
results.mkdir(parents=True, exist_ok=True)
print("secrets:", sorted(name for name in os.environ if name.endswith(("_KEY", "_TOKEN"))))
print("telemetry:", os.environ.get("TELEMETRY_OPT_OUT"))
train, lines = spec.get("train", {}), []


def say(**values):
    lines.append(json.dumps({"date": "11/29/2026", "time": "10:00:00", "status": "RUNNING", **values}))
    (results / "status.json").write_text("\\n".join(lines) + "\\n")


rate = float(train.get("optim", {}).get("lr", 1e-3))
with Path(__file__).with_name("calls").open("ab") as calls:
    calls.write(b".")
    number = calls.tell()
fails = control["fails"]
if action in fails and (not fails[action] or number in fails[action]):
    print("Traceback (most recent call last):")
    print("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.")
    sys.exit(1)
if action == "train":
    start = 0
    resume = train.get("resume_training_checkpoint_path")
    if resume:
        start = int(Path(resume).read_text())
        print("resumed from", resume)
    epochs = train.get("num_epochs", 2)
    say(message="Starting Training Loop.")
    for epoch in range(start, epochs):
        time.sleep(control.get("seconds", 0.0))
        value = 1.0 - abs(rate - 0.005) * 10 + epoch / 1000
        if control.get("measures", True):
            say(kpi={control["metric"]: str(value)}, message="Eval metrics generated.")
        say(epoch=epoch, max_epoch=epochs - 1, time_per_epoch="0:00:01", eta="0:00:00", message="in progress")
        (results / control["checkpoint"]).write_text(str(epoch + 1))
        (results / f"model_epoch_{epoch:03d}_step_00001.pth").write_text(str(epoch + 1))
elif action == "evaluate":
    seen = Path(spec["evaluate"]["checkpoint"]).read_text()
    say(kpi={"evaluated": seen}, message="Evaluation metrics generated.")
elif action == "export":
    # TAO reads this when it has put the action's folder behind results_dir.
    place = spec["export"]["onnx_file"].replace("${results_dir}", str(results))
    Path(place).write_text("onnx of " + Path(spec["export"]["checkpoint"]).read_text())
elif action == "inference":
    (results / "result.csv").write_text(Path(spec["inference"]["checkpoint"]).read_text())
say(message=f"{action.capitalize()} finished successfully.", status="SUCCESS")
"""


class StubTao:
    """The environment and what its command does.

    Attributes:
        prefix: folder of the environment.
    """

    def __init__(self, folder: Path, command: str, metric: str, checkpoint: str) -> None:
        self.prefix = folder
        venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
        packages = next(path for path in sys.path if path.endswith("site-packages"))
        inside = next(folder.glob("lib/python*/site-packages"))
        (inside / "ours.pth").write_text(f"{packages}\n")
        (folder / "bin" / command).write_text(_COMMAND)
        self._control: dict[str, Any] = {"metric": metric, "checkpoint": checkpoint, "fails": {}}
        self.set()

    def set(self, **values: Any) -> None:
        """Change what the command does.

        Args:
            values: ``seconds`` of an epoch; ``fails``, by action which of the calls from now on fail, counted
                from 1, an empty list for all; ``measures``, whether a training reports its metric.
        """
        self._control |= values
        # A call that begins meanwhile sees the old control or the new one, never half of one.
        control, calls = self.prefix / "bin" / "control.json", self.prefix / "bin" / "calls"
        fresh = control.with_suffix(".new")
        fresh.write_text(json.dumps(self._control))
        fresh.replace(control)
        calls.unlink(missing_ok=True)
