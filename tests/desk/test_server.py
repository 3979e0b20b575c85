"""The desk as a process: what it shows, what it saves, and what it refuses."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time

import pandas as pd
import pytest

from batch.core.errors import ExitCode
from batch.desk.guard import MOST_BODY
from batch.desk.mark_file import NAME
from batch.review.worklist.marks import read_marks
from tests.desk.desk_process import (
    PNG,
    SCORES,
    Browser,
    Desk,
    publish,
    write_photographs,
)
from tests.support.archives import REPOSITORY


def run_serve(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "batch", "serve", *words], cwd=REPOSITORY, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip


def rows(reports) -> list[str]:
    file = reports / NAME
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def test_the_page_is_shown_to_who_came_in_and_to_nobody_else(desk, browser):
    assert "Morning list" in browser.html
    for path in ("/", "/desk/marks", "/originals?image=x", f"/pictures/{'ab' * 16}.png"):
        got = desk.ask("GET", path)
        assert got.status == 401
        assert b"worklist" not in got.body and PNG not in got.body
    assert desk.ask("GET", "/desk/marks", Cookie="melanoma-desk=x").status == 401


def test_a_link_opens_the_desk_once(desk, browser):
    assert desk.ask("GET", "/enter?" + desk.link.partition("?")[2]).status == 403
    assert desk.ask("GET", "/enter?key=").status == 403
    link = desk.next_link()
    assert desk.ask("HEAD", "/enter?" + link.partition("?")[2]).status == 403
    cookie = desk.ask("GET", "/enter?" + link.partition("?")[2]).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))


def test_a_mark_is_in_the_file_that_a_night_reads_before_the_answer(browser, keys, reports):
    before = time.time()
    got = browser.mark(keys[0], diagnosis="naevus?", comment="dots; =1+1")
    assert got.status == 200
    (mark,) = [m for m in read_marks(reports / NAME).found if m.lesion_key == keys[0]]
    assert (mark.decision, mark.reviewer, mark.score, mark.image_count) == ("call_back", "Dr A",
                                                                            0.9, 1)  # fmt: skip
    assert before - 1 <= mark.reviewed_at.timestamp() <= time.time()
    (row,) = [row for row in rows(reports) if row.startswith(keys[0])]
    assert "naevus?,dots; =1+1," in row


def test_two_people_see_each_others_marks_and_neither_writes_over_the_other(desk, keys, browser):
    first, second = (
        Browser(desk, browser.headers["Cookie"]),
        Browser(desk, browser.headers["Cookie"]),
    )
    state = second.marks().json
    assert first.mark(keys[1], "follow_up", reviewer="KS").status == 200
    got = second.mark(keys[1], "no_action", reviewer="MB")
    assert got.status == 409
    assert (got.json["mark"]["reviewer"], got.json["mark"]["decision"]) == ("KS", "follow_up")
    told = second.marks(state["edition"], state["last"]).json
    assert [mark["reviewer"] for mark in told["marks"]] == ["KS"]
    second.known[keys[1]] = told["marks"][0]["mark_id"]
    assert second.mark(keys[1], "no_action", reviewer="MB").status == 200
    assert second.mark(keys[1], "reopen", reviewer="MB").status == 200
    assert second.marks().json["marks"][-1]["decision"] == "reopen"


def test_a_click_whose_answer_was_lost_is_saved_once(browser, keys, reports):
    body = browser.body(keys[2])
    first, again = browser.send(body), browser.send(body)
    assert first.status == again.status == 200
    assert first.json == again.json
    assert sum(row.startswith(keys[2]) for row in rows(reports)) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/../run.json", "/pictures/..%2f..%2flatest%2frun.json", "/pictures/%2e%2e/x.jpg",
        "/pictures/secret.jpg", f"/pictures/{'cd' * 16}.png", f"/pictures/{'ef' * 16}.png",
        f"/pictures/{'ab' * 16}.png%00.jpg", f"/pictures/{'AB' * 16}.png",
        f"/pictures//{'ab' * 16}.png",
        "/pictures/", "/latest/run.json", "/reviewed-desk.csv", "/../../etc/passwd",
        "//etc/passwd", "/originals?image=../../etc/passwd", "/originals?image=a.jpg",
        "/originals?image=%00", "/originals", "/static/client.js", "/openapi.json", "/login",
    ],
)  # fmt: skip
def test_no_path_leads_to_another_file(desk, browser, path):
    got = desk.ask("GET", path, **browser.headers)
    assert got.status == 404
    assert b"root:" not in got.body and b"run_id" not in got.body


def test_pictures_of_the_page_and_originals_are_shown(desk, browser, reports):
    got = desk.ask("GET", f"/pictures/{'ab' * 16}.png", **browser.headers)
    assert (got.status, got.body, got.headers["content-type"]) == (200, PNG, "image/png")
    frame = pd.read_parquet(reports / "latest" / "review_worklist.parquet")
    image_id = frame["image_ids"][0][0].replace(":", "%3A")
    whole = desk.ask("GET", f"/originals?image={image_id}", **browser.headers)
    small = desk.ask("GET", f"/originals?image={image_id}&side=40", **browser.headers)
    assert whole.status == small.status == 200
    assert whole.body.startswith(b"\xff\xd8") and len(small.body) < len(whole.body)
    assert desk.ask("GET", f"/originals?image={image_id}&side=-1", **browser.headers).status == 200


def test_every_picture_of_a_page_is_handed_out(tmp_path):
    write_photographs(tmp_path / "archive")
    publish(tmp_path / "reports", tmp_path / "archive", pictures=True)
    folder = tmp_path / "reports" / "pictures"
    assert folder.stat().st_mode & 0o777 == 0o700
    with Desk(tmp_path / "reports") as desk:
        browser = desk.enter()
        page = desk.ask("GET", "/", **browser.headers)
        links = set(re.findall(rb"pictures/[0-9a-f]{32}\.jpg", page.body))
        assert len(links) == len(list(folder.iterdir())) == 4
        for link in map(bytes.decode, links):
            got = desk.ask("GET", f"/{link}", **browser.headers)
            assert (got.status, got.headers["content-type"]) == (200, "image/jpeg")
            assert got.body == (folder / link.rpartition("/")[2]).read_bytes()
            assert desk.ask("GET", f"/{link}").status in (401, 403)
        assert "'self'" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example", "x", "[::1]"]
)
def test_another_name_for_the_desk_is_not_answered(desk, browser, host):
    got = desk.ask("GET", "/", Host=host, **browser.headers)
    assert got.status == 421 and b"data-desk" not in got.body


def test_a_request_without_a_name_or_with_two_is_not_answered(desk, browser):
    assert desk.ask("GET", "/", Host="", **browser.headers).status in (400, 421)
    with socket.create_connection(("127.0.0.1", desk.port), 10) as sent:
        host = f"Host: 127.0.0.1:{desk.port}\r\n"
        lines = f"GET / HTTP/1.1\r\n{host}{host}Cookie: {browser.headers['Cookie']}\r\n"
        sent.sendall(f"{lines}Connection: close\r\n\r\n".encode())
        assert sent.recv(100).split()[1] in (b"400", b"421")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "https://127.0.0.1"}, 403),
        ({"X-Desk-Token": ""}, 403),
        ({"X-Desk-Token": "0" * 64}, 403),
        ({"X-Desk-Token": "ü"}, 403),
        ({"Cookie": ""}, 401),
        ({"Cookie": "melanoma-desk=guess"}, 401),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Length": str(MOST_BODY + 1)}, 413),
    ],
)
def test_what_another_site_could_send_saves_nothing(browser, keys, reports, headers, status):
    before = rows(reports)
    body = browser.body(keys[3])
    sent = {**browser.headers, **headers}
    other = Browser.__new__(Browser)
    other.desk, other.headers = browser.desk, {}
    other.settings, other.known = browser.settings, {}
    assert other.send(body, **sent).status == status
    assert rows(reports) == before


def test_a_body_without_an_end_is_cut_off(desk, browser):
    with socket.create_connection(("127.0.0.1", desk.port), 30) as sent:
        lines = [
            "POST /desk/marks HTTP/1.1", f"Host: 127.0.0.1:{desk.port}", f"Origin: {desk.origin}",
            f"Cookie: {browser.headers['Cookie']}", f"X-Desk-Token: {browser.settings['token']}",
            "Content-Type: application/json", "Transfer-Encoding: chunked", "", "",
        ]  # fmt: skip
        sent.sendall("\r\n".join(lines).encode())
        chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
        try:
            for _ in range(8):
                sent.sendall(chunk)
        except OSError:
            pass
        assert sent.recv(100).split()[1] == b"413"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422), (b"{", 422), (b"[" * 10_000, 422), (b"null", 422),
        ({"run_id": "x"}, 422), ({"score": 0.1}, 422),
    ],
)  # fmt: skip
def test_a_body_that_is_no_mark_is_told(browser, reports, body, status):
    before = rows(reports)
    got = browser.send(body)
    assert got.status == status and got.json["error"]
    assert rows(reports) == before


@pytest.mark.parametrize(
    "changes",
    [{"decision": "clear"}, {"reviewer": " "}, {"lesion_key": "nobody's"}, {"mark_id": "x"},
     {"comment": "x" * 2001}],
)  # fmt: skip
def test_a_mark_that_is_none_is_refused_by_its_field(browser, keys, reports, changes):
    before = rows(reports)
    got = browser.send(browser.body(keys[3], **changes))
    assert got.status == 422 and next(iter(changes)) in got.json["error"]
    assert rows(reports) == before


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"])
def test_other_methods_do_nothing(desk, browser, method):
    got = desk.ask(method, "/desk/marks", b"{}", Origin=desk.origin, **browser.headers)
    assert got.status in (400, 405)


def test_every_answer_tells_the_browser_what_it_may_not_do(desk, browser):
    for path in ("/", "/nothing", "/desk/marks", f"/pictures/{'ab' * 16}.png", "/enter?key="):
        told = desk.ask("GET", path, **browser.headers).headers
        assert told["x-content-type-options"] == "nosniff"
        assert told["cache-control"] == "no-store"
        assert told["cross-origin-resource-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in told["content-security-policy"]
        assert "default-src 'none'" in told["content-security-policy"]
        assert "server" not in told and "access-control-allow-origin" not in told


def test_a_second_desk_is_refused_and_one_that_takes_no_marks_is_not(desk, reports, keys):
    found = run_serve(str(reports), "--port", "0")
    assert found.returncode == ExitCode.LOCKED and "another desk" in found.stderr
    with Desk(reports, "--read-only") as reader:
        browser = reader.enter()
        assert browser.settings["read_only"] is True
        got = browser.mark(keys[3])
        assert got.status == 403 and "look" in got.json["error"]
        assert browser.marks().status == 200


def test_the_port_of_another_is_told(desk, tmp_path, reports):
    found = run_serve(str(reports), "--port", str(desk.port), "--read-only")
    assert found.returncode == ExitCode.USAGE and "--port" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--host", "0.0.0.0"], "--users FILE"),
        (["--users", "gone"], "cannot read"),
        (["--port", "70000"], "--port"),
        (["--archive", "gone", "--read-only"], "ARCHIVE"),
    ],
)
def test_options_that_cannot_be_used_are_told(reports, words, told):
    found = run_serve(str(reports), *words)
    assert found.returncode == ExitCode.USAGE
    assert told in found.stderr and "Traceback" not in found.stderr


def test_reports_without_a_night_are_told(tmp_path):
    for place in (tmp_path, tmp_path / "gone", "s3://bucket/reports"):
        found = run_serve(str(place), "--port", "0")
        assert found.returncode == ExitCode.USAGE and found.stderr.startswith("melanoma-batch: ")


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_desk_in_order_and_the_log_names_no_patient(tmp_path, kind):
    write_photographs(tmp_path / "archive", ["Jane Doe.jpg"])
    publish(tmp_path / "reports", tmp_path / "archive", scores={"Jane Doe.jpg": 0.9})
    with Desk(tmp_path / "reports") as desk:
        browser = desk.enter()
        key = browser.marks().json and json.loads(
            re.search(r'id="data">([^<]*)<', browser.html)[1]
        )["lesions"][0]["key"]  # fmt: skip
        assert browser.mark(key, comment="Jane Doe").status == 200
        desk.ask("GET", "/originals?image=Jane%20Doe.jpg", **browser.headers)
        code, out, log = desk.stop(kind)
        assert code == ExitCode.COMPLETE
        assert "every mark" in out
        assert re.search(r"desk.app mark 1: call_back by Dr A on lesion [0-9a-f]{12}\n", log)
        assert "Jane" not in log and key not in log and "Traceback" not in log


def test_a_new_night_is_told_and_a_lesion_that_it_changed_is_not_marked_unseen(tmp_path):
    archive, reports = tmp_path / "archive", tmp_path / "reports"
    write_photographs(archive)
    publish(reports, archive)
    with Desk(reports) as desk:
        browser = desk.enter()
        frame = pd.read_parquet(reports / "latest" / "review_worklist.parquet")
        key_of = {row["paths"][0]: row["lesion_key"] for _, row in frame.iterrows()}
        old = browser.settings["run_id"]
        publish(reports, archive, number=2, scores={**SCORES, "a.jpg": 0.95})
        assert browser.marks().json["run_id"] != old
        got = browser.mark(key_of["a.jpg"])
        assert got.status == 409 and got.json["reload"] and "night" in got.json["error"]
        assert browser.mark(key_of["b.jpg"]).status == 200  # as it was: the mark means what it did
        browser.load()
        assert browser.mark(key_of["a.jpg"]).status == 200
        found = {mark.lesion_key: mark for mark in read_marks(reports / NAME).found}
        assert found[key_of["a.jpg"]].score == 0.95


@pytest.mark.parametrize(("identifiers", "status"), [("uids", 404), ("full", 200)])
def test_text_burned_into_an_image_is_shown_only_with_full_identifiers(
    tmp_path, identifiers, status
):
    write_photographs(tmp_path / "archive", ["a.jpg"])
    publish(tmp_path / "reports", tmp_path / "archive", scores={"a.jpg": 0.9},
            identifiers=identifiers, flags=["burned_in_annotation"])  # fmt: skip
    with Desk(tmp_path / "reports") as desk:
        browser = desk.enter()
        frame = pd.read_parquet(tmp_path / "reports" / "latest" / "review_worklist.parquet")
        got = desk.ask("GET", f"/originals?image={frame['image_ids'][0][0]}", **browser.headers)
        assert got.status == status
        browser.mark(frame["lesion_key"][0])
        mode = (tmp_path / "reports" / NAME).stat().st_mode & 0o777
        assert (mode == 0o600) == (identifiers == "full")
