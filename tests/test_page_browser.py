"""The page in a real browser, with a real broker, on a chip that somebody wears: teaching."""

import re
import time
from datetime import UTC, datetime

import pytest
from page_hands import Open, button, drag, forget, forget_all, last_taught
from phone import Phone, seconds
from playwright.sync_api import Page, expect
from worn import DEVICE, Worn

pytest_plugins = ("page_rig",)

PIXEL_S = 2.0  # of the ribbon
CLOCK_S = 0.1  # by which two looks at one clock may differ

# -- pairing --------------------------------------------------------------------------------------


def test_without_a_key_the_page_says_how_to_pair_and_asks_for_nothing(
    opened: Open, worn: Worn
) -> None:
    with opened() as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(worn.address)
        expect(page.get_by_text("budge pair")).to_be_visible()
        expect(page.locator("#watching")).to_be_hidden()
        page.get_by_label("Or paste the link").fill("http://pi.local:8080/")
        page.get_by_role("button", name="Connect").click()
        expect(page.get_by_role("alert")).to_contain_text("There is no key in this")

    assert not [url for url in asked if "/api/" in url]


def test_a_link_that_is_pasted_pairs_and_a_reload_still_knows_it(opened: Open, worn: Worn) -> None:
    with opened() as page:
        page.goto(worn.address)
        page.get_by_label("Or paste the link").fill(worn.pair())
        page.get_by_role("button", name="Connect").click()
        expect(page.locator("#link")).to_have_text("live")
        page.reload()
        expect(page.locator("#link")).to_have_text("live")
        expect(page.locator("#device")).to_have_text(DEVICE)


def test_the_link_of_the_code_pairs_and_its_key_stays_out_of_the_history(
    opened: Open, worn: Worn
) -> None:
    with opened() as page:
        page.goto(worn.pair())
        expect(page.locator("#link")).to_have_text("live")

        assert page.evaluate("location.href") == worn.address


def test_a_key_that_the_pi_does_not_know_leads_back_to_pairing(opened: Open, worn: Worn) -> None:
    with opened() as page:
        page.goto(f"{worn.address}#token={'x' * 22}")
        expect(page.get_by_role("alert")).to_contain_text("does not know this phone")


# -- teaching -------------------------------------------------------------------------------------


def test_two_activities_are_taught_from_scratch_by_taps(
    opened: Open, worn: Worn, mqtt: Phone
) -> None:
    forget_all(mqtt)
    with opened() as page:
        page.goto(worn.pair())
        expect(page.locator("#now-name")).to_have_text("nothing learnt yet")
        worn.do("walking")
        button(page, "walking").click()
        expect(page.locator("#pressed")).to_have_text("kept: walking has begun")
        expect(button(page, "walking")).to_contain_text(re.compile(r"0:(0[4-9]|[1-5]\d)"))
        expect(button(page, "walking")).to_contain_text(re.compile(r"([4-9]|\d\d) windows"))
        button(page, "walking").click()
        expect(page.locator("#pressed")).to_contain_text("kept: walking, ")
        worn.do("resting")
        page.get_by_role("button", name="new").click()
        page.get_by_label("What do you call it?").fill("resting")
        page.get_by_role("button", name="Start").click()
        expect(button(page, "resting")).to_contain_text(re.compile(r"([5-9]|\d\d) windows"))
        button(page, "resting").click()
        expect(page.locator("#now-name")).to_have_text("resting")
        expect(page.locator("#sure-text")).to_contain_text("% sure")
        worn.do("walking")
        expect(page.locator("#now-name")).to_have_text("walking")
        expect(page.locator("#names")).to_contain_text("resting")

    assert set(mqtt.of("info")[-1]["activities"]) == {"walking", "resting"}


def test_a_press_fills_its_button_before_the_pi_has_answered(
    opened: Open, worn: Worn, knowing: None
) -> None:
    with opened() as page:
        page.goto(worn.pair())
        walking = button(page, "walking")
        pressed = "button => { button.click(); return button.getAttribute('aria-pressed'); }"

        assert walking.evaluate(pressed) == "true"
        expect(page.locator("#pressed")).to_have_text("kept: walking has begun")
        assert walking.evaluate(pressed) == "false"


