"""Expected errors: what happened, why, and the next command.

Everything a user can cause or meet is a :class:`PorterError`; its family fixes the
exit code. Anything else that escapes is a bug and leaves with :data:`EXIT_BUG`.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_BUG = 70
EXIT_INTERRUPTED = 130


class PorterError(Exception):
    """An expected failure, told to the user without a traceback.

    Args:
        what: what happened, one sentence.
        why: the cause, where it is known.
        next_step: the command or action that gets the user further.
    """

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.next_step = next_step

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"why:  {self.why}")
        if self.next_step:
            lines.append(f"next: {self.next_step}")
        return "\n".join(lines)


class GateFailedError(PorterError):
    """A gate failed; the port stopped right after the step that it checks."""

    exit_code = 1


class UsageError(PorterError):
    """Options that contradict each other, or a question that nobody is there to answer."""

    exit_code = 2


class SettingError(UsageError):
    """A ``--set`` that names no field, or a value that the field does not take.

    Attributes:
        key: as it was given.
    """

    def __init__(self, key: str, what: str, *, why: str = "", next_step: str = "") -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.key = key


class ModelRejectedError(PorterError):
    """The model is outside what porter can port, or cannot be read."""

    exit_code = 3


class WorkspaceError(PorterError):
    """A workspace or clone is not in a state that porter may touch."""

    exit_code = 4


class HubError(PorterError):
    """The Hugging Face Hub, or the network on the way to it, said no."""

    exit_code = 5


class SandboxError(PorterError):
    """A sandbox or its environment could not be made, or a probe broke in it."""

    exit_code = 6


class ConflictError(PorterError):
    """An edit of a person and a new render disagree; nothing was discarded."""

    exit_code = 7


class LockedError(PorterError):
    """Another porter works on this workspace."""

    exit_code = 8


class DataError(PorterError):
    """The dataset that was given cannot be used as it is."""

    exit_code = 9


class IncompleteError(PorterError):
    """``--strict``, ``--check``: no gate failed, but not everything is proven."""

    exit_code = 10


class LeftRunningError(PorterError):
    """The person stopped porter, and what it had started goes on."""

    exit_code = EXIT_INTERRUPTED
