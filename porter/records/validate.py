"""What phases 5 and 6 make of the runs of a repository's own tools."""

from __future__ import annotations

from porter.records.base import Record


class UnitTests(Record, frozen=True, kw_only=True):
    """How a run of unit tests ended.

    Attributes:
        passed: number of tests.
        failed: first line of the message by test, errors of fixtures and of collection included.
        skipped: number of tests by reason.
    """

    passed: int
    failed: dict[str, str]
    skipped: dict[str, int]


class Finding(Record, frozen=True, kw_only=True):
    """One finding of a linter; *line* is for a person, and no part of what makes it new."""

    tool: str
    path: str
    line: int
    code: str
    text: str


class LintStep(Record, frozen=True, kw_only=True):
    """One run of a linter.

    Attributes:
        tool: what it is called in a report.
        argv: module and arguments.
        root: working folder.
        files: what it looks at, by path below *root*.
    """

    tool: str
    argv: tuple[str, ...]
    root: str
    files: tuple[str, ...]


class LintRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/run_linters.py``."""

    steps: tuple[LintStep, ...]


class LintEnd(Record, frozen=True, kw_only=True):
    """How a linter ended, and what it printed."""

    exit_code: int
    out: str
    err: str


class LintAnswer(Record, frozen=True, kw_only=True):
    """Answer of ``probes/run_linters.py``: an end for every step, and the linters' versions."""

    ends: tuple[LintEnd, ...]
    versions: dict[str, str]


class WheelRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/build_wheel.py``.

    Attributes:
        root: worktree; it is only read.
        files: what of it goes into the throw-away copy, by path below it.
        extensions: whether extensions are built; left out otherwise.
        variables: environment of ``setup.py``.
    """

    root: str
    files: tuple[str, ...]
    extensions: bool
    variables: dict[str, str]


class WheelFacts(Record, frozen=True, kw_only=True):
    """Answer of ``probes/build_wheel.py``.

    Attributes:
        name: file name of the wheel; empty where none was built.
        members: paths in it.
        scripts: target by name of its console scripts.
        extensions: names of the extensions that ``setup.py`` declares, built or not.
        error: traceback; empty where it was built.
    """

    name: str
    members: tuple[str, ...]
    scripts: dict[str, str]
    extensions: tuple[str, ...]
    error: str


class CleanRequest(Record, frozen=True, kw_only=True):
    """Request of ``probes/clean_environment.py``: packages to look for."""

    packages: tuple[str, ...]


class Installed(Record, frozen=True, kw_only=True):
    """An installed distribution, and the folder that it is installed in."""

    name: str
    version: str
    place: str


class CleanFacts(Record, frozen=True, kw_only=True):
    """Answer of ``probes/clean_environment.py``.

    Attributes:
        places: folder of each package as it would be imported; empty where it is not there.
        copies: every folder of that name on the path, in its order.
        distributions: all whose name starts with ``nvidia-tao``.
        prefix: the environment that answered.
        prefix_on_path: the environment of the ``python`` on the PATH.
        telemetry: value of TELEMETRY_OPT_OUT.
    """

    places: dict[str, str]
    copies: dict[str, tuple[str, ...]]
    distributions: tuple[Installed, ...]
    prefix: str
    prefix_on_path: str
    telemetry: str


class TextRun(Record, frozen=True, kw_only=True):
    """A command that was run for what it prints."""

    exit_code: int
    text: str