def test_two_phones_see_each_others_presses(opened: Open, worn: Worn, knowing: None) -> None:
    with opened() as ada, opened() as bob:
        ada.goto(worn.pair())
        bob.goto(worn.pair())
        expect(button(bob, "resting")).to_have_attribute("aria-pressed", "false")
        button(ada, "resting").click()
        expect(button(bob, "resting")).to_have_attribute("aria-pressed", "true")
        button(bob, "walking").click()
        expect(button(ada, "walking")).to_have_attribute("aria-pressed", "true")
        expect(button(ada, "resting")).to_have_attribute("aria-pressed", "false")
        button(ada, "walking").click()
        expect(button(bob, "walking")).to_have_attribute("aria-pressed", "false")


def test_a_stretch_that_is_dragged_over_is_taught_as_what_it_was(
    opened: Open, worn: Worn, mqtt: Phone, knowing: None
) -> None:
    with opened() as page:
        page.goto(worn.pair())
        expect(page.locator("#link")).to_have_text("live")
        page.locator("#ribbon").scroll_into_view_if_needed()
        before = time.time()
        drag(page, 35, 5)
        after = time.time()
        expect(page.locator("#was-title")).to_contain_text("What was it?")
        page.locator("#was").get_by_role("button", name="new").click()
        page.get_by_label("What do you call it?").fill("dancing")
        page.get_by_role("button", name="That was it").click()
        expect(page.locator("#was")).to_be_hidden()
        taught = last_taught(mqtt, "dancing", since_s=before - 10)

    forget(mqtt, "dancing")
    assert before - 35 - PIXEL_S <= seconds(taught["start"]) <= after - 35 + PIXEL_S
    assert before - 5 - PIXEL_S <= seconds(taught["end"]) <= after - 5 + PIXEL_S


def test_the_last_seconds_are_those_before_the_tap(
    opened: Open, worn: Worn, mqtt: Phone, knowing: None
) -> None:
    with opened() as page:
        page.goto(worn.pair())
        before = time.time()
        page.get_by_role("button", name="10 s", exact=True).click()
        after = time.time()
        time.sleep(2)  # to think about it
        page.locator("#was").get_by_role("button", name="walking").click()
        taught = last_taught(mqtt, "walking", since_s=before)

    assert before - CLOCK_S <= seconds(taught["end"]) <= after + CLOCK_S
    assert seconds(taught["end"]) - seconds(taught["start"]) == pytest.approx(10, abs=0.1)


def test_undo_names_what_it_takes_back_and_takes_that_back(
    opened: Open, worn: Worn, mqtt: Phone, knowing: None
) -> None:
    mqtt.ask({"activity": "walking", "last_s": 6})
    with opened() as page:
        page.goto(worn.pair())
        undo = page.locator("#undo")
        expect(undo).to_have_text("Undo walking, 6 s")
        heard = len(mqtt.messages)
        undo.click()
        expect(page.locator("#pressed")).to_have_text("taken back: walking")
        undone = mqtt.wait_for(
            "response/label", lambda m: m["data"].get("action") == "undone", after=heard
        )
        expect(undo).not_to_have_text("Undo walking, 6 s")

    assert (undone["data"]["action"], undone["data"]["activity"]) == ("undone", "walking")


def tell_ended(page: Page, start_s: float, end_s: float, until_s: float) -> None:
    """Say what the Pi says when it notices; that would take it half a minute."""
    start, end, until = (
        datetime.fromtimestamp(at, UTC).isoformat() for at in (start_s, end_s, until_s)
    )
    page.evaluate(
        """async (ended) => (await import("/files/state.js")).take("label",
             {label: "not labelling", since: null, windows: 0, ended})""",
        {"reason": "motion", "activity": "walking", "start": start, "end": end, "until": until},
    )


def test_a_stretch_that_ended_by_itself_gets_its_tail_with_one_tap_or_not(
    opened: Open, worn: Worn, mqtt: Phone, knowing: None
) -> None:
    gone = "button => { button.click(); return document.getElementById('ended').hidden; }"
    now = time.time()
    with opened() as page:
        page.goto(worn.pair())
        expect(button(page, "walking")).to_be_visible()
        tell_ended(page, now - 25, now - 20, now - 10)
        expect(page.locator("#ended")).to_contain_text("it looked like something else")
        assert page.get_by_role("button", name="Leave that out").evaluate(gone)
        tell_ended(page, now - 20, now - 14, now - 2)
        tail = page.get_by_role("button", name="The 12 s after it was walking, too")
        assert tail.evaluate(gone)
        taught = last_taught(mqtt, "walking", since_s=now - 2)

    assert [seconds(taught[key]) for key in ("start", "end")] == pytest.approx(
        [now - 14, now - 2], abs=0.01
    )


