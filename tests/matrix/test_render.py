"""The matrix as Markdown and as a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import msgspec

from porter.matrix.markdown import as_markdown
from porter.matrix.page import as_html
from tests.matrix.samples import COMPOSED, FAILED, PORTED, REFUSED, matrix

HOSTILE = "</script><script>window.hit = 1</script> | `x` <img src=x onerror=1> \u202egnp"


def table(text: str, title: str) -> list[list[str]]:
    """Return the rows of the table under a title, its head first."""
    part = text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_ported_rows_show_every_number() -> None:
    head, resnet, vit = table(as_markdown(matrix(PORTED, COMPOSED, REFUSED)), "Ported")
    assert dict(zip(head, vit, strict=True)) == {
        "model": "vit",
        "type": "vit",
        "strategy": "native",
        "tensors": "40 -> 32".replace(">", r"\>"),
        "ledger": "closed",
        "HF -> module": "8.5e-7",
        "module -> ONNX": "7.4e-7 (1, 2, 5)",
        "images": "0",
        "trains": "yes",
        "re-loads": "yes",
        "RTX build": "1.2 s",
        "gates": "61 ✓ 10 ~ 4 ■",
        "seconds": "123",
        "peak MB": "1234",
    }
    composed = dict(zip(head, resnet, strict=True))
    assert (composed["HF -> module"], composed["module -> ONNX"]) == ("exact", "–")
    assert composed["strategy"] == "compose (forced)"


def test_rows_that_are_not_ported_show_their_reason() -> None:
    text = as_markdown(matrix(PORTED, REFUSED, FAILED))
    _, beit, dinov3 = table(text, "Not ported")
    assert dinov3[:5] == ["dinov3", r"dinov3\_vit", "–", "refused", REFUSED.reason]
    assert beit[3] == "failed (unexpected)"
    assert beit[4] == r"gate ledger failed: 1 open: \<b\>x\|y\</b\>"
    assert "not as the list expects: beit" in text
    assert "a row may take 600 to 900 s" in text


def test_strategies_say_why_and_why_not() -> None:
    rows = table(as_markdown(matrix(PORTED, COMPOSED)), "Strategies")
    assert rows[1] == [
        "resnet",
        "compose",
        "the list forces it; a generated backbone holds the model",
        "native: no entry fits; timm: no rules yet",
    ]
    assert rows[2][3] == "–"


def test_an_error_beyond_its_bound_shows_the_bound() -> None:
    hop = msgspec.structs.replace(PORTED.hops[0], relative=2e-3)
    text = as_markdown(matrix(msgspec.structs.replace(PORTED, hops=(hop,))))
    assert r"0.002 \> 1e-5" in text


def test_rows_without_a_result_are_named() -> None:
    text = as_markdown(matrix(PORTED, waiting=("beit", "bit")))
    assert text.startswith("# Port matrix\n\n1 ported, 2 without a result.")
    assert "beit, bit" in text


def test_rows_of_other_code_are_named() -> None:
    older = msgspec.structs.replace(COMPOSED, code="another")
    assert "- measured before porter's own code was changed: resnet\n" in as_markdown(matrix(PORTED, older))
    assert "was changed" not in as_markdown(matrix(PORTED, COMPOSED))


def test_equal_results_give_equal_text_in_any_order() -> None:
    one, other = matrix(PORTED, COMPOSED, REFUSED), matrix(REFUSED, PORTED, COMPOSED)
    assert as_markdown(one) == as_markdown(other)
    assert as_html(one) == as_html(other)


class Page(HTMLParser):
    """What a page holds: tags with their attributes, ids, links, text."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(data.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name)) is not None]


def test_the_page_shows_each_row_and_what_is_open() -> None:
    page = Page(as_html(matrix(PORTED, COMPOSED, REFUSED, FAILED)))
    for text in ("8.5e-7", "40 -> 32", REFUSED.reason, "not native: no entry fits", "engine-fp32"):
        assert text in page.text
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    links = [link[1:] for link in page.values("href") if link.startswith("#")]
    assert set(links) <= set(ids)
    assert {"row-vit", "row-beit"} <= set(links)


def test_the_page_asks_for_nothing_and_runs_nothing_of_others() -> None:
    hostile = msgspec.structs.replace(FAILED, reason=HOSTILE, model_type=HOSTILE, source=HOSTILE)
    data = as_html(matrix(hostile, PORTED))
    page = Page(data)
    assert [tag for tag, _ in page.tags if tag in ("img", "iframe", "link", "object")] == ["link"]
    assert page.values("src") == []
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert all(link.startswith(("#", "data:")) for link in page.values("href"))
    assert "\u202e" not in data.decode()
    policy = next(each for each in page.values("content") if "default-src" in each)
    assert policy.startswith("default-src 'none'")


def test_markdown_keeps_hostile_text_in_its_cell() -> None:
    text = as_markdown(matrix(msgspec.structs.replace(FAILED, reason=HOSTILE)))
    row = table(text, "Not ported")[1]
    assert len(row) == 7
    assert "<script>" not in text
    assert "\u202e" not in text
