"""Coming in and going out: links, names with passwords, and a proxy that vouches for names."""

from __future__ import annotations

import socket
import time

import bcrypt
import pandas as pd

from tests.desk.desk_process import Browser, Desk, cookie_of, publish, write_photographs

SECRET = "0123456789abcdef0123456789abcdef"


def test_a_session_by_a_link_can_be_ended(desk, browser):
    other = desk.enter(desk.next_link())
    sent = {"Origin": desk.origin, "X-Desk-Token": other.settings["token"], **other.headers}
    assert desk.ask("POST", "/logout", b"", **{**sent, "X-Desk-Token": "x"}).status == 403
    assert other.marks().status == 200
    assert desk.ask("POST", "/logout", b"", **sent).status == 204
    assert other.marks().status == 401 and browser.marks().status == 200


def test_open_opens_the_link_in_the_browser_of_this_machine(reports, tmp_path, monkeypatch):
    program, told = tmp_path / "browser", tmp_path / "told"
    program.write_text(f'#!/bin/sh\necho "$1" > {told}.new && mv {told}.new {told}\n')
    program.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{program} %s")
    with Desk(reports, "--read-only", "--open") as found:
        end = time.monotonic() + 30
        while not told.exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert told.read_text().strip() == found.link
        found.enter()


def test_names_with_passwords(tmp_path):
    hashed = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
    write_photographs(tmp_path / "archive")
    publish(tmp_path / "reports", tmp_path / "archive")
    reports = tmp_path / "reports"
    keys = list(pd.read_parquet(reports / "latest" / "review_worklist.parquet")["lesion_key"])
    users = tmp_path / "users"
    users.write_text(f"Dr Ünal:{hashed}\nStudent:{hashed}\n", encoding="utf-8")
    users.chmod(0o600)
    with Desk(reports, "--users", str(users), "--viewer", "Student") as found:
        assert found.ask("GET", "/").headers["location"] == "/login"
        assert found.ask("GET", "/enter?key=x").status == 404

        def login(name: str, password: str, **headers: str):
            body = f"name={name}&password={password}".encode()
            sent = {"Content-Type": "application/x-www-form-urlencoded", "Origin": found.origin}
            return found.ask("POST", "/login", body, **{**sent, **headers})

        assert login("Dr+%C3%9Cnal", "wrong").status == 403
        assert login("nobody", "open+sesame").status == 403
        assert login("Dr+%C3%9Cnal", "open+sesame", Origin="http://evil.example").status == 403
        got = login("Dr+%C3%9Cnal", "open+sesame")
        assert (got.status, got.headers["location"]) == (303, "/")
        doctor = Browser(found, cookie_of(got))
        state = doctor.marks().json
        doctor.known = {mark["key"]: mark["mark_id"] for mark in state["marks"]}
        saved = doctor.mark(keys[3], "no_action", reviewer="somebody else")
        assert saved.json["mark"]["reviewer"] == "Dr Ünal"
        student = Browser(found, cookie_of(login("Student", "open+sesame")))
        assert student.settings["read_only"] is True
        assert student.mark(keys[3]).status == 403
        out = found.ask(
            "POST", "/logout", b"", Origin=found.origin, X_Desk_Token=doctor.settings["token"],
            **doctor.headers,
        )  # fmt: skip
        assert out.status == 204
        assert found.ask("GET", "/", **doctor.headers).status == 303
        for _ in range(6):
            last = login("Student", "wrong")
        assert last.status == 429
        _, _, log = found.stop()
        assert "sesame" not in log and "signed in: Dr Ünal" in log


def test_a_proxy_that_vouches_for_names(tmp_path):
    write_photographs(tmp_path / "archive", ["a.jpg"])
    publish(tmp_path / "reports", tmp_path / "archive", scores={"a.jpg": 0.9})
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    words = ["--user-header", "X-Remote-User", "--proxy-secret-file", str(secret), "--url",
             "https://desk.example"]  # fmt: skip
    reports = tmp_path / "reports"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with Desk(reports, *words, "--port", port) as desk:
        assert desk.link == "https://desk.example"
        desk.port = int(port)
        vouched = {"Host": "desk.example", "X-Remote-User": "KS", "X-Desk-Secret": SECRET}
        assert desk.ask("GET", "/", **{**vouched, "X-Desk-Secret": ""}).status == 401
        assert desk.ask("GET", "/", **{**vouched, "X-Remote-User": ""}).status == 401
        browser = Browser(desk, **vouched)
        assert browser.settings["reviewer"] == "KS"
        key = pd.read_parquet(reports / "latest" / "review_worklist.parquet")["lesion_key"][0]
        assert browser.mark(key).status == 403  # the Origin of this machine is not the site's
        assert browser.send(browser.body(key), Origin="https://desk.example").status == 200
        other = Browser(desk, **{**vouched, "X-Remote-User": "MB"})
        body = other.body(key, known="0" * 32)
        assert other.send(body, Origin="https://desk.example").json["mark"]["reviewer"] == "KS"
