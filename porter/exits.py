"""How a command ends: exit code by family of error, and a log for what is a bug."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from porter import secrets
from porter.errors import EXIT_BUG, EXIT_INTERRUPTED, EXIT_OK, PorterError, WorkspaceError


def run(command: Callable[[], Any]) -> int:
    """Run *command* and return the exit code; expected errors are told, bugs are logged."""
    import typer

    try:
        secrets.load(os.environ)
        result = command()
    except PorterError as error:
        print(f"porter: {error}", file=sys.stderr)
        return error.exit_code
    except typer.Exit as end:
        result = end.exit_code
    except (KeyboardInterrupt, typer.Abort):
        result = EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_OK
    except Exception as error:
        # Typer carries its own click; a usage error is known by what it can do, not by its class.
        if callable(show := getattr(error, "show", None)) and hasattr(error, "exit_code"):
            show()
            return int(error.exit_code)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            full = WorkspaceError(
                f"There is no room left for {error.filename or 'what porter writes'}.",
                why=error.strerror or "the disk is full",
                next_step="free some space, then: porter resume WORKSPACE",
            )
            print(f"porter: {full}", file=sys.stderr)
            return full.exit_code
        print(_report(error), file=sys.stderr)
        return EXIT_BUG
    # Typer turns ^C into this code by itself.
    if result == EXIT_INTERRUPTED:
        print(
            "porter: interrupted; the same command goes on from here, or porter resume WORKSPACE",
            file=sys.stderr,
        )
    return result if isinstance(result, int) else EXIT_OK


def _report(error: Exception) -> str:
    """Write the log of a bug and return what to tell the user."""
    import datetime
    import platform
    import traceback

    from porter import __version__, cache

    lines = [
        f"porter {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"command: {Path(sys.argv[0]).name} {' '.join(sys.argv[1:])}",
        "".join(traceback.format_exception(error)),
    ]
    stamp = datetime.datetime.now(tz=datetime.timezone.utc).strftime("%Y%m%dT%H%M%S")
    log = cache.root() / "bugs" / f"{stamp}.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("\n".join(lines), encoding="utf-8")
        where = f"the traceback is in {log}"
    except OSError:
        where = lines[-1]
    return f"porter: this is a bug in porter: {type(error).__name__}: {error}\n{where}"
