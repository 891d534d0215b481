"""Prints the corpus: every case, what porter does with it, and which engines the tests judge it on."""

from __future__ import annotations

from tests.corpus.folders import FOLDERS
from tests.corpus.programs import PROGRAMS, Program
from tests.corpus.test_answers import ANSWERS
from tests.corpus.test_pickles import PICKLES

BEFORE, EVERY = "before any sandbox", "host, podman, docker"


def rows() -> list[tuple[str, str, str]]:
    """Return case, expected outcome and engines."""
    found = [
        (case.name, f"refused: {', '.join(case.words)}" if case.words else "harmless: goes on", BEFORE)
        for case in FOLDERS
    ]
    found += [(name, f"refused: {family}", BEFORE) for name, (_, family, _) in ANSWERS.items()]
    found += [(name, "no code runs; refused by the name of the file", EVERY) for name in PICKLES]
    found += [(case.name, f"stays inside: {_end(case)}", EVERY) for case in PROGRAMS]
    return found


def _end(case: Program) -> str:
    if case.reason:
        return f"porter ends it: {case.reason}"
    return "every attempt is refused" if case.says == "refused" else "it ends by itself"


def main() -> None:
    """Print a Markdown table."""
    print("| case | outcome | engine |\n| --- | --- | --- |")
    for row in rows():
        print(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |")
    print(f"\n{len(rows())} cases")


if __name__ == "__main__":
    main()
