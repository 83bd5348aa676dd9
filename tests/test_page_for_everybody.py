"""The page in a real browser: managing what was taught, and every body, screen and key."""

import os
import re
from pathlib import Path

import pytest
from page_hands import Open, button, drag, forget
from phone import Phone
from playwright.sync_api import expect
from worn import DEVICE, Worn

pytest_plugins = ("page_rig",)

# -- managing -------------------------------------------------------------------------------------


def test_an_activity_is_renamed_merged_and_forgotten_which_asks_once(
    opened: Open, worn: Worn, mqtt: Phone, knowing: None
) -> None:
    mqtt.ask({"activity": "wlaking", "last_s": 5})
    with opened() as page:
        page.goto(worn.pair())
        listed = page.locator("#names")
        listed.get_by_text("wlaking").click()
        page.get_by_label("Another name").fill("strolling")
        page.get_by_role("button", name="Rename").click()
        expect(listed).to_contain_text("strolling")
        expect(listed).not_to_contain_text("wlaking")

        listed.get_by_text("strolling").click()
        page.get_by_label("Another name").fill("Walking")
        expect(page.locator("#merge-hint")).to_contain_text("cannot be parted")
        page.get_by_role("button", name="Merge with walking").click()
        expect(listed).not_to_contain_text("strolling")

        mqtt.ask({"activity": "dozing", "last_s": 5})
        listed.get_by_text("dozing").click()
        page.get_by_role("button", name="Forget dozing").click()
        page.get_by_role("button", name="Keep it").click()
        page.get_by_role("button", name="Forget dozing").click()
        expect(listed).to_contain_text("dozing")
        heard = len(mqtt.messages)
        page.get_by_role("button", name="Forget it").click()
        expect(listed).not_to_contain_text("dozing")
        known = mqtt.wait_for("info", lambda m: "dozing" not in m["activities"], after=heard)

    assert "walking" in known["activities"]


def test_learning_is_paused_and_the_threshold_set(
    opened: Open, worn: Worn, mqtt: Phone, knowing: None
) -> None:
    with opened() as page:
        page.goto(worn.pair())
        page.get_by_text("Settings", exact=True).click()
        page.get_by_role("switch").click()
        expect(page.get_by_role("switch")).to_have_attribute("aria-checked", "false")
        expect(button(page, "walking")).to_be_disabled()
        page.get_by_role("switch").click()
        expect(button(page, "walking")).to_be_enabled()
        before = mqtt.of("controls")[-1]["threshold_percent"]
        page.get_by_role("slider", name="Say “not sure” below").press("ArrowRight")
        controls = mqtt.wait_for("controls", lambda m: m["threshold_percent"] > before)
        expect(page.locator("#threshold-text")).to_contain_text(
            f"below {controls['threshold_percent']:.0f} %"
        )


def test_a_backup_brings_back_what_was_forgotten_since(
    opened: Open, worn: Worn, mqtt: Phone, knowing: None, tmp_path: Path
) -> None:
    with opened() as page:
        page.goto(worn.pair())
        page.get_by_text("Settings", exact=True).click()
        with page.expect_download() as downloading:
            page.get_by_role("button", name="Download backup").click()
        assert downloading.value.suggested_filename.startswith(f"budge-{DEVICE}-")
        downloading.value.save_as(tmp_path / "it.budge")
        forget(mqtt, "walking")
        expect(page.locator("#names")).not_to_contain_text("walking")
        page.locator("#restore-file").set_input_files(tmp_path / "it.budge")
        expect(page.get_by_role("dialog")).to_contain_text("replaced by what is in it.budge")
        page.get_by_role("button", name="Restore it").click()
        worn.ended()  # to take it in when it starts
        worn.start()
        expect(page.locator("#names")).to_contain_text("walking", timeout=30_000)


def test_the_topics_are_this_devices_own(opened: Open, worn: Worn) -> None:
    with opened() as page:
        page.goto(worn.pair())
        page.get_by_text("For other programs (MQTT)").click()
        expect(page.locator("#topics")).to_contain_text(f"budge/{DEVICE}/label/set")


def test_who_may_only_watch_sees_what_goes_on_and_no_control(
    opened: Open, worn: Worn, knowing: None
) -> None:
    with opened() as page:
        page.goto(worn.pair("read"))
        expect(page.locator("#teach-hint")).to_have_text("This phone may watch, not teach.")
        expect(page.locator("#names")).to_contain_text("walking")
        expect(page.locator("#watching button:visible, #watching input:visible")).to_have_count(0)
        drag(page, 200, 100)
        expect(page.locator("#was")).to_be_hidden()


# -- for everybody --------------------------------------------------------------------------------


