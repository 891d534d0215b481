from __future__ import annotations

import pytest

from porter.clones import Version
from porter.generate.decide import Decision, Merge, decide, is_settled, markers, merge_file


def never(base: bytes, ours: bytes, theirs: bytes) -> Merge:
    raise AssertionError("nothing to merge here")


A, B, C = Version(b"a\n"), Version(b"b\n"), Version(b"c\n")


@pytest.mark.parametrize(
    ("base", "working", "render", "outcome", "result"),
    [
        (None, None, A, "created", A),
        (None, A, A, "identical", A),
        (A, A, A, "identical", A),
        (A, B, B, "identical", B),
        (A, A, B, "updated", B),
        (A, B, A, "kept", B),
        (A, None, A, "kept", None),
        (A, None, B, "conflict", None),
        (A, A, None, "removed", None),
        (A, None, None, "removed", None),
        (A, B, None, "conflict", B),
        (None, None, None, "removed", None),
    ],
)
def test_outcomes_that_need_no_merge(
    base: Version | None,
    working: Version | None,
    render: Version | None,
    outcome: str,
    result: Version | None,
) -> None:
    decision = decide(base, working, render, never)
    assert (decision.outcome, decision.result) == (outcome, result)
    assert bool(decision.text) == (outcome == "conflict")


def real(base: Version | None, working: Version | None, render: Version | None) -> Decision:
    return decide(base, working, render, merge_file)


BASE = b"one\ntwo\nthree\nfour\nfive\n"


def test_edits_of_different_lines_are_merged() -> None:
    decision = real(
        Version(BASE),
        Version(BASE.replace(b"one", b"ONE")),
        Version(BASE.replace(b"five", b"5")),
    )
    assert decision.outcome == "merged"
    assert decision.result == Version(b"ONE\ntwo\nthree\nfour\n5\n")


def test_an_edit_that_holds_the_new_render_already_is_kept() -> None:
    working = Version(BASE.replace(b"one", b"ONE").replace(b"five", b"5"))
    decision = real(Version(BASE), working, Version(BASE.replace(b"five", b"5")))
    assert (decision.outcome, decision.result) == ("kept", working)


def test_edits_of_one_line_are_a_conflict_that_shows_both() -> None:
    working = Version(BASE.replace(b"three", b"drei"))
    decision = real(Version(BASE), working, Version(BASE.replace(b"three", b"trois")))
    assert (decision.outcome, decision.result) == ("conflict", working)
    assert b"<<<<<<< your file\ndrei\n=======\ntrois\n>>>>>>> new render\n" in decision.text


def test_a_file_that_porter_did_not_make_is_a_conflict_that_shows_both() -> None:
    decision = real(None, Version(b"same\nmine\n"), Version(b"same\nporter's\n"))
    assert decision.outcome == "conflict"
    assert decision.result == Version(b"same\nmine\n")
    assert b"mine\n" in decision.text
    assert b"porter's\n" in decision.text


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_line_ends_survive_a_merge_byte_for_byte(end: bytes) -> None:
    base = b"one\r\ntwo\nthree\r\nfour\nfive\xff\xfe" + end
    decision = real(
        Version(base), Version(base.replace(b"one", b"ONE")), Version(base.replace(b"four", "vièr".encode()))
    )
    assert decision.result == Version(b"ONE\r\ntwo\nthree\r\nvi\xc3\xa8r\nfive\xff\xfe" + end)


def test_a_final_newline_that_one_side_adds_comes_through() -> None:
    assert real(
        Version(b"one\ntwo\nthree\nfour"),
        Version(b"ONE\ntwo\nthree\nfour"),
        Version(b"one\ntwo\nthree\nfour\n"),
    ).result == Version(b"ONE\ntwo\nthree\nfour\n")


def test_binary_content_is_a_conflict_that_keeps_both() -> None:
    decision = real(Version(b"a\0a"), Version(b"b\0b"), Version(b"c\0c"))
    assert decision.outcome == "conflict"
    assert b"b\0b" in decision.text
    assert b"c\0c" in decision.text
    assert not is_settled(decision.text)


@pytest.mark.parametrize(
    ("base", "working", "render", "expected"),
    [
        (False, False, True, True),
        (True, True, False, False),
        (False, True, False, True),
        (True, False, True, False),
    ],
)
def test_the_executable_bit_merges_like_a_line(
    base: bool, working: bool, render: bool, expected: bool
) -> None:
    decision = real(
        Version(BASE, base),
        Version(BASE.replace(b"one", b"ONE"), working),
        Version(BASE.replace(b"five", b"5"), render),
    )
    assert decision.result == Version(b"ONE\ntwo\nthree\nfour\n5\n", expected)


def test_a_chmod_alone_is_an_edit_and_a_render() -> None:
    plain, runs = Version(BASE), Version(BASE, True)
    assert real(plain, runs, plain).outcome == "kept"
    assert real(plain, plain, runs) == Decision("updated", runs)
    assert real(None, plain, runs).result == runs


def test_only_porters_own_markers_count_as_unsettled() -> None:
    assert is_settled(b"Title\n=======\n<<<<<<< HEAD\n")
    assert not is_settled(b"x\r\n<<<<<<< your file\r\n")
    assert not is_settled(b"x\n>>>>>>> new render")
    assert not is_settled(markers(b"no newline", b""))
