"""The pages in a real browser: found, clicked, read, and whole without scripts or photos."""

from __future__ import annotations

import math
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from werkzeug.serving import make_server

from events.schema import Event, Impression, ItemView, Tap
from events.user_ids import user_hash
from indexer.worker.pipeline.documents import EncodedPhoto, to_document
from mappings.aliases import swap_aliases
from mappings.client import ElasticsearchSettings, connect
from mappings.creation import create_index
from mappings.image_roots import ImageRoots
from query.api.app import create_app
from query.api.events import EventQueue
from query.api.settings import QuerySettings
from query.web.visitor import COOKIE
from tests.conftest import skip_or_fail
from tests.events import SALT
from tests.factories import make_identity, make_listing
from tests.free_port import free_port
from tests.waiting import wait_until

expect.set_options(timeout=30_000)  # milliseconds: a busy machine draws slowly

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = (1280, 390)


@dataclass(frozen=True)
class Shop:
    """A shop with thirty skirts and a vase, behind a real server."""

    url: str
    settings: QuerySettings


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The distribution's Chromium, or the one that NITAMONO_CHROMIUM names."""
    named = os.environ.get("NITAMONO_CHROMIUM")
    path = named or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path is None:
        skip_or_fail(
            "no Chromium found; install it (Debian: apt-get install chromium) or set NITAMONO_CHROMIUM"
        )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def shop(
    es: Elasticsearch, elasticsearch_url: str, run_id: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """Skirts of like colours; the third has no photo file, that of the fourth is on a host that is away."""
    prefix, photos = f"test-{run_id}-pages", tmp_path_factory.mktemp("photos")
    index = create_index(es, prefix, make_identity())
    swap_aliases(es, prefix, index)
    for number in range(1, 31):
        add_skirt(es, index, photos, number)
    add_vase(es, index)
    es.indices.refresh(index=index)
    settings = QuerySettings(
        ElasticsearchSettings((elasticsearch_url,), prefix=prefix), ImageRoots((photos,))
    )
    with serving(settings) as url:
        yield Shop(url, settings)
    es.indices.delete(index=index)


def add_skirt(es: Elasticsearch, index: str, photos: Path, number: int) -> None:
    """The higher the number, the newer, and the less like skirt 1."""
    images = [f"{number}.png", f"{number}.png"]
    if number == 4:
        images = ["http://127.0.0.1:9/gone.jpg"]
    elif number != 3:
        Image.new("RGB", (60, 60), (200, 6 * number, 30)).save(photos / f"{number}.png")
    moment = f"2026-01-{number:02}T00:00:00Z"
    listing = make_listing(
        item_id=f"skirt{number}",
        title="赤いスカート 花柄" if number == 2 else f"Red skirt {number}",
        price=1000 + 10 * number,
        created_at=moment,
        updated_at=moment,
        images=images,
    )
    angle = number / 30
    picture = EncodedPhoto((math.cos(angle), math.sin(angle), 0.0, 0.0), "0" * 16)
    document = to_document(listing, picture, "colour-00000001")
    es.index(index=index, id=listing.item_id, document=document.to_source())


def add_vase(es: Elasticsearch, index: str) -> None:
    """Dear, sold, and without a photo that could be encoded."""
    listing = make_listing(
        item_id="vase",
        title="<b>Glass</b> vase",
        category=["Home", "Vases"],
        price=9000,
        status="sold_out",
        created_at="2026-02-01T00:00:00Z",
        updated_at="2026-02-01T00:00:00Z",
        images=[],
    )
    document = to_document(listing, None, "colour-00000001")
    es.index(index=index, id=listing.item_id, document=document.to_source())


@pytest.fixture(params=WIDTHS)
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page as wide as a desk's or a hand's screen, with scripts switched off."""
    context = browser.new_context(viewport={"width": request.param, "height": 900}, java_script_enabled=False)
    yield context.new_page()
    context.close()


@contextmanager
def serving(settings: QuerySettings) -> Iterator[str]:
    """The URL of the pages, in a thread of this process."""
    with connect(settings.elasticsearch) as es:
        server = make_server("127.0.0.1", free_port(), create_app(settings, es), threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def shown(page: Page) -> list[str]:
    """The titles of the grid, in order."""
    return page.locator(".grid .name").all_inner_texts()


def follow(page: Page, control: Locator) -> None:
    """Click a link or button, and wait until its page is loaded: a click alone may return on the old one."""
    with page.expect_navigation():
        control.click()


def is_too_wide(page: Page) -> bool:
    """Whether the page has to be scrolled sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def test_a_shopper_finds_an_item_and_those_like_it(page: Page, shop: Shop) -> None:
    """Search, click, look, click on; all without a script."""
    page.goto(shop.url)
    assert shown(page)[:2] == ["Red skirt 30", "Red skirt 29"]
    page.get_by_role("searchbox").fill("skirt 1")
    follow(page, page.get_by_role("button", name="Search"))
    expect(page.locator(".grid .name")).to_have_text(["Red skirt 1"])
    follow(page, page.locator(".grid a").first)
    expect(page).to_have_url(f"{shop.url}/items/skirt1")
    expect(page.get_by_role("heading", level=1)).to_have_text("Red skirt 1")
    expect(page.get_by_role("heading", level=2)).to_have_text("似たもの / Visually similar items")
    expect(page.locator(".about")).to_contain_text("¥1,010")
    expect(page.locator(".about")).to_contain_text("For sale")
    expect(page.locator(".grid .name")).to_have_count(24)
    similar = shown(page)
    assert similar[:4] == ["赤いスカート 花柄", "Red skirt 3", "Red skirt 4", "Red skirt 5"]
    assert "¥1,020" in page.locator(".grid .card").first.inner_text()
    assert "Skirts" in page.locator(".grid .card").first.inner_text()
    assert not is_too_wide(page)
    follow(page, page.locator(".grid a").first)
    expect(page.get_by_role("heading", level=1)).to_have_attribute("lang", "ja")


def test_categories_and_pages_narrow_and_lead_on(page: Page, shop: Shop) -> None:
    """Chips lead down and up again; the second page holds the rest."""
    page.goto(shop.url)
    assert page.locator(".chip").all_inner_texts() == ["Apparel 30"]
    follow(page, page.get_by_role("link", name="Apparel 30"))
    follow(page, page.get_by_role("link", name="Bottomwear 30"))
    assert page.locator(".chip.here").inner_text() == "Bottomwear"
    follow(page, page.get_by_role("link", name="Older →"))
    expect(page.locator(".grid .name")).to_have_count(6)
    expect(page.locator(".grid .name").last).to_have_text("Red skirt 1")
    assert page.get_by_text("Page 2 of 2").is_visible()
    follow(page, page.get_by_role("link", name="All", exact=True))
    expect(page).to_have_url(f"{shop.url}/")
    assert not is_too_wide(page)


def test_the_explanation_shows_on_hover_and_on_focus(page: Page, shop: Shop) -> None:
    """Once asked for; by pointer and by keyboard, and it is gone afterwards."""
    page.goto(f"{shop.url}/items/skirt1")
    expect(page.locator(".why-button")).to_have_count(0)
    follow(page, page.get_by_role("link", name="Explain the order"))
    card = page.locator(".grid .card").nth(1)
    why = card.locator(".why")
    expect(why).to_be_hidden()
    card.get_by_role("button").hover()
    expect(why).to_be_visible()
    for text in ("Similarity\n0.998", "Shared depth\n3", "Price ratio\n1.0198", "Rank by similarity\n2"):
        assert text in why.inner_text()
    page.mouse.move(0, 0)
    expect(why).to_be_hidden()
    card.get_by_role("button").focus()
    expect(why).to_be_visible()


def test_more_similar_items_are_on_the_next_page(page: Page, shop: Shop) -> None:
    """Those that the first page has not shown."""
    page.goto(f"{shop.url}/items/skirt1")
    first = shown(page)
    follow(page, page.get_by_role("link", name="More similar items"))
    second = shown(page)
    assert len(first) == 24
    assert second
    assert not set(first) & set(second)
    follow(page, page.get_by_role("link", name="First page"))
    assert shown(page) == first
    page.goto(f"{shop.url}/items/skirt1?cursor=of-another-arm")
    assert shown(page) == first, "a link that is too old shows the first page"
    follow(page, page.get_by_role("link", name="More similar items"))
    expect(page.get_by_role("link", name="More similar items")).to_have_count(0)


def test_missing_photos_leave_a_placeholder(browser: Browser, shop: Shop) -> None:
    """One without a file, one from a host that is away, one that never was: no hole, no broken picture."""
    page = browser.new_page()
    page.goto(f"{shop.url}/items/skirt1", wait_until="networkidle")
    widths = "[...document.querySelectorAll('.grid img')].map(image => image.naturalWidth)"
    natural = page.evaluate(widths)
    assert natural[0] == 60
    assert natural[1] > 0, "the server answers 404 with a picture, which browsers show"
    covered = "getComputedStyle(document.querySelectorAll('.grid img')[2], '::after').backgroundImage"
    assert "placeholder.svg" in page.evaluate(covered)
    page.goto(f"{shop.url}/items/vase", wait_until="networkidle")
    assert page.locator(".photos img").get_attribute("alt") == "No photo"
    assert page.evaluate("document.querySelector('.photos img').naturalWidth") > 0
    page.close()


def test_a_sold_item_without_a_photo_says_why_its_answer_differs(page: Page, shop: Shop) -> None:
    """The reason of the fallback and the widened band stand above the grid; titles are text, never markup."""
    page.goto(f"{shop.url}/items/vase")
    expect(page.get_by_role("heading", level=1)).to_have_text("<b>Glass</b> vase")
    expect(page.locator(".status")).to_have_text("Sold")
    expect(page.locator(".notice")).to_contain_text("Its photo has not been encoded yet")
    expect(page.locator(".summary")).to_contain_text("1/10 to 10 times its price: widened from 2 times")
    assert shown(page)[0] == "Red skirt 30"
    assert not is_too_wide(page)


def test_failures_have_friendly_pages(page: Page, shop: Shop) -> None:
    """Gone, mistyped, and nothing found."""
    answer = page.goto(f"{shop.url}/items/nobody")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("heading", level=1)).to_have_text("Page not found")
    page.goto(f"{shop.url}/?page=first")
    expect(page.locator("main")).to_contain_text(
        "Parameter `page`: found 'first', expected a whole number from 1 to 10,000"
    )
    page.goto(f"{shop.url}/?q=vase")
    expect(page.locator("main")).to_contain_text("Nothing found")
    page.get_by_role("link", name="All titles").or_(page.get_by_role("link", name="all titles")).first.click()
    expect(page).to_have_url(f"{shop.url}/")


