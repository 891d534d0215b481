"""Writes a ``status.json`` in the order, and with the repetitions, that TAO's trainings have."""

from __future__ import annotations

import datetime
import json
from typing import Any


class StatusFile:
    """Lines as the logger of TAO writes them: what was reported stays in all lines that follow."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.lines: list[str] = []
        self.kpi: dict[str, Any] = {}
        self.now = datetime.datetime(2026, 3, 1, 9, 59, 58, tzinfo=datetime.timezone.utc)

    def write(self, message: str, status: str = "RUNNING", **more: Any) -> StatusFile:
        """Write one line, a second after the last one."""
        self.now += datetime.timedelta(seconds=1)
        date = f"{self.now.month}/{self.now.day}/{self.now.year}"
        time = f"{self.now.hour}:{self.now.minute}:{self.now.second}"
        line = {**more, "date": date, "time": time, "status": status, "verbosity": "INFO", "message": message}
        self.lines.append(json.dumps({**line, **({"kpi": self.kpi} if self.kpi else {})}))
        return self

    def begin(self) -> StatusFile:
        """Write what stands before the first epoch."""
        self.write("Starting DINO train.", "STARTED")
        self.write("Experiment configuration:\ntrain:\n  num_epochs: 3\n")
        return self.write("Starting Training Loop.", "STARTED")

    def epoch(
        self, number: int, *, val: dict[str, Any] | None = None, eta: str | None = "", took: int = 60
    ) -> StatusFile:
        """Write an epoch, counted from 0; *eta* is worked out where it is empty and left out for None."""
        self.now += datetime.timedelta(seconds=took - 2 - bool(val))
        if val is not None:
            self.kpi = val
            self.write("Eval metrics generated.")
        left = str(datetime.timedelta(seconds=(self.epochs - 1 - number) * took + 0.25))
        more = {} if eta is None else {"eta": eta or left}
        self.write("Training loop in progress", epoch=number, step=number, max_epoch=self.epochs - 1, **more)
        self.kpi = {"train_loss": 5.0 - number}
        return self.write("Train metrics generated.")

    def end(self) -> StatusFile:
        """Write what stands after the last epoch."""
        return self.write("Training loop complete.").write("Train finished successfully.")

    @property
    def data(self) -> bytes:
        """The file."""
        return "".join(f"{line}\n" for line in self.lines).encode()
