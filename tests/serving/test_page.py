"""The page, in a browser: what is typed is answered, read out, shaded, and never taken for HTML."""

import json
import shutil

import pytest
from server_fixtures import FakeClassifier, eventually, serving

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ATTACK = "<img src=x onerror=alert(1)>"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH to open the page with")


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def classifier():
    return FakeClassifier()


@pytest.fixture(scope="module")
def served(classifier):
    with serving(classifier, max_characters=500) as running:
        yield running


@pytest.fixture
def open_page(browser):
    """Opens the page of a server; whatever the browser complains of, and whatever it asks elsewhere, fails the test."""
    contexts, complaints = [], []

    def opening(served, expected=(), **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(8000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
        page.on(
            "console",
            lambda said: any(word in said.text for word in expected) or complaints.append(said.text),
        )
        page.on("request", lambda asked: asked.url.startswith(("data:", served.url)) or complaints.append(asked.url))
        page.goto(served.url)
        return page

    yield opening
    for context in contexts:
        context.close()
    assert complaints == []


def typed(page, text: str) -> None:
    """Fill in a text and wait for its answer."""
    with page.expect_response("**/predict"):
        page.fill("#input", text)
    page.wait_for_selector("#headline:visible, #problem:visible")


def test_what_is_typed_is_answered(open_page, served):
    page = open_page(served)
    assert page.is_hidden("#answer")
    text = "the printer is jammed"
    typed(page, text)
    said = served.predict({"text": text, "explain": True}).json
    assert page.inner_text("#headline") == f"{said['label']} {100 * said['probability']:.1f} %"
    doubt = page.inner_text("#doubt")
    assert f"{said['disagreement']:.3f} nats of disagreement, of 1.099 at most." in doubt
    tops = [max(vote, key=vote.get) for vote in said["votes"]]
    alike = tops.count(said["label"])
    assert doubt.startswith("All 3 members say so" if alike == 3 else f"{alike} of 3 members say so")
    assert page.inner_text("#time").endswith(" ms in the server, 6 tokens")
    ordered = sorted(said["probabilities"].items(), key=lambda item: -item[1])
    assert page.locator("#labels .name").all_inner_texts() == [label for label, _ in ordered]
    assert page.locator("#labels .number").all_inner_texts() == [f"{100 * share:.1f} %" for _, share in ordered]
    widths = page.locator("#labels .fill").evaluate_all("bars => bars.map(bar => parseFloat(bar.style.width))")
    assert widths == pytest.approx([100 * share for _, share in ordered], abs=0.06)
    assert page.locator("#labels li").first.locator(".mark").count() == 3
    assert page.locator("#members .name").all_inner_texts() == [f"{i}. {top}" for i, top in enumerate(tops, 1)]
    assert page.is_hidden("#more")


def test_it_follows_as_one_types_and_forgets_what_was_asked_before(open_page, served, classifier):
    page = open_page(served, expected=["net::ERR_ABORTED"])
    classifier.calls.clear()
    page.locator("#input").press_sequentially("quick typing", delay=5)
    page.wait_for_selector("#headline:visible")
    page.wait_for_load_state("networkidle")
    assert classifier.calls[-1] == ["quick typing"] and len(classifier.calls) < 6
    classifier.open.clear()
    page.fill("#input", "stale")
    eventually(lambda: ["stale"] in classifier.calls)
    page.fill("#input", "one two three four")
    page.wait_for_timeout(300)
    classifier.open.set()
    eventually(lambda: page.locator(".word").count() == 4)
    page.wait_for_timeout(100)
    assert page.inner_text("#text") == "one two three four"
    page.fill("#input", "  ")
    page.wait_for_selector("#answer", state="hidden")


def test_words_are_shaded_and_underlined_by_their_weight(open_page, served):
    page = open_page(served)
    text = "a 😀😀 c\nd  Straße"
    typed(page, text)
    words = page.locator(".word")
    assert words.all_text_contents() == text.split()
    assert page.text_content("#text") == text
    weights = [0.8 * number / 15 for number in range(1, 6)]
    assert [word.get_attribute("title") for word in words.all()] == [
        f"“{word}” got {100 * weight:.1f} % of the attention"
        for word, weight in zip(text.split(), weights, strict=True)
    ]
    looks = words.evaluate_all(
        "words => words.map(getComputedStyle).map(s => [s.backgroundColor, parseFloat(s.borderBottomWidth)])"
    )
    assert len({colour for colour, _ in looks}) == 5
    lines = [line for _, line in looks]
    assert lines == sorted(lines)
    assert lines[-1] >= lines[0] + 3
    legend = page.inner_text("#legend")
    for share in ("0.0 %", f"{50 * weights[-1]:.1f} %", f"{100 * weights[-1]:.1f} %", "[CLS] and [SEP]: 20.0 %"):
        assert share in legend
    words.nth(1).hover()
    assert page.inner_text("#weight") == "“😀😀” got 10.7 % of the attention"


def test_it_works_by_keyboard_alone(open_page, served):
    page = open_page(served)
    assert page.evaluate("document.activeElement.id") == "input"
    page.keyboard.type("alpha beta gamma")
    with page.expect_response("**/predict"):
        page.keyboard.press("Control+Enter")
    eventually(lambda: page.locator(".word").count() == 3)
    assert page.input_value("#input") == "alpha beta gamma"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Label it"
    with page.expect_response("**/predict"):
        page.keyboard.press("Enter")
    page.wait_for_timeout(100)
    page.keyboard.press("Tab")
    for key, word in (
        ("", "alpha"),
        ("ArrowRight", "beta"),
        ("End", "gamma"),
        ("ArrowRight", "gamma"),
        ("Home", "alpha"),
    ):
        if key:
            page.keyboard.press(key)
        assert page.evaluate("document.activeElement.textContent") == word
        assert page.inner_text("#weight").startswith(f"“{word}” got ")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.id") == "input"


def test_what_it_says_to_those_who_do_not_see(open_page, served):
    page = open_page(served)
    typed(page, "one two")
    assert page.get_by_label("Text", exact=True).get_attribute("id") == "input"
    assert page.get_by_role("status").inner_text().startswith(page.inner_text("#headline"))
    for name in ("Probabilities", "Votes", "Words"):
        assert page.get_by_role("region", name=name).count() == 1
    words = page.get_by_role("list", name="Words").get_by_role("listitem")
    assert words.first.get_attribute("aria-label").startswith("“one” got ")
    assert page.locator(".track:not([aria-hidden=true])").count() == 0


LONG = tuple(f"a_long_name_for_a_label_that_has_no_place_to_break_{number}" for number in range(64))


def test_a_phone_shows_long_names_without_scrolling_aside(open_page):
    with serving(FakeClassifier(LONG, members=8)) as wide:
        page = open_page(wide, viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True)
        fits = "document.documentElement.scrollWidth <= 320"
        assert page.evaluate(fits)
        typed(page, "word " * 3 + "x" * 300)
        assert page.evaluate(fits)
        assert page.locator("#labels li").count() == 6
        assert page.inner_text("#more") == "Show all 64"
        page.tap("#more")
        assert page.locator("#labels li").count() == 64
        assert page.get_attribute("#more", "aria-expanded") == "true"
        assert page.evaluate(fits)
        typed(page, "another text")
        assert page.locator("#labels li").count() == 64
        page.tap("#more")
        assert page.locator("#labels li").count() == 6
        page.goto(f"{wide.url}/docs")
        assert page.evaluate(fits)


CONTRAST = """
pairs => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const seen = (...colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const linear = part => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  return [...document.querySelectorAll("h1, h2, p, label, a, button, li, .name, .number, .word, textarea, kbd")]
    .filter(element => element.checkVisibility() && element.textContent.trim())
    .map(element => {
      const behind = [];
      for (let at = element; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
      const back = light(seen(...behind)), front = light(seen(...behind, getComputedStyle(element).color));
      return [(Math.max(back, front) + 0.05) / (Math.min(back, front) + 0.05), element.outerHTML.slice(0, 80)];
    });
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read_in_both_schemes(open_page, served, scheme):
    page = open_page(served, expected=["422"], color_scheme=scheme)
    back = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    assert (page.evaluate(back) < 60) == (scheme == "dark")
    typed(page, "one two three four five six")
    assert min(page.evaluate(CONTRAST))[0] >= 4.5, min(page.evaluate(CONTRAST))
    typed(page, "x" * 501)
    page.wait_for_selector("#problem:visible")
    assert min(page.evaluate(CONTRAST))[0] >= 4.5, min(page.evaluate(CONTRAST))


def test_nothing_moves_for_those_who_want_it_still(open_page, served):
    for motion, seconds in (("no-preference", "0.15s"), ("reduce", "0s")):
        page = open_page(served, reduced_motion=motion)
        typed(page, "one")
        assert page.locator(".fill").first.evaluate("bar => getComputedStyle(bar).transitionDuration") == seconds


def test_errors_are_shown_as_the_server_says_them(open_page, served):
    page = open_page(served, expected=["422", "500", "ERR_CONNECTION_REFUSED", "ERR_FAILED"])
    typed(page, "x" * 501)
    page.wait_for_selector("#problem:visible")
    assert page.get_by_role("alert").inner_text() == (
        "text has 501 characters, more than 500; shorten it, or start the server with a larger --max-characters."
    )
    assert page.is_hidden("#answer")
    typed(page, "fine")
    page.wait_for_selector("#headline:visible")
    assert page.is_hidden("#problem")
    typed(page, "fault")
    page.wait_for_selector("#problem:visible")
    assert page.inner_text("#problem") == "The server failed on this request; its log says why."
    page.route("**/predict", lambda route: route.abort("connectionrefused"))
    page.fill("#input", "gone")
    eventually(lambda: page.inner_text("#problem").startswith("The server does not answer"))


def test_the_token_is_asked_for_when_the_server_wants_one(open_page):
    with serving(token="s3cret") as guarded:
        page = open_page(guarded, expected=["401"])
        assert page.is_hidden("#token")
        typed(page, "one two")
        page.wait_for_selector("#token:visible")
        assert page.inner_text("#problem").startswith("This server wants a token; ")
        page.get_by_label("Token").fill("wrong")
        with page.expect_response("**/predict"):
            page.keyboard.press("Enter")
        eventually(lambda: page.inner_text("#problem").startswith("The token is not"))
        page.get_by_label("Token").fill("s3cret")
        page.keyboard.press("Enter")
        page.wait_for_selector("#headline:visible")
        assert page.is_hidden("#problem")
        assert page.evaluate("Object.keys(localStorage).length + Object.keys(sessionStorage).length") == 0


def test_neither_texts_nor_labels_are_html(open_page):
    with serving(FakeClassifier((ATTACK, f"</script>{ATTACK}", "constructor", "__proto__"))) as hostile:
        page = open_page(hostile)
        typed(page, f"{ATTACK} <b>bold</b> \"&quot;' {ATTACK}")
        assert page.locator("main img, main b").count() == 0
        assert page.text_content("#text") == f"{ATTACK} <b>bold</b> \"&quot;' {ATTACK}"
        assert ATTACK in page.inner_text("#labels")
        assert page.locator("#labels li").count() == 4
        page.goto(f"{hostile.url}/docs")
        assert page.locator("img").count() == 0
        assert ATTACK in page.inner_text("body")


def test_the_policy_of_the_page_forbids_other_scripts(open_page, served):
    page = open_page(served, expected=["Content Security Policy", "Content-Security-Policy"])
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.broken = true";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", "<button id=evil onclick='window.broken = true'>x</button>");
        document.getElementById("evil").click();
    }""")
    assert page.evaluate("window.broken") is None
    assert page.evaluate("fetch('http://127.0.0.2:9/').then(() => 'sent', () => 'refused')") == "refused"


def test_words_of_members_with_other_vocabularies_are_joined_where_they_overlap(open_page, served):
    page = open_page(served)
    words = [
        {"start": 0, "end": 4, "weight": 0.1},
        {"start": 2, "end": 6, "weight": 0.2},
        {"start": 7, "end": 9, "weight": 0.3},
    ]
    answer = served.predict({"text": "abcdef gh ij", "explain": True}).json | {"words": words, "special": 0.4}
    page.route("**/predict", lambda route: route.fulfill(body=json.dumps(answer), content_type="application/json"))
    typed(page, "abcdef gh ij")
    assert page.locator(".word").all_text_contents() == ["abcdef", "gh"]
    assert page.locator(".word").first.get_attribute("title") == "“abcdef” got 30.0 % of the attention"
    assert page.text_content("#text") == "abcdef gh ij"
    assert "what is grey at the end was not read" in page.inner_text("#legend")


def test_several_labels_are_shown_or_none(open_page):
    for thresholds, headline in (((0.0, 2.0, 0.0), "two labels"), ((2.0, 2.0, 2.0), "no label")):
        with serving(FakeClassifier(thresholds=thresholds)) as running:
            page = open_page(running)
            typed(page, "the printer is jammed")
            said = running.predict({"text": "the printer is jammed", "explain": True}).json
            shown = [f"{label} {100 * said['probabilities'][label]:.1f} %" for label in said["labels"]]
            assert page.inner_text("#headline") == (", ".join(shown) or "no label") and len(shown) in (0, 2), headline
            assert page.inner_text("#doubt").startswith("3 members vote, and their votes ")
            assert page.inner_text("#doubt").endswith(f"of {3 * 0.6931:.3f} at most.")
            assert "Each label has a probability of its own." in page.inner_text("#labels-note")
