"""The token of a lab in a browser."""

import urllib.error

import pytest
from playwright.sync_api import expect

from conftest import Lab

TOKEN = "a-token-of-the-tests-0123456789"


@pytest.fixture
def closed_lab(tmp_path):
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    lab = Lab(tmp_path, "--agents", "1", "--token-file", token)
    yield lab
    lab.stop()


def test_the_token_becomes_a_cookie_that_no_script_reads_and_no_address_has(closed_lab, open_page):
    with pytest.raises(urllib.error.HTTPError, match="401"):
        closed_lab.call("GET", "/v1/site")
    page = open_page(closed_lab, "/clients?part=desk")
    expect(page).to_have_url(f"{closed_lab.url}/log-in?to=%2Fclients%3Fpart%3Ddesk")
    page.get_by_label("Token").fill("a-wrong-token-0123456789")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("Wrong token.")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(f"{closed_lab.url}/clients?part=desk")
    expect(page.locator("#live")).to_have_text("Live")
    (cookie,) = page.context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and TOKEN not in cookie["value"]
    assert page.evaluate("document.cookie") == ""
    page.goto(closed_lab.url + "/clients/desk-1")
    form = page.locator("form", has=page.get_by_label("Action"))
    form.get_by_role("button").click()
    expect(form.locator("output")).to_have_text("Done.")
    assert TOKEN not in page.content()
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(f"{closed_lab.url}/log-in")
    page.goto(closed_lab.url)
    expect(page).to_have_url(f"{closed_lab.url}/log-in?to=%2F")