def test_on_a_screen_of_320_px_nothing_sticks_out_and_every_target_is_44_px(
    opened: Open, worn: Worn, mqtt: Phone, knowing: None
) -> None:
    mqtt.ask({"activity": "Spülmaschine-Geschirrspüler ausräumen", "last_s": 5})
    with opened(viewport={"width": 320, "height": 568}) as page:
        page.goto(worn.pair())
        expect(page.locator("#names")).to_contain_text("walking")
        for fold in page.locator("summary").all():
            fold.click()
        page.get_by_role("button", name="10 s", exact=True).click()
        wide = page.evaluate("document.documentElement.scrollWidth")
        small = page.evaluate(
            """[...document.querySelectorAll("button, input, summary, #ribbon")]
                 .filter((one) => one.offsetParent && !one.closest(".unseen, [hidden]"))
                 .map((one) => [one.id || one.textContent, one.getBoundingClientRect()])
                 .filter(([, box]) => Math.min(box.width, box.height) < 44)
                 .map(([name, box]) => `${name}: ${box.width} x ${box.height}`)"""
        )

    forget(mqtt, "Spülmaschine-Geschirrspüler ausräumen")
    assert wide == 320
    assert small == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong(opened: Open, worn: Worn, knowing: None, scheme: str) -> None:
    axe = Path(os.environ.get("AXE_CORE", "")) / "node_modules" / "axe-core" / "axe.min.js"
    if not axe.is_file():
        pytest.skip("needs axe-core: npm install --prefix DIR axe-core, and AXE_CORE=DIR")
    check = """async () => (await axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa",
        "wcag22aa", "best-practice"]})).violations.map(({id, nodes}) =>
        [id, ...nodes.map(({html, failureSummary}) => html.slice(0, 120) + failureSummary)])"""
    with opened(color_scheme=scheme, bypass_csp=True) as page:
        page.goto(worn.address)
        page.evaluate(axe.read_text())
        assert page.evaluate(check) == []
        page.goto(worn.pair())
        expect(page.locator("#names")).to_contain_text("walking")
        button(page, "walking").click()
        for fold in page.locator("summary").all():
            fold.click()
        page.get_by_role("button", name="10 s", exact=True).click()
        page.evaluate(axe.read_text())
        assert page.evaluate(check) == []
        button(page, "walking").click()
        page.locator("#names").get_by_text("walking").click()
        assert page.evaluate(check) == []


def test_a_keyboard_is_enough(opened: Open, worn: Worn, mqtt: Phone, knowing: None) -> None:
    with opened(is_mobile=False, has_touch=False) as page:
        page.goto(worn.pair())
        expect(button(page, "walking")).to_be_enabled()
        key = page.keyboard.press

        def tab_to(what: str) -> None:
            here = (
                "document.activeElement.matches(':focus-visible') &&"
                " (document.activeElement.id || document.activeElement.innerText)"
            )
            for _ in range(30):
                if what in str(page.evaluate(here)):
                    return
                key("Tab")
            pytest.fail(f"tab never comes to {what!r}")

        tab_to("walking")
        key("Enter")
        expect(button(page, "walking")).to_have_attribute("aria-pressed", "true")
        expect(page.locator("#pressed")).to_have_text("kept: walking has begun")
        key("Space")
        expect(page.locator("#pressed")).to_contain_text("kept: walking, ")
        tab_to("ribbon")
        for _ in range(2):
            key("Shift+ArrowLeft")
        expect(page.locator("#ribbon")).to_have_attribute("aria-valuetext", re.compile("10 s"))
        heard = len(mqtt.messages)
        key("Enter")
        tab_to("resting")
        key("Enter")
        # MQTT may tell of the stop later than the page does.
        taught = mqtt.wait_for(
            "response/label", lambda m: m["data"]["action"] != "stopped", after=heard
        )
        expect(page.locator("#ribbon")).to_be_focused()

    assert (taught["data"]["action"], taught["data"]["activity"]) == ("taught", "resting")


def test_who_wants_no_movement_gets_a_new_picture_once_a_second(opened: Open, worn: Worn) -> None:
    count = """() => new Promise((resolve) => {
        let lines = 0;
        const {prototype} = CanvasRenderingContext2D;
        const {stroke} = prototype;
        prototype.stroke = function (...given) {
            if (this.canvas.id === "trace") lines += 1;
            return stroke.apply(this, given);
        };
        setTimeout(() => resolve(lines / 3), 3000);
    })"""
    pictures = {}
    for motion in ("reduce", "no-preference"):
        with opened(reduced_motion=motion) as page:
            page.goto(worn.pair())
            expect(page.locator("#link")).to_have_text("live")
            expect(page.locator("#sure-text")).to_contain_text("% sure")
            pictures[motion] = page.evaluate(count)

    assert 1 <= pictures["reduce"] <= 4
    assert pictures["no-preference"] > 2 * pictures["reduce"]


# -- the files ------------------------------------------------------------------------------------

FILES = Path(__file__).resolve().parent.parent / "deploy" / "page" / "files"


def test_all_files_together_are_less_than_60_kb() -> None:
    assert sum(file.stat().st_size for file in FILES.iterdir()) < 60_000


def test_every_word_that_the_page_names_is_in_the_table_and_no_other() -> None:
    table = set(re.findall(r"^\t(\w+):", (FILES / "words.js").read_text(), re.MULTILINE))
    markup = (FILES / "index.html").read_text()
    code = "".join(f.read_text() for f in FILES.glob("*.js"))
    named = set(re.findall(r'data-(?:word|label)="(\w+)"', markup))
    named |= set(re.findall(r"\bwords\.(?!js)(\w+)", code))
    actions = {"started", "stopped", "taught", "undone"}  # of answers: words[action]

    assert named | actions == table
    said = re.sub(r"<[^>]+>|<!--.*?-->", "", markup).split("\n")
    assert [line for line in map(str.strip, said) if line] == [
        "budge",
        "This page needs JavaScript: please allow it for this address.",
        "budge pair",
        "budge",
    ]
