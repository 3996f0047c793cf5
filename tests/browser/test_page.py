"""The page of a lab in a real browser: questions, actions, live updates, and what assistive technology needs."""

import json
import re
import shlex
import signal
import subprocess
import zipfile

import pytest
from playwright.sync_api import expect

from conftest import PROGRAMS, Lab

VIEWS = ["/", "/scenario", "/ahead", "/ahead?manager=sepm-1", "/clients", "/clients/desk-1", "/timeline", "/timeline/1", "/faults?kind=status", "/clock", "/snapshots?since=start", "/compare", "/failures", "/failures/F20", "/reference/control", "/reference/control?call=PUT%20%2Fv1%2Ffaults%2F%7Bfault%7D", "/reference/rest?find=computers", "/clients/nobody"]
REPLACE = [{"update-certificate": {"manager": "sepm-1", "certificate": {"generate": {}}}}]


def orphan(lab):
    """Every client loses its manager: the certificate is replaced, and nothing was done before."""
    lab.call("POST", "/v1/commands", REPLACE)
    lab.call("POST", "/v1/clock/advance", {"by": "2m"})


def clicks(page, *names):
    """Clicks on links, one after the other; at most three."""
    assert len(names) <= 3
    for name in names:
        page.get_by_role("link", name=name).first.click()


