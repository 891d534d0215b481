"""The page as a browser shows it: nothing loaded, nothing run that is not ours, usable by hand and by key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from porter.gates.catalogue import GATES
from porter.report.page import render
from porter.report.review import build_review
from tests.report.conftest import Make
from tests.report.sample import HOSTILE, PICTURED, TAME, Ending, Sample

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PHONE, WIDE = 375, 1440

Open = Callable[..., "Page"]


@contextmanager
def opened(browser: Browser, file: Path, **context: Any) -> Iterator[Page]:
    """Open a page and fail when it says, loads or throws anything."""
    told: list[str] = []
    made = browser.new_context(**context)
    page = made.new_page()
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("dialog", lambda dialog: told.append(dialog.message))
    page.on("request", lambda request: told.append(request.url))
    page.goto(file.as_uri())
    yield page
    loaded = [each for each in told if not each.startswith(("data:image/png;base64,", "data:,"))]
    assert loaded == [file.as_uri()]
    made.close()


def written(sample: Sample, folder: Path) -> Path:
    file = folder / "review.html"
    file.write_bytes(render(build_review(sample.workspace, sample.now())))
    return file


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Ending, str], Path]:
    """Returns the page of a sample, made once."""
    made: dict[tuple[Ending, str], Path] = {}

    def get(ending: Ending = "open", said: str = TAME) -> Path:
        if (ending, said) not in made:
            folder = tmp_path_factory.mktemp("page")
            made[ending, said] = written(Sample(folder, ending, said), folder)
        return made[ending, said]

    return get


@pytest.fixture
def show(browser: Browser, files: Callable[..., Path]) -> Iterator[Open]:
    """Opens the page of a sample at a width."""
    stack = []

    def go(ending: Ending = "open", said: str = TAME, width: int = WIDE, **context: Any) -> Page:
        size = {"width": width, "height": 900}
        manager = opened(browser, files(ending, said), viewport=size, reduced_motion="reduce", **context)
        stack.append(manager)
        return manager.__enter__()

    yield go
    for manager in stack:
        manager.__exit__(None, None, None)


def visible(page: Page, selector: str) -> list[str]:
    """Return the text of what is shown, without what is hidden or closed."""
    return [each.inner_text() for each in page.query_selector_all(selector) if each.is_visible()]


OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("ending", ["complete", "open", "failed"])
@pytest.mark.parametrize("width", [320, PHONE, WIDE])
@pytest.mark.parametrize("said", [TAME, HOSTILE], ids=["tame", "hostile"])
def test_the_page_fits_its_width_with_everything_open(
    show: Open, ending: Ending, width: int, said: str
) -> None:
    page = show(ending, said, width)
    assert page.evaluate(OVERFLOW) == 0
    page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    assert page.evaluate(OVERFLOW) == 0
    # What is wider than the screen scrolls in a box of its own, and a keyboard reaches that box.
    stuck = page.evaluate(
        """[...document.querySelectorAll('main *')].filter(each => {
            const style = getComputedStyle(each);
            const scrolls = ['auto', 'scroll'].includes(style.overflowX);
            return scrolls && each.scrollWidth > each.clientWidth && each.tabIndex !== 0;
        }).map(each => each.outerHTML.slice(0, 80))"""
    )
    assert stuck == []
    narrow = page.evaluate(
        """[...document.querySelectorAll('main p, main dd, main summary, main li')].filter(each =>
            each.clientWidth && each.getBoundingClientRect().right > innerWidth + 1
            && !each.closest('.wide, .diff, pre')).map(each => each.outerHTML.slice(0, 80))"""
    )
    assert narrow == []


@pytest.mark.parametrize("ending", ["complete", "open", "failed"])
def test_every_link_leads_somewhere_and_every_id_is_one(show: Open, ending: Ending) -> None:
    page = show(ending)
    hrefs = page.eval_on_selector_all("a", "links => links.map(link => link.getAttribute('href'))")
    ids = page.eval_on_selector_all("[id]", "all => all.map(each => each.id)")
    assert len(ids) == len(set(ids))
    assert {"#gates", "#ledger", "#unproven"} <= set(hrefs)
    assert {href[1:] for href in hrefs} <= set(ids)
    assert len([href for href in hrefs if href.startswith("#run-")]) > 5


def test_a_link_opens_the_gate_that_it_leads_to_even_when_a_filter_hides_it(show: Open) -> None:
    page = show("open")
    blocked = next(gate for gate in GATES if not gate.cpu)
    gate = page.locator(f"#gate-{blocked.id}")
    page.fill("#gates [data-search]", "no gate has this text")
    assert visible(page, "#gates details") == []
    page.locator(f"#unproven a[href='#gate-{blocked.id}']").first.click()
    assert gate.evaluate("box => box.open")
    assert gate.is_visible()
    assert 0 <= gate.bounding_box()["y"] < 200  # type: ignore[index]
    # Closed by hand, the same link opens it again.
    gate.locator("summary").click()
    assert not gate.evaluate("box => box.open")
    page.locator(f"#unproven a[href='#gate-{blocked.id}']").first.click()
    assert gate.evaluate("box => box.open")


def test_an_address_with_a_gate_opens_on_it(browser: Browser, files: Callable[..., Path]) -> None:
    page = browser.new_page()
    page.goto(f"{files('open').as_uri()}#gate-{GATES[0].id}")
    assert page.locator(f"#gate-{GATES[0].id}").evaluate("box => box.open")
    page.close()


@pytest.mark.parametrize("width", [PHONE, WIDE])
def test_the_ledger_is_searched_and_filtered_by_kind(show: Open, width: int) -> None:
    page = show("failed", width=width)
    rows = "#ledger [data-item]"
    total = page.locator(rows).count()
    assert len(visible(page, rows)) == 40 < total
    page.locator("#ledger [data-all]").click()
    assert len(visible(page, rows)) == total
    assert not page.locator("#ledger [data-all]").is_visible()

    page.fill("#ledger [data-search]", "LAYER.1. QUERY")
    found = visible(page, rows)
    assert found
    assert all("layer.1." in text and "query" in text for text in found)
    page.fill("#ledger [data-search]", "")
    for box in page.query_selector_all("#ledger [data-kind]"):
        if box.get_attribute("data-kind") != "leftover":
            box.uncheck()
    assert [text.split()[0] for text in visible(page, rows)] == ["leftover"]
    assert page.locator("#ledger [data-shown]").inner_text() == f"1 shown of 1 that match, {total} in all"
    page.locator("#ledger [data-kind=leftover]").uncheck()
    assert visible(page, rows) == []


def test_filters_work_by_keyboard_alone(show: Open) -> None:
    page = show("open")
    page.locator("#gates [data-search]").focus()
    page.keyboard.type(GATES[0].id)
    assert len(visible(page, "#gates details")) == 1
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.kind") == "passed"
    page.keyboard.press("Space")
    states = page.eval_on_selector_all(
        "#gates details:not([hidden])", "boxes => boxes.map(box => box.dataset.item)"
    )
    assert states
    assert "passed" not in states
    # A phase whose gates are all filtered out takes no room.
    assert "Phase 1 " not in "".join(visible(page, "#gates h3"))
    page.locator("#gates details:not([hidden]) summary").first.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.open")


def test_files_are_searched_in_their_diffs(show: Open) -> None:
    page = show("open")
    page.fill("#files [data-search]", "x17 = 17")
    assert len(visible(page, "#files details")) == 2  # one in each repository
    page.fill("#files [data-search]", "codemod add_console_script")
    assert all("setup.py" in text for text in visible(page, "#files details"))
    page.locator("#files details:not([hidden]) summary").first.click()
    lines = visible(page, "#files .diff .add")
    assert lines == ["+setup(  # tiny_vit\n"] or [line.strip() for line in lines] == ["+setup(  # tiny_vit"]


def test_hostile_text_is_shown_as_text(show: Open) -> None:
    page = show("failed", HOSTILE)
    page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    assert page.evaluate("window.hit") is None
    assert page.locator("script").count() == 1
    assert page.locator("style").count() == 1
    sources = page.eval_on_selector_all(
        "img", "all => all.map(each => each.getAttribute('src').slice(0, 22))"
    )
    assert set(sources) == {"data:image/png;base64,"}
    handlers = page.evaluate(
        """[...document.querySelectorAll('*')].flatMap(each => [...each.attributes])
            .filter(each => each.name.startsWith('on') || each.value.startsWith('javascript:')).length"""
    )
    assert handlers == 0
    shown = HOSTILE.replace("\u202e", "\u2039U+202E\u203a")
    for section in ("top", "unproven", "findings", "reference", "strategy", "ledger", "gates", "versions"):
        assert shown in page.locator(f"#{section}").text_content(), section  # type: ignore[operator]
    assert shown in page.title().replace(": failed - porter review", "")
    assert shown in page.locator("#preprocessing h3").nth(1).text_content()  # type: ignore[operator]
    assert shown in page.locator("#runs .log").first.text_content()  # type: ignore[operator]
    diff = page.locator("#files .diff").first.text_content()
    assert diff is not None
    assert f"+# {shown}\n" in diff
    assert f"+LABEL = {HOSTILE!r}\n" in diff
    assert "\u202e" not in page.content()


def test_the_page_can_run_and_load_nothing_else(browser: Browser, files: Callable[..., Path]) -> None:
    page = browser.new_page()
    page.goto(files("open").as_uri())
    refused = page.evaluate(
        """async () => {
            const refused = new Set();
            addEventListener('securitypolicyviolation', event => refused.add(event.effectiveDirective));
            const script = document.createElement('script');
            script.textContent = 'window.hit = 1';
            document.body.append(script);
            document.body.insertAdjacentHTML('beforeend', '<img src="data:," onerror="window.hit = 2">');
            new Image().src = 'http://127.0.0.1:9/x.png';
            await fetch('http://127.0.0.1:9/').catch(() => null);
            await new Promise(resolve => setTimeout(resolve, 100));
            return [...refused].sort();
        }"""
    )
    assert refused == ["connect-src", "img-src", "script-src-attr", "script-src-elem"]
    assert page.evaluate("window.hit") is None
    page.close()


def test_without_a_script_all_is_there_and_no_dead_control(show: Open) -> None:
    page = show("failed", java_script_enabled=False)
    rows = page.locator("#ledger [data-item]")
    assert rows.count() > 40
    assert rows.last.is_visible()
    assert not page.locator("#ledger [data-search]").is_visible()
    assert visible(page, "button") == []


def test_pictures_are_in_the_page(show: Open) -> None:
    page = show("open")
    widths = page.eval_on_selector_all("#preprocessing img", "all => all.map(each => each.naturalWidth)")
    assert widths == [8] * 2 * len(PICTURED)
    captions = visible(page, "#preprocessing figcaption")
    assert any("all values equal" in text for text in captions)
    assert any("largest 0.25, 50 % of values" in text for text in captions)
    assert visible(page, "#preprocessing .no-picture") == ["shapes differ"]


def test_marks_lie_on_their_side_of_the_tolerance(show: Open) -> None:
    page = show("failed")
    hops = page.evaluate(
        """[...document.querySelectorAll('.hop')].map(hop => {
            const middle = each => (box => box.left + box.width / 2)(each.getBoundingClientRect());
            const bound = middle(hop.querySelector('.strip .bound'));
            return [...hop.querySelectorAll('.strip .mark')].map(mark =>
                [mark.classList[1], Math.sign(Math.round(middle(mark) - bound))]);
        })"""
    )
    good, control, bad = ["good", -1], ["control", 1], ["bad", 1]
    assert hops == [[good] * 6 + [control] * 2, [good], [bad, good, bad]]
    said = page.locator(".hop").last.locator(".strip svg").first.get_attribute("aria-label")
    assert said is not None
    assert said.endswith("3 values from 2e-5 to no number; 2 beyond the bound")


CONTRAST = """() => {
    const parse = text => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = each => {
        for (let at = each; at; at = at.parentElement) {
            const color = parse(getComputedStyle(at).backgroundColor);
            if (color.length < 4 || color[3] === 1) return color;
            if (color[3] > 0) throw new Error('half transparent: ' + at.outerHTML.slice(0, 80));
        }
    };
    const low = new Set();
    for (const each of document.querySelectorAll('body *')) {
        const own = [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim());
        if (!own || !each.getClientRects().length || each.closest('script, style')) continue;
        const style = getComputedStyle(each);
        const one = light(parse(each.closest('svg') ? style.fill : style.color)), other = light(behind(each));
        const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        if (ratio < 4.5) low.add(`${each.outerHTML.slice(0, 60)} ${ratio.toFixed(2)}`);
    }
    return [...low];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ending", ["complete", "open", "failed"])
def test_all_text_has_contrast(show: Open, scheme: str, ending: Ending) -> None:
    page = show(ending, color_scheme=scheme)
    page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    assert page.evaluate(CONTRAST) == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) == (scheme == "dark")