def test_without_elasticsearch_the_page_says_so(page: Page) -> None:
    """In words, on the page's own address."""
    settings = QuerySettings(ElasticsearchSettings((f"http://127.0.0.1:{free_port()}",)))
    with serving(settings) as url:
        answer = page.goto(url)
        assert answer is not None
        assert answer.status == 503
        expect(page.get_by_role("heading", level=1)).to_have_text("The listings cannot be reached just now")


def test_nothing_comes_from_elsewhere_and_nothing_is_refused(browser: Browser, shop: Shop) -> None:
    """Every page, the API description too, loads from this server alone, with no error in the console."""
    page = browser.new_page()
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    for path in ("/", "/items/skirt30", "/docs"):
        page.goto(shop.url + path, wait_until="networkidle")
    expect(page.locator(".opblock-summary-path").first).to_be_visible()
    local = [url for url in asked if not url.startswith("data:") and not url.endswith("/gone.jpg")]
    assert {url for url in local if not url.startswith(shop.url)} == set()
    missing = [text for text in errors if "404" not in text and "ERR_" not in text]
    assert missing == []
    page.close()


# WCAG 2.2's formula for contrast, over the colours that the browser computed.
CONTRASTS = """() => {
  const channel = (value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  };
  const luminance = ([red, green, blue]) =>
    0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
  const colour = (text) => text.match(/[0-9.]+/g).map(Number);
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = colour(getComputedStyle(at).backgroundColor);
      if (found.length < 4 || found[3] > 0.9) return found;
    }
    return [255, 255, 255];
  };
  const hasText = (element) => [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  return [...document.body.querySelectorAll("*")].filter(hasText).map((element) => {
    const pair = [colour(getComputedStyle(element).color), background(element)].map(luminance);
    const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    return [contrast, element.className + " " + element.textContent.trim().slice(0, 40)];
  });
}"""


