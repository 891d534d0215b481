"""What linters are asked, and what their answers say; pure."""

from __future__ import annotations

import functools
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from porter import resources
from porter.records.validate import Finding, LintEnd, LintStep

LINTERS = ("flake8", "pydocstyle", "pylint")

_FLAKE8 = re.compile(r"^(?P<path>.+?):(?P<line>\d+):\d+: (?P<code>[A-Z]+\d+) (?P<text>.*)$", re.M)
_PYDOCSTYLE = re.compile(r"^(?P<path>.+?):(?P<line>\d+) .*:\n\s+(?P<code>D\d+): (?P<text>.*)$", re.M)
_IMPORTS = ("import-error", "no-name-in-module")
_OWN = re.compile(r"'nvidia_tao_(?:pytorch|deploy)\b")
_RCFILE = "--rcfile"


@functools.cache
def recorded() -> dict[str, list[str]]:
    """Return the arguments on record, by linter."""
    import msgspec

    path = resources.tree("references") / "lint.toml"
    return msgspec.toml.decode(path.read_bytes(), type=dict[str, list[str]])


def hook_arguments(config: str, home: Path) -> dict[str, list[str]]:
    """Return the arguments that a pre-commit configuration gives to each linter.

    A hook that calls something else (a script of the clone's, a container) is passed over.

    Args:
        config: text of the configuration; what is no YAML asks for nothing.
        home: the clone; a pylintrc is meant relative to it.
    """
    import yaml

    try:
        read = yaml.safe_load(config)
    except yaml.YAMLError:
        return {}
    found = {}
    for hook in _hooks(read):
        try:
            words = shlex.split(str(hook.get("entry") or hook.get("id") or ""))
        except ValueError:
            continue
        if len(words) > 2 and words[0] in ("python", "python3") and words[1] == "-m":
            del words[:2]
        if words and words[0] in LINTERS:
            arguments = [*words[1:], *map(str, hook.get("args") or ())]
            found[words[0]] = [*_with_places(arguments, home)]
    return found


def _hooks(config: Any) -> Iterator[dict[str, Any]]:
    sources = config.get("repos") if isinstance(config, dict) else None
    for source in sources if isinstance(sources, list) else ():
        hooks = source.get("hooks") if isinstance(source, dict) else None
        yield from (hook for hook in (hooks if isinstance(hooks, list) else ()) if isinstance(hook, dict))


def _with_places(arguments: Sequence[str], home: Path) -> Iterator[str]:
    """Yield the arguments with the pylintrc as one word and by its absolute path."""
    rest = iter(arguments)
    for word in rest:
        name, equals, value = word.partition("=")
        if name != _RCFILE:
            yield word
        else:
            yield f"{_RCFILE}={home / (value if equals else next(rest, ''))}"


def steps(arguments: dict[str, list[str]], root: str, files: Sequence[str]) -> tuple[LintStep, ...]:
    """Return the runs of every linter on *files* below *root*."""
    report = ["--persistent=n", "--output-format=json", "--score=n"]
    commands = {
        "flake8": ["flake8", "--isolated", *arguments["flake8"]],
        "pydocstyle": ["pydocstyle", *arguments["pydocstyle"]],
        # A pylintrc that has errors switched off, imports above all, does not keep them from being found:
        # this run finds what the hook finds, and what pylint --errors-only finds.
        "pylint": ["pylint", *arguments["pylint"], "--enable=E", *arguments["errors"], *report],
    }
    return tuple(
        LintStep(tool=tool, argv=tuple(argv), root=root, files=tuple(files))
        for tool, argv in commands.items()
    )


def read_end(step: LintStep, end: LintEnd) -> tuple[Finding, ...]:
    """Return what a linter found in the files that it was asked about.

    An import that the linters' environment cannot resolve is none of its business, unless it is of the
    repositories themselves.

    Raises:
        ValueError: it did not do its work; says what it printed last.
    """
    read = _read_pylint if step.tool == "pylint" else _read_lines
    found = read(step, end)
    return tuple(item for item in found if item.path in step.files and not _is_foreign(item))


def _read_pylint(step: LintStep, end: LintEnd) -> list[Finding]:
    try:
        items = json.loads(end.out)
        return [
            Finding(
                tool=step.tool,
                path=item["path"],
                line=item["line"],
                code=item["symbol"],
                text=item["message"].splitlines()[0],
            )
            for item in items
        ]
    except (ValueError, LookupError, TypeError) as error:
        raise _did_not_run(end) from error


def _read_lines(step: LintStep, end: LintEnd) -> list[Finding]:
    pattern = _FLAKE8 if step.tool == "flake8" else _PYDOCSTYLE
    found = [
        Finding(
            tool=step.tool,
            path=match["path"],
            line=int(match["line"]),
            code=match["code"],
            text=match["text"].strip(),
        )
        for match in pattern.finditer(end.out)
    ]
    # 0: nothing found, 1: something found; anything else, or findings that nobody can read, is a crash.
    if end.exit_code != bool(found):
        raise _did_not_run(end)
    return found


def _did_not_run(end: LintEnd) -> ValueError:
    said = (end.err.strip() or end.out.strip()).splitlines()
    return ValueError(f"exit code {end.exit_code}, {said[-1] if said else 'and nothing printed'}")


def _is_foreign(item: Finding) -> bool:
    return item.code in _IMPORTS and not _OWN.search(item.text)


def new_findings(after: Sequence[Finding], before: Sequence[Finding]) -> tuple[tuple[Finding, ...], int]:
    """Return what was not there before, and how many were; a finding is what is said of a file.

    Lines move, so they do not tell a finding from another.
    """
    there = Counter((item.tool, item.path, item.code, item.text) for item in before)
    new = []
    for item in after:
        key = (item.tool, item.path, item.code, item.text)
        if there[key]:
            there[key] -= 1
        else:
            new.append(item)
    return tuple(new), len(after) - len(new)