def violations(page, axe):
    """What axe-core finds on the page, with everything on it open."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    # The policy of the page allows no script of a test: the browser's own tool runs it.
    page.context.new_cdp_session(page).send("Runtime.evaluate", {"expression": axe})
    return page.evaluate("axe.run(document, { resultTypes: ['violations'] }).then((all) => all.violations.map((one) => [one.id, one.help, one.nodes.map((node) => node.html.slice(0, 200))]))")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_any_view(lab, open_page, axe, theme):
    orphan(lab)
    page = open_page(lab, color_scheme=theme)
    for path in VIEWS:
        page.goto(lab.url + path)
        assert not violations(page, axe), path


def test_in_a_narrow_window_wide_tables_show_that_they_scroll_and_the_fields_of_a_filter_are_in_line(lab, open_page):
    page = open_page(lab, viewport={"width": 400, "height": 800})
    for path in ["/clients", "/timeline"]:
        page.goto(lab.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") == 400, path
        boxes = page.evaluate("[...document.querySelectorAll('#filters :is(select, input)')].map((one) => one.getBoundingClientRect()).map((one) => [one.left, one.top, one.bottom, one.right])")
        assert len({round(left) for left, *_ in boxes}) == 2 and len({round(bottom - top) for _, top, bottom, _ in boxes}) == 1, boxes
        rows = {}
        for left, top, bottom, right in boxes:
            rows.setdefault(round(top / 10), []).append((round(top), round(bottom)))
            assert right <= 400, path
        assert all(len(set(row)) == 1 for row in rows.values()) and len(rows) < len(boxes), rows
        table = page.locator(".scroll").first
        assert table.evaluate("(one) => one.scrollWidth > one.clientWidth")
        # A shade at each edge behind which there is more: it stays, and what covers it scrolls with the table.
        expect(table).to_have_css("background-attachment", "local, local, scroll, scroll")


def test_three_clicks_say_why_a_client_is_orphaned_by_whose_act_and_what_it_holds(lab, open_page):
    orphan(lab)
    page = open_page(lab)
    expect(page.locator("#verdict")).to_contain_text(re.compile("Orphaned clients.*8 orphaned", re.S))
    expect(page.locator("#why")).to_contain_text("gave sepm-1 a new certificate")
    expect(page.locator("#why")).to_contain_text("To do:")
    clicks(page, "desk-1")
    expect(page.locator("#state")).to_contain_text(re.compile("orphaned since .*F01", re.S))
    expect(page.locator("#managers")).to_contain_text("does not hold this certificate")
    assert page.locator("#cache table").first.locator("tbody tr").count() == 1
    page.goto(lab.url)
    clicks(page, "who did what about")
    expect(page.locator("#rows")).to_contain_text('commands applied: update-certificate manager="sepm-1"')
    page.get_by_label("From lab time").fill("2000-01-01 00:00:00")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#rows")).to_contain_text("update-certificate")
    expect(page.get_by_role("link", name="older")).to_have_count(0)
    page.goto(lab.url)
    clicks(page, "all of them")
    expect(page.locator("#grid")).to_contain_text(re.compile("^8 clients"))


def test_a_client_that_runs_elsewhere_is_shown_as_far_as_it_is_reported(lab, open_page):
    view = lab.call("GET", "/v1/clients/desk-1")["view"] | {"computer_name": "far-1"}
    state = {"first": view, "on": True, "silent": False, "others": []}
    report = {"instance": "1", "began": view["health"]["since"], "at": view["health"]["since"], "interval_ms": 60_000, "part": 1, "parts": 1, "is_last": False, "states": [state]}
    lab.call("PUT", "/v1/reports/far", report)
    page = open_page(lab, "/clients/far-1")
    expect(page.locator("#state")).to_contain_text("connected")
    expect(page.locator("#log")).to_contain_text("It runs elsewhere (far)")
    lab.call("DELETE", "/v1/reports/far")


def test_a_client_that_is_served_has_its_notes_on_its_page_and_no_other_client_has_them(lab, open_page):
    lab.call("POST", "/v1/commands", [{"set-communication": {"group": "My Company", "change": {"download_profile": False}}}])
    lab.call("POST", "/v1/clock/heartbeats", {"heartbeats": 2})
    lab.call("POST", "/v1/commands", [{"set-policy": {"group": "My Company", "policy": "Firewall", "content": "allow nothing"}}])
    lab.call("POST", "/v1/clock/heartbeats", {"heartbeats": 2})
    noted = set(lab.call("GET", "/v1/verdict")["notes"][0]["examples"])
    page = open_page(lab, "/clients/" + sorted(noted)[0])
    note = page.locator("#note-downloads-off")
    expect(note).to_contain_text("1 client F37")
    expect(note).to_contain_text("To do: Switch it on again")
    everybody = {one["client"] for one in lab.call("GET", "/v1/clients")["clients"]}
    for other in sorted(everybody - noted)[:1]:
        expect(open_page(lab, "/clients/" + other).locator("#note-downloads-off")).to_have_count(0)


def test_what_was_done_is_a_scenario_in_one_click(lab, open_page):
    orphan(lab)
    lab.call("POST", "/v1/clients/desk-3/operations", {"do": "freeze"})
    page = open_page(lab)
    clicks(page, "What was done, as a scenario")
    expect(page.locator("main")).to_contain_text("Update the server certificate of sepm-1 with a new self-signed one")
    expect(page.locator("main")).to_contain_text(re.compile("Not as in the lab.*desk-3 was frozen", re.S))
    expect(page.locator(".command")).to_contain_text("epm-lab scenario record my.toml --lab " + lab.url)
    lab.call("POST", "/v1/clients/desk-3/operations", {"do": "thaw"})


def test_the_next_step_of_each_manager_is_one_click_away(lab, open_page):
    page = open_page(lab, "/ahead")
    clicks(page, "sepm-1")
    expect(page.locator("h1")).to_have_text("If the certificate of sepm-1 were replaced now")


def test_the_next_step_is_foretold(lab, open_page):
    page = open_page(lab)
    clicks(page, "Which clients would be orphaned")
    expect(page.locator("main")).to_contain_text("8 clients would be orphaned")
    expect(page.get_by_role("link", name="desk-1")).to_be_visible()
    assert not lab.call("GET", "/v1/verdict")["orphaned"]


def test_three_clicks_say_which_fault_hit_a_request(lab, open_page):
    lab.call("PUT", "/v1/faults/busy", {"what": {"kind": "status", "code": 503}, "where": {"route": "index"}})
    lab.call("POST", "/v1/clock/advance", {"by": "1m"})
    page = open_page(lab)
    clicks(page, "Timeline")
    page.locator("tr", has_text="hit by a fault").first.get_by_role("rowheader").get_by_role("link").click()
    faults = page.locator("section", has=page.get_by_role("heading", name="Faults that hit it"))
    expect(faults).to_contain_text("fault busy")
    expect(page.get_by_role("region", name="Answer")).to_contain_text("503")


def test_the_page_follows_the_lab_and_can_be_paused(lab, open_page):
    page = open_page(lab)
    expect(page.locator("#live")).to_have_text("Live")
    expect(page.locator("#verdict")).to_contain_text("All is well")
    page.evaluate("window.isSame = true")
    orphan(lab)
    expect(page.locator("#verdict")).to_contain_text("Orphaned clients")
    page.get_by_role("button", name="Live").click()
    lab.call("POST", "/v1/reset")
    expect(page.locator("#live")).to_have_text("Paused")
    expect(page.locator("#verdict")).to_contain_text("Orphaned clients")
    page.get_by_role("button", name="Paused").click()
    expect(page.locator("#verdict")).to_contain_text("All is well")
    assert page.evaluate("window.isSame")


def test_a_page_whose_lab_is_silent_says_so_at_the_verdict_and_its_clock_stands_until_it_answers(tmp_path, open_page):
    lab = Lab(tmp_path, "--agents", "2", "--heartbeat", "5")
    try:
        page = open_page(lab)
        lost, live, clock = page.locator("#lost"), page.locator("#live"), page.locator("#clock")
        expect(page.locator("#verdict")).to_contain_text("All is well")
        expect(lost).to_be_empty()
        for signal_of_silence in [signal.SIGSTOP, signal.SIGKILL]:
            lab.process.send_signal(signal_of_silence)
            expect(lost).to_have_text(re.compile(r"As of .*: the lab does not answer\."))
            expect(live).to_have_text("Lost")
            # Three ticks of the clock of the page later it shows what it did.
            page.evaluate("new Promise((done) => { let ticks = 0; const timer = setInterval(() => ++ticks === 3 && (clearInterval(timer), done()), 500); })")
            assert lost.text_content() == f"As of {clock.text_content()}: the lab does not answer."
            if signal_of_silence == signal.SIGSTOP:
                lab.process.send_signal(signal.SIGCONT)
                expect(lost).to_be_empty()
                expect(live).to_have_text("Live")
    finally:
        lab.process.kill()
        lab.process.wait(30)


def test_messages_are_few_and_small_however_busy_the_lab_is(lab, open_page):
    page = open_page(lab)
    lab.call("PUT", "/v1/clock", {"speed": 50})
    messages = page.evaluate("""() => new Promise((done) => {
        const sizes = [], events = new EventSource("/page/events");
        events.onmessage = (event) => sizes.push(event.data.length);
        setTimeout(() => { events.close(); done(sizes); }, 2000);
    })""")
    lab.call("PUT", "/v1/clock", {"speed": 0})
    assert 1 < len(messages) <= 9 and max(messages) < 1000, messages
    size = page.evaluate("fetch('/').then((answer) => answer.text()).then((text) => text.length)")
    assert size < 50_000


def test_actions_do_what_their_commands_do(lab, open_page):
    page = open_page(lab)
    page.get_by_text("Change a group or a list").click()
    form = page.locator("form", has=page.get_by_role("button", name="Copy a list"))
    form.get_by_label("Name of the copy").fill("it's <b>mine</b>")
    form.get_by_role("button").click()
    expect(form.locator("output")).to_have_text("Done.")
    expect(page.locator("#groups")).to_contain_text("it's <b>mine</b>")
    form = page.locator("form", has=page.get_by_role("button", name="Change the list"))
    form.get_by_label("List").select_option("it's <b>mine</b>")
    form.get_by_label("Protocol").select_option("http")
    form.get_by_text("As a command").click()
    curl, command = form.locator("pre").inner_text().splitlines()
    assert curl.startswith("curl -sS -X PUT") and lab.url in curl
    form.get_by_role("button").click()
    expect(form.locator("output")).to_have_text("Done.")
    protocols = lambda: {one["name"]: one["protocol"] for one in lab.call("GET", "/v1/lists")}
    assert protocols()["it's <b>mine</b>"] == "http"
    lab.call("PUT", "/v1/lists/it%27s%20%3Cb%3Emine%3C%2Fb%3E", {"protocol": "https"})
    done = lab.run(*shlex.split(command)[1:])
    assert done.returncode == 0, done.stderr
    assert protocols()["it's <b>mine</b>"] == "http"
    page.goto(lab.url + "/snapshots")
    form = page.locator("form", has=page.get_by_role("button", name="Take a snapshot"))
    form.get_by_label("Name").fill("<b>one</b>")
    form.get_by_role("button").click()
    expect(page.get_by_role("rowheader", name="<b>one</b>")).to_be_visible()
    form.get_by_role("button").click()
    expect(form.locator("output")).to_contain_text('Refused: the snapshot "<b>one</b>" of')
    lab.call("DELETE", "/v1/snapshots/%3Cb%3Eone%3C%2Fb%3E")


def test_a_fault_is_foretold_set_counted_and_removed(lab, open_page):
    page = open_page(lab, "/faults")
    page.get_by_label("Kind").select_option("status")
    form = page.locator("form", has=page.get_by_role("button", name="Set it"))
    form.get_by_label("Name", exact=True).fill("busy")
    form.get_by_label("code", exact=False).first.fill("500")
    form.get_by_label(re.compile("^Client")).fill("desk-1")
    form.get_by_label("Request").select_option("index")
    form.get_by_label("Every Nth").fill("2")
    form.get_by_role("button", name="What would this hit?").click()
    expect(form.locator("output")).to_contain_text("Would hit 1 of 8 in the first 20 occasions of each: desk-1 (2, 4, 6")
    assert lab.call("GET", "/v1/faults") == []
    form.get_by_text("As a command").click()
    command = form.locator("pre").inner_text().splitlines()[1]
    form.get_by_role("button", name="Set it").click()
    expect(page.locator("#faults")).to_contain_text("agent desk-1")
    rule = lab.call("GET", "/v1/faults")[0]["fault"]
    assert rule["what"] == {"kind": "status", "code": 500} and rule["when"]["every"] == 2
    lab.call("POST", "/v1/clock/advance", {"by": "30s"})
    hits = len(lab.call("GET", "/v1/journal?kind=fault-applied")["entries"])
    expect(page.locator("#faults tbody td.count")).to_have_text(str(hits))
    page.get_by_text("Remove faults").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.locator("#faults")).to_contain_text("No fault is set")
    assert lab.run(*shlex.split(command)[1:]).returncode == 0
    assert lab.call("GET", "/v1/faults")[0]["fault"] == rule


def test_what_has_changed_since_a_snapshot_is_three_clicks_away(lab, open_page):
    orphan(lab)
    page = open_page(lab)
    clicks(page, "Snapshots", "What has changed since start")
    changes = page.locator("#changes")
    expect(changes).to_contain_text("managers/sepm-1/client_certificate")
    expect(changes).to_contain_text("8 clients changed")
    expect(changes).to_contain_text(re.compile("connected, secure.*orphaned, secure", re.S))
    form = page.locator("form", has=page.get_by_role("button", name="Go back to it"))
    form.get_by_role("button").click()
    expect(page.locator("#changes")).to_contain_text("Every client is the same.")


def do(page, button, answer):
    """Presses the first button of this name, and waits for the answer of its form."""
    form = page.locator("form", has=page.get_by_role("button", name=button)).first
    form.get_by_role("button", name=button).click()
    expect(form.locator("output")).to_contain_text(re.compile(answer))


def test_what_a_failure_begins_with_is_made_in_this_lab(lab, open_page):
    page = open_page(lab, "/failures/F04")
    do(page, "Give these commands", "Done")
    do(page, "Add these clients", "Done")
    assert "My Company\\Branch" in {one["group"] for one in lab.call("GET", "/v1/groups")}
    assert "desktop-1" in {one["client"] for one in lab.call("GET", "/v1/clients")["clients"]}


def test_a_failure_is_brought_about_and_repaired(lab, open_page):
    page = open_page(lab)
    clicks(page, "Failures", "F01")
    do(page, "Give these commands", "Done")
    do(page, "Wait for its heartbeats", "Done|Refused")
    lab.call("POST", "/v1/clock/advance", {"by": "2m"})
    assert {one["failure"] for one in lab.call("GET", "/v1/verdict")["orphaned"]} == {"F01"}
    form = page.locator("form", has=page.get_by_label("Group"))
    for group in ["My Company\\Default Group", "My Company\\Servers"]:
        form.get_by_label("Group").select_option(group)
        form.get_by_role("button").click()
        expect(form.locator("output")).to_have_text(re.compile(r"^Done\. Clients that have imported it: [1-9]"))
    lab.call("POST", "/v1/clock/advance", {"by": "2m"})
    # A machine that is off imports nothing.
    assert {one["client"] for one in lab.call("GET", "/v1/verdict")["orphaned"]} <= {"mostly-off-1"}


def test_the_grid_filters_on_every_column_and_has_one_page_of_rows(lab, open_page):
    lab.call("PUT", "/v1/fleet/many", {"count": 130})
    page = open_page(lab, "/clients?part=many")
    expect(page.locator("#grid")).to_contain_text("130 clients, 1 to 100")
    assert page.locator("#grid tbody tr").count() == 100
    clicks(page, "last")
    expect(page.locator("#grid tbody tr")).to_have_count(30)
    for name, value, count in [("Name", "many-23", 1), ("Version", "12", 0), ("Group", "default group", 130), ("Unserved heartbeats", "1", 0)]:
        page.goto(lab.url + "/clients?part=many")
        page.get_by_label(name, exact=True).fill(value)
        page.get_by_role("button", name="Filter").click()
        expect(page.locator("#grid")).to_contain_text(re.compile(f"^{count} client"))
        assert "list=" not in page.url
    page.goto(lab.url + "/clients?standing=well&part=desk")
    expect(page.locator("#grid")).to_contain_text(re.compile("^4 clients"))


def test_a_failure_that_the_lab_cannot_reproduce_is_told_without_a_command_for_it(lab, open_page):
    page = open_page(lab, "/failures/F33")
    expect(page.locator("main")).to_contain_text("Why the lab cannot reproduce it")
    expect(page.locator("main")).not_to_contain_text("failure reproduce")
    page.goto(lab.url + "/failures/F13")
    expect(page.locator("main")).to_contain_text("epm-lab failure reproduce F13")


def test_the_key_that_signs_is_that_of_the_lab(lab, open_page):
    page = open_page(lab)
    expect(page.locator("#managers")).to_contain_text("the key of the console's certificate")
    lab.call("PUT", "/v1/assumptions", {"signing_store": "client"})
    lab.call("POST", "/v1/reset")
    expect(page.locator("#managers")).to_contain_text("the key of the certificate that is shown to clients")
    lab.call("PUT", "/v1/assumptions", {"signing_store": None})


def test_a_view_that_does_not_exist_says_so(lab, open_page):
    page = open_page(lab, "/clients/nobody")
    expect(page.locator("main")).to_contain_text("nobody")
    expect(page.get_by_role("link", name="To the verdict")).to_be_visible()


def test_seven_tabs_share_one_connection(lab, open_page, chromium):
    context = chromium.new_context()
    tabs = [open_page(lab, "/", context=context) for _ in range(7)]
    orphan(lab)
    for tab in tabs:
        expect(tab.locator("#verdict")).to_contain_text("Orphaned clients")
    context.close()


def test_a_narrow_page_does_not_scroll_sideways(lab, open_page):
    orphan(lab)
    page = open_page(lab, viewport={"width": 400, "height": 800})
    for path in VIEWS:
        page.goto(lab.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, path


def test_what_is_printed_has_neither_navigation_nor_filters_and_fits_the_paper_with_long_names_too(lab, open_page, tmp_path):
    group = "My Company\\" + "\\".join(["Subsidiaries_in_all_regions_of_the_north"] * 3)
    for end in range(2, len(group.split("\\")) + 1):
        lab.call("POST", "/v1/commands", [{"add-group": {"group": "\\".join(group.split("\\")[:end]), "inherits": True}}])
    lab.call("PUT", "/v1/fleet/" + "W" * 62, {"count": 2, "group": group})
    lab.call("POST", "/v1/clock/advance", {"by": "1m"})
    orphan(lab)
    # A4 without its margins.
    page = open_page(lab, viewport={"width": 703, "height": 1000})
    page.emulate_media(media="print")
    for path in ["/", "/clients", "/clients/" + "W" * 62 + "-1", "/timeline", "/timeline/1", "/compare", "/scenario", "/ahead?manager=sepm-1", "/snapshots?since=start"]:
        page.goto(lab.url + path)
        for control in page.locator("nav, #filters, .compare").all():
            expect(control).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") <= 703, path
    # The report of the lab in its evidence, which needs no lab.
    assert lab.run("evidence", str(tmp_path / "evidence.zip"), "--lab", lab.url).returncode == 0
    with zipfile.ZipFile(tmp_path / "evidence.zip") as evidence:
        [report] = [name for name in evidence.namelist() if name.endswith(".html")]
        page.goto("about:blank")
        page.set_content(evidence.read(report).decode())
    assert "W" * 62 in page.inner_text("main")
    assert page.evaluate("document.documentElement.scrollWidth") <= 703


@pytest.mark.parametrize("width", [1280, 800])
def test_the_navigation_is_one_line(lab, open_page, width):
    lab.call("PUT", "/v1/clock", {"speed": 100})
    page = open_page(lab, viewport={"width": width, "height": 800})
    lab.call("PUT", "/v1/clock", {"speed": 0})
    tops = page.evaluate("[...document.querySelectorAll('nav a')].map((one) => one.getBoundingClientRect().top)")
    assert len(tops) == 8 and len(set(tops)) == 1, tops


def test_the_keyboard_reaches_content_and_navigation(lab, open_page):
    page = open_page(lab)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_no_form_can_be_sent_before_the_script_is_there(lab, open_page):
    page = open_page(lab, "/failures/F01", java_script_enabled=False)
    buttons = page.locator("form.action button").all()
    assert buttons and all(button.is_disabled() for button in buttons)


def test_the_reference_leads_from_words_to_a_call_and_its_shapes(lab, open_page):
    page = open_page(lab, "/clients")
    page.get_by_role("link", name="APIs").click()
    page.get_by_label("Find").fill("put FAULT")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name="PUT /v1/faults/{fault}", exact=True).click()
    expect(page.get_by_role("heading", name="PUT /v1/faults/{fault}")).to_be_visible()
    expect(page.locator("pre")).to_contain_text(f"-X PUT -H 'Content-Type: application/json' -d '{{ ... }}' '{lab.url}/v1/faults/{{fault}}'")
    page.get_by_role("link", name="Problem").first.click()
    expect(page.locator("#shape-Problem")).to_be_in_viewport()
    page.goto(lab.url + "/reference/rest")
    expect(page.get_by_role("link", name="GET /sepm/api/v1/computers", exact=True)).to_be_visible()


def test_evidence_is_handed_on_from_the_page(lab, open_page, tmp_path):
    orphan(lab)
    page = open_page(lab)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download evidence").click()
    download.value.save_as(tmp_path / "evidence.zip")
    with zipfile.ZipFile(tmp_path / "evidence.zip") as evidence:
        [verdict] = [name for name in evidence.namelist() if name.endswith("/verdict.json")]
        assert json.loads(evidence.read(verdict))["orphaned"]
    expect(page.locator("main")).to_contain_text(f"epm-lab evidence evidence.zip --lab {lab.url}")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_earlier_run_is_compared_with_the_lab(lab, open_page, axe, theme, tmp_path):
    green = tmp_path / "the green one.zip"
    assert lab.run("evidence", str(green), "--lab", lab.url).returncode == 0
    orphan(lab)
    page = open_page(lab, color_scheme=theme, viewport={"width": 400, "height": 800})
    clicks(page, "Compare with an earlier run")
    page.get_by_label("Earlier run").set_input_files(green)
    page.get_by_text("As a command").click()
    command = page.locator("form pre").inner_text()
    page.get_by_label("Earlier run").focus()
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("output")).to_have_text("Compared.")
    compared = page.locator("#comparison")
    expect(compared).to_contain_text("8 clients do not end alike")
    expect(compared.get_by_role("link", name="desk-1", exact=True)).to_be_visible()
    expect(compared).to_contain_text(re.compile("Causes only in this lab.*F01.*To do:", re.S))
    expect(compared).to_contain_text(re.compile("What was done.*Update the server certificate of sepm-1", re.S))
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert not violations(page, axe)
    done = subprocess.run([PROGRAMS / "epm-lab", *shlex.split(command)[1:]], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
    assert done.returncode == 1 and "Only in " + lab.url in done.stdout, done.stderr


def test_two_files_are_compared_and_what_is_no_result_is_refused(lab, open_page, tmp_path):
    for name in ["green.json", "red.json"]:
        (tmp_path / name).write_text(json.dumps(lab.call("GET", "/v1/verdict")))
        orphan(lab)
    (tmp_path / "notes.txt").write_text("a note")
    page = open_page(lab, "/compare")
    page.get_by_label("Earlier run").set_input_files(tmp_path / "green.json")
    page.get_by_label("Other run").set_input_files(tmp_path / "red.json")
    page.get_by_text("As a command").click()
    expect(page.locator("form pre")).to_have_text("epm-lab compare green.json red.json")
    button = page.get_by_role("button", name="Compare")
    button.click()
    expect(page.locator("#comparison")).to_contain_text("Causes only in red.json")
    expect(page.locator("#comparison").get_by_role("link", name="desk-1")).to_have_count(0)
    page.get_by_label("Other run").set_input_files(tmp_path / "notes.txt")
    button.click()
    expect(page.locator("output")).to_contain_text("Refused: notes.txt: it is neither evidence nor JSON")
