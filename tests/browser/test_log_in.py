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


def test_a_session_that_may_only_read_says_so_and_offers_no_download(tmp_path, open_page):
    files = {"--token-file": tmp_path / "token", "--read-token-file": tmp_path / "read"}
    for number, file in enumerate(files.values()):
        file.write_text(f"{TOKEN}-{number}")
        file.chmod(0o600)
    lab = Lab(tmp_path, "--agents", "1", *(one for pair in files.items() for one in pair))
    try:
        for number, is_offered in [(0, 1), (1, 0)]:
            page = open_page(lab, "/")
            page.get_by_label("Token").fill(f"{TOKEN}-{number}")
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("heading", name="Hand it on")).to_be_visible()
            assert page.get_by_role("link", name="Download evidence").count() == is_offered
            assert page.get_by_text("read only", exact=True).count() == 1 - is_offered
    finally:
        lab.stop()