# -- what goes wrong ------------------------------------------------------------------------------


def test_presses_while_the_server_is_away_for_20_s_all_come_with_their_time(
    opened: Open, worn: Worn, mqtt: Phone, knowing: None
) -> None:
    with opened() as page:
        page.goto(worn.pair())
        expect(page.locator("#link")).to_have_text("live")
        worn.cable.cut()
        expect(page.locator("#link")).not_to_have_text("live")
        lost = time.time()
        worn.do("walking")
        before_s = time.time()
        button(page, "walking").click()
        began_s = time.time()
        expect(button(page, "walking")).to_contain_text(re.compile(r"0:(0[7-9]|[1-5]\d)"))
        still_s = time.time()
        button(page, "walking").click()
        ended_s = time.time()
        button(page, "resting").click()
        resting_s = time.time()
        expect(page.locator("#pressed")).to_contain_text("3 presses not confirmed yet")
        expect(page.locator("#trouble")).to_contain_text("is kept and sent later")
        time.sleep(max(0.0, lost + 20 - time.time()))
        heard = len(mqtt.messages)
        worn.cable.mend()
        expect(page.locator("#pressed")).to_have_text("kept: resting has begun")
        expect(page.locator("#link")).to_have_text("live")
        taught = mqtt.wait_for(
            "taught", lambda m: m["stretches"][-1]["activity"] == "resting", after=heard
        )["stretches"]
        button(page, "resting").click()
        expect(page.locator("#pressed")).to_contain_text("kept: resting, ")

    walking, resting = taught[-2:]
    assert walking["activity"] == "walking"
    assert before_s - CLOCK_S <= seconds(walking["start"]) <= began_s + CLOCK_S
    assert still_s - CLOCK_S <= seconds(walking["end"]) <= ended_s + CLOCK_S
    assert ended_s - CLOCK_S <= seconds(resting["start"]) <= resting_s + CLOCK_S


def test_a_press_of_a_page_that_was_closed_is_sent_when_it_is_opened_again(
    opened: Open, worn: Worn, knowing: None
) -> None:
    with opened() as page:
        page.goto(worn.pair())
        expect(page.locator("#link")).to_have_text("live")
        worn.cable.cut()
        button(page, "walking").click()
        later = page.context.new_page()
        page.close()
        worn.cable.mend()
        later.goto(worn.address)
        expect(later.locator("#pressed")).to_have_text("kept: walking has begun")
        button(later, "walking").click()
        expect(later.locator("#pressed")).to_contain_text("kept: walking, ")


def test_a_press_while_the_service_restarts_is_kept_by_the_phone_and_sent(
    opened: Open, worn: Worn, mqtt: Phone, knowing: None
) -> None:
    with opened() as page:
        page.goto(worn.pair())
        expect(page.locator("#link")).to_have_text("live")
        page.get_by_role("button", name="10 s", exact=True).click()
        worn.stop()
        page.locator("#was").get_by_role("button", name="resting").click()
        expect(page.locator("#pressed")).to_contain_text("not confirmed yet: waiting for the Pi")
        heard = len(mqtt.messages)
        worn.start()
        expect(page.locator("#pressed")).to_contain_text("kept: resting, ", timeout=30_000)
        taught = mqtt.wait_for(
            "response/label", lambda m: m["data"].get("action") == "taught", after=heard
        )

    assert taught["data"]["activity"] == "resting"


def test_what_the_pi_refuses_is_said_and_not_tried_again(
    opened: Open, worn: Worn, mqtt: Phone, knowing: None
) -> None:
    with opened() as page:
        page.goto(worn.pair())
        page.get_by_role("button", name="new").click()
        page.get_by_label("What do you call it?").fill("a/b")
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#pressed")).to_contain_text("not done: the name 'a/b' contains")
        expect(button(page, "a/b")).to_have_count(0)


def test_a_sensor_that_is_away_is_no_data_and_said_in_plain_words(
    opened: Open, worn: Worn, mqtt: Phone, knowing: None
) -> None:
    health = mqtt.of("health")[-1] | {"problem": True, "state": "gap", "cause": "unplugged"}
    with opened() as page:
        page.goto(worn.pair())
        expect(button(page, "walking")).to_be_visible()
        page.evaluate(
            """async (health) => (await import("/files/state.js")).take("health", health)""", health
        )
        expect(page.locator("#now-name")).to_have_text("no data")
        expect(page.locator("#trouble")).to_contain_text("Is it plugged in? (unplugged)")
