"""Jobs on a GPU machine that Brev rents."""

from __future__ import annotations

import secrets
import shlex
import shutil
from pathlib import Path
from typing import Any

from porter.atomic import write_atomic
from porter.errors import PorterError
from porter.launch.drivers.bucket import BucketDriver
from porter.launch.drivers.containers import refuse_long
from porter.records.jobs import JobRequest

_MORE = 4096
"""Bytes that the SDK may add to a command: the container's name, image and variables."""


class BrevDriver(BucketDriver):
    """Runs each job in a container on one machine, which all jobs of a run share, by Brev's own program.

    The machine is made with the first job and stays, and costs, until ``brev delete NAME``; its name is in
    ``sdk/instance``. A job gets all GPUs of it, whatever was asked for.

    The SDK hands secrets on in command lines: the token as ``brev login --token VALUE``, and a job's as
    ``-e NAME=VALUE`` of a ``docker run`` within ``brev exec``. Who may list processes here sees them while
    ``brev`` runs, and on the machine for as long as the job does. Nothing of that is logged: the SDK shows
    command lines only to who asks for its debug messages.
    """

    title = "Brev"
    module = "brev"
    sdk_class = "BrevSDK"
    reach = "brev login, or export BREV_API_TOKEN; brev ls shows the machines"
    start_hint = "brev ls shows the machines; brev login, where it asks for that"

    def _new(self) -> Any:
        if shutil.which("brev") is None:
            raise PorterError(
                "Brev cannot be reached.",
                why="its program brev is not installed",
                next_step="install it: https://docs.nvidia.com/brev, then brev login",
            )
        return super()._new()

    def _prepare(self, sdk: Any) -> None:
        """Have jobs let go of the connection that starts them."""
        cli = sdk._handler._cli
        run = cli.exec

        def exec_(instance: str, command: str, timeout: int | None = None) -> Any:
            return run(instance, _let_go(command), timeout=timeout)

        cli.exec = exec_

    def _arguments(self, request: JobRequest) -> dict[str, Any]:
        command = self._entrypoint(request)
        # The SDK quotes it once more, within the command of a container.
        refuse_long(shlex.quote(command) + " " * _MORE, request)
        return {"command": command, "instance_id": self._instance()}

    def _instance(self) -> str:
        noted = self._own / "instance"
        if not noted.exists():
            write_atomic(noted, f"porter-{_word(self.folder)}-{secrets.token_hex(3)}".encode())
        return noted.read_text()


def _let_go(command: str) -> str:
    """Return the command that starts a job, without a shell that keeps the connection as long as that lasts.

    The SDK puts a list of two commands into the background, and sends only the second one's output to a file.
    It takes the connection, which then does not end, for a failed start, and ends the job.
    """
    return command.replace(" && (set +e; docker run ", "; (set +e; docker run ", 1)


def _word(folder: Path) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in folder.name.lower())[:30].strip("-")
