"""A night's page on the desk: it may ask the desk, and nothing else may run or be asked."""

from __future__ import annotations

import html
import json
import re

import pytest

from batch.desk.page import NotOurPage, client_script, digest, served_page
from batch.review.page import render
from tests.support import worklists

HOSTILE = {"reviewer": "\"'><script>alert(1)</script> --> </html>", "token": "é\u2028"}


@pytest.fixture(scope="module")
def stored() -> bytes:
    return render.render(worklists.worklist(20, words=worklists.HOSTILE)).encode()


def rules(policy: str) -> dict[str, list[str]]:
    found = (rule.split() for rule in policy.split(";"))
    return {name: sources for name, *sources in found}


def test_the_policy_allows_the_pages_scripts_the_desk_and_nothing_else(stored):
    served = served_page(stored)
    own = rules(html.unescape(re.search(r'Policy" content="([^"]*)"', stored.decode())[1]))
    found = rules(served.policy)
    assert found["script-src"] == [*own["script-src"], digest(client_script())]
    assert found["connect-src"] == ["'self'"]
    assert set(found["img-src"]) == {"data:", "'self'"}
    assert found["frame-ancestors"] == ["'none'"]
    assert found["default-src"] == found["base-uri"] == found["form-action"] == ["'none'"]
    assert "unsafe" not in served.policy


def test_the_page_is_the_nights_but_for_settings_policy_and_one_script(stored):
    page = served_page(stored).html({}).decode()
    assert page.count(client_script()) == 1
    plain = page.replace(f"<script>{client_script()}</script>\n", "").replace(' data-desk="{}"', "")
    before = stored.decode()
    assert plain == re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", before)


def test_settings_of_any_kind_stay_within_their_attribute(stored):
    page = served_page(stored).html(HOSTILE).decode()
    (found,) = re.findall(r'<html data-desk="([^"]*)" lang="en">', page)
    assert json.loads(html.unescape(found)) == HOSTILE


@pytest.mark.parametrize(
    "data", [b"", b"<html><body></body></html>", b"\x00", b"</body><html>", b"<!DOCTYPE html>"]
)
def test_what_is_not_a_page_of_ours_is_not_served(data):
    with pytest.raises(NotOurPage):
        served_page(data)


def test_the_script_cannot_end_its_element():
    assert "</script" not in client_script().lower() and "<!--" not in client_script()
