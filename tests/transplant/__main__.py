"""Prints what becomes of every family: ``python -m tests.transplant [CASE...]``, in about two minutes."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from porter.records.sandbox import Environment
from porter.sandbox import environments
from tests.transplant.bench import Case, lint, run
from tests.transplant.families import FAMILIES, NO_IMAGES

COLUMNS = ("case", "lines", "rewritten", "max difference", "control", "ONNX Runtime", "findings", "seconds")


def environment(name: str) -> Environment:
    """Return a managed environment of this machine."""
    found = environments.find(name)
    if found is None:
        sys.exit(f"the environment {name} is not built; any port builds it")
    return found


def row(name: str, case: Case, findings: int) -> tuple[str, ...]:
    """Return the cells of a case."""
    trial = case.trial
    numbers = (trial.max_abs, trial.control, trial.exported)
    difference, control, exported = ("-" if each is None else f"{each:.1e}" for each in numbers)
    return (
        name,
        str(len(case.lifted.text.splitlines())),
        ", ".join(tweak.name for tweak in case.lifted.tweaks) or "-",
        "0" if trial.max_abs == 0 else difference,
        "-" if name in NO_IMAGES else control,
        trial.error or exported,
        str(findings),
        f"{case.seconds:.1f}",
    )


def main() -> None:
    """Print a Markdown table."""
    names = sys.argv[1:] or list(FAMILIES)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        cases = run(environment("tao-pytorch-7.0.1"), work, names, names)
        found = lint(environment("tao-deploy-7.0.1"), work, cases, names)
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for name, case in cases.items():
        print(f"| {' | '.join(row(name, case, sum(each == name for each, _ in found)))} |")
    for name, item in found:
        print(f"{name}: line {item.line}: {item.tool} {item.code} {item.text}")


if __name__ == "__main__":
    main()
