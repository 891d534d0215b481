"""Brev's program, and a rented machine that is this one: with a Docker that only says that it runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_PROGRAMS = {
    "brev": """\
printf '%s\\n' "$*" >> "$CLOUD/brev.log"
env > "$CLOUD/brev.env"
case "$1" in
  login) ;;
  ls)
    if [ -e "$CLOUD/refuses" ]; then echo "error: no organisation of $BREV_API_TOKEN" >&2; exit 1; fi
    printf '['; sep=''
    for name in $(cat "$CLOUD/machines" 2>/dev/null); do
      printf '%s{"name": "%s", "status": "RUNNING"}' "$sep" "$name"; sep=', '
    done
    printf ']' ;;
  create) echo "$2" >> "$CLOUD/machines" ;;
  exec)
    shift 3
    if [ "$1" = bash ]; then set -- bash -c "${3//\\/tmp\\/tao-job-/$CLOUD/tao-job-}"; fi
    exec "$@" ;;
esac
""",
    "docker": """\
id=$(printf 'a%.0s' {1..64})
case "$1" in
  run)
    printf '%s\\n' "$@" > "$CLOUD/docker.run"
    all="$*"
    name="${all#*--name }"; echo "${name%% *}" > "$CLOUD/name"
    cid="${all#*--cidfile }"; echo $id > "${cid%% *}"
    echo "epoch 1"
    if [ -e "$CLOUD/lasts" ]; then
      touch "$CLOUD/running"
      for _ in {1..300}; do [ -e "$CLOUD/running" ] || break; sleep 0.1; done
      rm -f "$CLOUD/running"
    fi
    exit "$(cat "$CLOUD/exit" 2>/dev/null || echo 0)" ;;
  inspect)
    if [ ! -e "$CLOUD/running" ]; then echo "Error: No such object" >&2; exit 1; fi
    name=$(cat "$CLOUD/name")
    case "$3" in *Name*) echo "$id|/$name|${name#tao-job-}|brev|true|0" ;; *) echo $id ;; esac ;;
  stop) rm -f "$CLOUD/running" ;;
esac
""",
}


class Cloud:
    """What Brev's program reaches.

    Attributes:
        folder: of what was called.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "cloud"
        programs = folder / "programs"
        for made in (self.folder, programs):
            made.mkdir()
        for name, script in _PROGRAMS.items():
            (programs / name).write_text(f"#!/bin/bash\n{script}")
            (programs / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("CLOUD", str(self.folder))

    def does(self, what: str, text: str = "") -> None:
        """``refuses`` to list machines, jobs ``lasts`` until they are stopped, or ``exit`` with a code."""
        (self.folder / what).write_text(text)

    def said(self, name: str) -> str:
        """Return a file of what was called: ``brev.log``, ``docker.run``."""
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    @property
    def machines(self) -> list[str]:
        """Names of those that were made."""
        return self.said("machines").split()