@pytest.mark.parametrize("width", [PHONE, WIDE])
def test_the_navigation_stays_in_view_and_follows(show: Open, width: int) -> None:
    page = show("open", width=width)
    page.evaluate("location.hash = '#gates'")
    page.wait_for_function("document.querySelector('nav a[aria-current]')?.hash === '#gates'")
    current = page.locator("nav a[aria-current]")
    box = current.bounding_box()
    assert box is not None
    assert 0 <= box["x"] < width - 40
    assert 0 <= box["y"] < 900
    heading = page.locator("#gates h2").bounding_box()
    bar = page.locator("nav").bounding_box()
    assert heading is not None
    assert bar is not None
    assert heading["y"] >= (bar["height"] if width == PHONE else 0)


def test_a_port_that_has_only_begun_has_a_page(browser: Browser, make: Make, tmp_path: Path) -> None:
    sample = make("none")
    with opened(browser, written(sample, tmp_path), viewport={"width": PHONE, "height": 800}) as page:
        assert page.evaluate(OVERFLOW) == 0
        for section in (
            "findings",
            "reference",
            "strategy",
            "files",
            "ledger",
            "parity",
            "preprocessing",
            "runs",
        ):
            assert page.locator(f"#{section} .absent").count() == 1, section
        assert page.locator("#gates details").count() == len(GATES)
