"""What has been done and need not be done again: memoised steps and the records of phases."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

import porter
from porter.atomic import write_atomic
from porter.records.base import digest, from_json, to_json
from porter.records.gates import GateResult
from porter.records.journal import OutputState, PhaseRecord, StepRecord
from porter.workspace import Workspace

T = TypeVar("T")
Outputs = dict[str, OutputState]

_SLUG = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def _no_outputs(_result: Any) -> Sequence[Path]:
    return ()


def _say_nothing(_text: str) -> None:
    pass


class Journal:
    """The records of one workspace. Use it under the workspace's lock.

    Args:
        workspace: whose records they are.
        say: is told, in one line, why a step that was done before runs again.
    """

    def __init__(self, workspace: Workspace, say: Callable[[str], None] = _say_nothing) -> None:
        self._workspace = workspace
        self._say = say
        self._phase = 0
        self._outputs: Outputs = {}
        self._made: dict[str, str] = {}

    def enter(self, phase: int) -> None:
        """Begin *phase*: steps from here on belong to it."""
        self._phase = phase
        self._outputs = {}
        self._made = {}

    def step(
        self,
        name: str,
        inputs: Mapping[str, Any],
        kind: type[T],
        run: Callable[[], T],
        outputs: Callable[[T], Sequence[Path]] = _no_outputs,
    ) -> T:
        """Return the result of *run*, from the record where nothing that it rests on has changed.

        A record counts when the inputs and the version of porter are those of now and every output is
        intact. The result of a gate that failed or is blocked is not recorded, so it is tried again.

        Args:
            name: slug, unique in the port.
            inputs: everything that the result depends on; values that msgspec can encode.
            kind: type of the result, for reading it back.
            run: does the work; when it is killed, it runs again from its beginning.
            outputs: files (or folders of files) that the result stands for.
        """
        if not _SLUG.fullmatch(name):
            raise ValueError(f"not a step name: {name!r}")
        path = self._workspace.steps / f"{self._phase}-{name}.json"
        now = {key: digest(value) for key, value in inputs.items()}
        old, reason = self._read(path, StepRecord)
        if old is not None:
            reason = self._outdated(old, now)
            if not reason:
                try:
                    result = from_json(bytes(old.result), kind)
                except msgspec.MsgspecError:
                    reason = "its recorded result has another form"
                else:
                    self._note(old)
                    return result
        if reason:
            self._say(f"{name} runs again: {reason}")
        result = run()
        record = StepRecord(
            name=name,
            inputs=now,
            outputs=self._states(outputs(result)),
            porter=porter.__version__,
            # In its own order: a schema's keywords come out as the clone has them.
            result=msgspec.Raw(msgspec.json.encode(result)),
        )
        if _to_be_retried(result):
            path.unlink(missing_ok=True)
        else:
            write_atomic(path, to_json(record))
        self._note(record)
        # As a later process will read it: what follows cannot tell a first run from a resumed one.
        return from_json(bytes(record.result), kind)

    def made(self, name: str, kind: type[T]) -> T:
        """Return the recorded result of step *name*, whichever phase it belongs to.

        Raises:
            LookupError: no such step is done.
        """
        for path in sorted(self._workspace.steps.glob(f"*-{name}.json")):
            record, _ = self._read(path, StepRecord)
            if record is not None and record.name == name:
                return from_json(bytes(record.result), kind)
        raise LookupError(f"step {name!r} is not done")

    def forget(self, first: int) -> None:
        """Drop the records of phase *first* and of those after it, so that they run again."""
        for folder in (self._workspace.phases, self._workspace.steps):
            for path in folder.glob("*.json"):
                number = re.match(r"\d+", path.name)
                if number and int(number[0]) >= first:
                    path.unlink()

    def forget_steps(self, phase: int, names: Sequence[str]) -> None:
        """Drop the records of single steps of *phase* and its own, so that it runs just those again."""
        for path in (
            *(self._workspace.steps / f"{phase}-{name}.json" for name in names),
            self._phase_file(phase),
        ):
            path.unlink(missing_ok=True)

    def phase(self, number: int) -> PhaseRecord | None:
        """Return the record of a phase; None where there is none that can be read."""
        return self._read(self._phase_file(number), PhaseRecord)[0]

    def unsettled(self, number: int, inputs: Mapping[str, Any], needs: Sequence[str]) -> str | None:
        """Say why a phase must run: empty where it never has, None where nothing is left to do."""
        record, unreadable = self._read(self._phase_file(number), PhaseRecord)
        if record is None:
            return unreadable
        open_gates = [f"gate {gate.gate} {_WAS[gate.state]}" for gate in record.gates if gate.state in _WAS]
        return self._outdated(record, self._phase_inputs(inputs, needs)) or "; ".join(open_gates) or None

    def outdated(self, number: int, inputs: Mapping[str, Any], needs: Sequence[str]) -> str:
        """Say why a phase's record is not of what is there now; empty where it is, or there is none."""
        record = self.phase(number)
        return self._outdated(record, self._phase_inputs(inputs, needs)) if record else ""

    def close(
        self,
        number: int,
        title: str,
        inputs: Mapping[str, Any],
        needs: Sequence[str],
        gates: Sequence[GateResult],
    ) -> PhaseRecord:
        """Write the record of the phase that was entered last, with the outputs of its steps."""
        record = PhaseRecord(
            number=number,
            title=title,
            inputs=self._phase_inputs(inputs, needs),
            outputs=self._outputs,
            made=self._made,
            gates=tuple(gates),
            porter=porter.__version__,
        )
        write_atomic(self._phase_file(number), to_json(record))
        return record

    def _phase_file(self, number: int) -> Path:
        return self._workspace.phases / f"{number}.json"

    def _phase_inputs(self, inputs: Mapping[str, Any], needs: Sequence[str]) -> dict[str, str]:
        now = {key: digest(value) for key, value in inputs.items()}
        for path in sorted(self._workspace.phases.glob("*.json")) if needs else ():
            record, _ = self._read(path, PhaseRecord)
            made = record.made if record is not None else {}
            now.update({f"made: {name}": made[name] for name in needs if name in made})
        return now

    def _note(self, record: StepRecord) -> None:
        self._outputs.update(record.outputs)
        self._made[record.name] = hashlib.sha256(bytes(record.result)).hexdigest()

    def _outdated(self, record: StepRecord | PhaseRecord, inputs: Mapping[str, str]) -> str:
        if record.porter != porter.__version__:
            return f"porter {record.porter} did it, this is {porter.__version__}"
        keys = [key for key in {**record.inputs, **inputs} if record.inputs.get(key) != inputs.get(key)]
        if keys:
            return f"changed since: {', '.join(sorted(keys))}"
        damaged = [path for path, state in record.outputs.items() if not self._intact(path, state)]
        if damaged:
            more = f" and {len(damaged) - 3} more" if len(damaged) > 3 else ""
            return f"not as it was left: {', '.join(damaged[:3])}{more}"
        return ""

    def _intact(self, path: str, state: OutputState) -> bool:
        full = self._workspace.root / path
        try:
            now = full.stat()
            if (now.st_size, now.st_mtime_ns) == (state.size, state.mtime_ns):
                return True
            return now.st_size == state.size and _sha256(full) == state.sha256
        except OSError:
            return False

    def _states(self, paths: Sequence[Path]) -> Outputs:
        states = {}
        root = self._workspace.root
        for path in sorted(file for given in paths for file in _files(given.absolute())):
            # Outside the workspace the path stays absolute; joining it to the root gives it back.
            name = str(path.relative_to(root) if path.is_relative_to(root) else path)
            info = path.stat()
            states[name] = OutputState(size=info.st_size, mtime_ns=info.st_mtime_ns, sha256=_sha256(path))
        return states

    def _read(self, path: Path, kind: type[T]) -> tuple[T | None, str]:
        try:
            return from_json(path.read_bytes(), kind), ""
        except FileNotFoundError:
            return None, ""
        except (OSError, msgspec.MsgspecError):
            return None, "its record cannot be read"


_WAS = {"failed": "failed", "blocked": "was blocked"}


def _to_be_retried(result: Any) -> bool:
    if isinstance(result, GateResult):
        return result.state in _WAS
    return isinstance(result, (tuple, list)) and any(_to_be_retried(item) for item in result)


def _files(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]


def _sha256(path: Path) -> str:
    checksum = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            checksum.update(block)
    return checksum.hexdigest()
