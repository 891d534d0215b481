"""A login node of Slurm that is this machine: ``ssh`` runs its commands here, with programs of the tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_PROGRAMS = {
    "ssh": """\
echo "$*" >> "$CLUSTER/ssh.log"
if [ -e "$CLUSTER/refuses" ]; then echo "Permission denied (publickey)." >&2; exit 255; fi
exec bash -c "${!#}"
""",
    "scp": """\
from="${@: -2:1}"; to="${!#}"
cp "$from" "${to#*:}"
""",
    "sbatch": """\
if [ -e "$CLUSTER/rejects" ]; then echo "sbatch: error: invalid partition specified" >&2; exit 1; fi
cp "${!#}" "$CLUSTER/job.sbatch"
echo PENDING > "$CLUSTER/state"
echo "Submitted batch job 17"
""",
    "squeue": """\
case "$*" in *--name=*) ;; *) grep -E 'PENDING|RUNNING' "$CLUSTER/state" || true ;; esac
""",
    "sacct": """\
case "$*" in *--job=*) cat "$CLUSTER/state" ;; esac
""",
    "scancel": 'echo CANCELLED > "$CLUSTER/state"\n',
    "scontrol": "echo 'ClusterName = test'\n",
    "sacctmgr": "echo account-1\n",
}


class LoginNode:
    """The node.

    Attributes:
        lustre: folder that results go to, on the node.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "cluster"
        self.lustre = folder / "lustre"
        programs = folder / "programs"
        for made in (self.folder, self.lustre, programs):
            made.mkdir()
        for name, script in _PROGRAMS.items():
            (programs / name).write_text(f"#!/bin/bash\n{script}")
            (programs / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("CLUSTER", str(self.folder))
        monkeypatch.setenv("SLURM_USER", "alice")
        monkeypatch.setenv("SLURM_HOSTNAME", "login01")
        monkeypatch.setenv("SLURM_PARTITION", "gpu")
        monkeypatch.setenv("SLURM_BASE_RESULTS_DIR", str(self.lustre))

    def has_image(self, image: str) -> None:
        """Have the image converted already."""
        (self.lustre / f"{image.replace('/', '_').replace(':', '_')}.sqsh").write_text("hsqs")

    def says(self, state: str) -> None:
        """Set the state of the job."""
        (self.folder / "state").write_text(f"{state}\n")

    def does(self, what: str) -> None:
        """``refuses`` every connection, or ``rejects`` every job."""
        (self.folder / what).touch()

    @property
    def script(self) -> str | None:
        """What was given to ``sbatch``."""
        path = self.folder / "job.sbatch"
        return path.read_text() if path.exists() else None