@pytest.mark.parametrize("path", ["/", "/?category=Apparel", "/items/skirt1", "/items/vase", "/items/nobody"])
def test_pages_can_be_read_by_all(browser: Browser, shop: Shop, path: str) -> None:
    """Contrast of at least 4.5, a text for each picture, a name for each control, one first heading."""
    page = browser.new_page()
    page.goto(shop.url + path, wait_until="networkidle")
    faint = [(round(contrast, 2), text) for contrast, text in page.evaluate(CONTRASTS) if contrast < 4.5]
    assert faint == []
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("h1").count() == 1
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    assert page.get_by_role("searchbox", name="Search titles").count() == 1
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.close()


@dataclass(frozen=True)
class Watched:
    """A shop that takes events, and those it has queued."""

    url: str
    events: list[Event]

    def wait_for(self, *kinds: type[Event]) -> list[Event]:
        """The queued events, once as many as these have come; fails if others came, or another order."""
        wait_until(lambda: len(self.events) >= len(kinds))
        assert [type(event) for event in self.events] == list(kinds)
        return self.events


@pytest.fixture
def watched(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """The shop with a salt, and with a list in place of its queue."""
    events: list[Event] = []
    monkeypatch.setattr(EventQueue, "put", lambda _, batch: events.extend(batch))
    with serving(replace(shop.settings, user_salt=SALT)) as url:
        yield Watched(url, events)


@pytest.fixture(params=WIDTHS)
def scripted(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page with scripts, too low for the slate to be seen before one scrolls."""
    context = browser.new_context(viewport={"width": request.param, "height": 500})
    yield context.new_page()
    context.close()


def test_an_impression_is_sent_once_the_slate_is_on_the_screen(scripted: Page, watched: Watched) -> None:
    """Not before, however long the page is open; once, however often one scrolls; as it was shown."""
    scripted.goto(f"{watched.url}/items/skirt1", wait_until="networkidle")
    (view,) = watched.wait_for(ItemView)
    assert isinstance(view, ItemView)
    assert (view.item_id, view.slate_id) == ("skirt1", None)
    scripted.evaluate("document.getElementById('slate').scrollIntoView({block: 'end', behavior: 'instant'})")
    events = watched.wait_for(ItemView, Impression)
    for place in ("start", "end"):
        scripted.evaluate(f"window.scrollTo(0, '{place}' === 'start' ? 0 : document.body.scrollHeight)")
        scripted.wait_for_timeout(300)
    assert len(watched.events) == 2

    shown = events[1]
    assert isinstance(shown, Impression)
    slate = scripted.locator("#slate")
    assert [item.item_id for item in shown.items[:3]] == ["skirt2", "skirt3", "skirt4"]
    assert [item.position for item in shown.items] == list(range(1, 25))
    assert (shown.query_item_id, shown.slate_id) == ("skirt1", slate.get_attribute("data-slate-id"))
    assert (shown.encoder_id, shown.arms, shown.randomised, shown.override) == (
        "colour-00000001",
        (),
        False,
        False,
    )
    assert shown.took_ms == float(slate.get_attribute("data-took-ms") or "nan")


def test_a_tap_is_sent_and_the_view_it_leads_to_has_its_slate(scripted: Page, watched: Watched) -> None:
    """Though the page is left at that moment. Loaded again, the view was not tapped again."""
    scripted.goto(f"{watched.url}/items/skirt1", wait_until="networkidle")
    slate_id = scripted.locator("#slate").get_attribute("data-slate-id")
    scripted.locator(".grid .card a").nth(1).click()
    expect(scripted).to_have_url(f"{watched.url}/items/skirt3")
    wait_until(lambda: sum(isinstance(event, ItemView) for event in watched.events) == 2)
    (tap,) = (event for event in watched.events if isinstance(event, Tap))
    assert (tap.item_id, tap.position, tap.query_item_id, tap.slate_id) == ("skirt3", 2, "skirt1", slate_id)
    scripted.reload()
    wait_until(lambda: sum(isinstance(event, ItemView) for event in watched.events) == 3)
    views = [event.slate_id for event in watched.events if isinstance(event, ItemView)]
    assert views == [None, slate_id, None]


def test_a_tapped_slate_was_seen(scripted: Page, watched: Watched) -> None:
    """Though the tap comes before half of it is on the screen: the impression goes before the tap, once."""
    scripted.goto(f"{watched.url}/items/skirt1", wait_until="networkidle")
    watched.wait_for(ItemView)
    # A click that does not scroll; the page stays, since the middle button opens a new tab.
    card = scripted.locator(".grid .card a").nth(1)
    card.dispatch_event("auxclick", {"button": 1})
    _, shown, first = watched.wait_for(ItemView, Impression, Tap)
    card.dispatch_event("auxclick", {"button": 1})  # only now: one request may overtake another
    watched.wait_for(ItemView, Impression, Tap, Tap)
    assert isinstance(shown, Impression)
    assert isinstance(first, Tap)
    assert first.slate_id == shown.slate_id
    assert shown.time <= first.time
    scripted.evaluate("document.getElementById('slate').scrollIntoView({block: 'end', behavior: 'instant'})")
    scripted.wait_for_timeout(500)
    assert len(watched.events) == 4


def test_a_visitor_whose_clock_is_wrong_is_counted(scripted: Page, watched: Watched) -> None:
    """By the server's clock."""
    scripted.clock.install(time="2031-01-01T00:00:00Z")
    scripted.goto(f"{watched.url}/items/skirt1", wait_until="networkidle")
    assert scripted.evaluate("new Date().getFullYear()") == 2031
    (view,) = watched.wait_for(ItemView)
    assert abs(time.time() - view.time.timestamp()) < 60


def test_a_visitor_is_the_same_for_a_year_and_no_longer(browser: Browser, watched: Watched) -> None:
    """One number in a cookie of this site alone, closed to scripts; another browser is another visitor."""
    visitors = set()
    for _ in range(2):
        context = browser.new_context()
        page = context.new_page()
        for path in ("/items/skirt1", "/items/skirt2"):
            page.goto(watched.url + path, wait_until="networkidle")
        (cookie,) = context.cookies()
        assert (cookie["name"], cookie["sameSite"], cookie["httpOnly"]) == (COOKIE, "Lax", True)
        assert 364 < (cookie["expires"] - time.time()) / 86_400 <= 365
        visitors.add(user_hash(SALT, cookie["value"]))
        context.close()
    wait_until(lambda: sum(isinstance(event, ItemView) for event in watched.events) == 4)
    assert {event.user_id for event in watched.events} == visitors
    assert len(visitors) == 2


def test_who_asks_not_to_be_followed_is_not(browser: Browser, watched: Watched) -> None:
    """By Global Privacy Control: no cookie, no event."""
    context = browser.new_context(extra_http_headers={"Sec-GPC": "1"})
    page = context.new_page()
    page.goto(f"{watched.url}/items/skirt1", wait_until="networkidle")
    assert page.locator("script[src*=beacon]").count() == 0
    assert context.cookies() == []
    context.close()
    assert watched.events == []


def test_without_a_salt_nobody_is_tracked(browser: Browser, shop: Shop) -> None:
    """No cookie and no script: the server could not take what it sends."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{shop.url}/items/skirt1", wait_until="networkidle")
    assert page.locator("script").count() == 0
    assert context.cookies() == []
    context.close()


def test_the_beacon_breaks_no_policy(browser: Browser, watched: Watched) -> None:
    """No error in the console, no request to elsewhere; an empty slate is told too."""
    page = browser.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{watched.url}/items/skirt1?category=Home", wait_until="networkidle")
    page.locator("#slate").scroll_into_view_if_needed()
    _, impression = watched.wait_for(ItemView, Impression)
    assert isinstance(impression, Impression)
    assert impression.items == ()
    assert [text for text in errors if "404" not in text and "ERR_" not in text] == []
    page.close()
