"""Names, passwords, proxies, addresses: each refusal says what to do."""

from __future__ import annotations

from pathlib import Path

import bcrypt
import pytest

from batch.core.errors import UsageError
from batch.desk.mark_request import LesionChanged, MarkRequest, Refused, decide, parse_request
from batch.desk.night import ListedLesion
from batch.desk.options import DeskOptions, check_options
from batch.desk.origins import check_url, is_loopback, origins
from batch.desk.people import Passwords, TooManyTries, read_passwords, read_proxy
from batch.desk.sessions import HOURS, OneTimeLinks, Sessions

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
SECRET = "0123456789abcdef0123456789abcdef"


def private(folder: Path, text: str) -> Path:
    file = folder / "file"
    file.write_text(text)
    file.chmod(0o600)
    return file


def test_the_right_password_opens_and_others_do_not(tmp_path):
    found = read_passwords(private(tmp_path, f"# people\nDr Ünal:{HASH}\n\n"))
    assert found.is_right("Dr Ünal", "secret")
    assert not found.is_right("Dr Ünal", "Secret")
    assert not found.is_right("Dr Ünal", "")
    assert not found.is_right("nobody", "secret")
    assert not found.is_right("Dr Ünal", "secret\0" + "x" * 80)


def test_hashes_of_apache_are_read(tmp_path):
    apache = HASH.replace("$2b$", "$2y$")
    assert read_passwords(private(tmp_path, f"a:{apache}")).is_right("a", "secret")


def test_after_five_wrong_passwords_a_name_waits_and_others_do_not():
    now = [0.0]
    found = Passwords({"a": HASH.encode(), "b": HASH.encode()}, clock=lambda: now[0] + 1000)
    for _ in range(5):
        assert not found.is_right("a", "wrong")
    with pytest.raises(TooManyTries):
        found.is_right("a", "secret")
    assert found.is_right("b", "secret")
    now[0] = 61
    assert found.is_right("a", "secret")


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "no line"), ("a:plain", "line 1"), (f":{HASH}", "line 1"),
     (f"a:{HASH}\na:{HASH}", "line 2"), (f"a\x07:{HASH}", "line 1")],
    ids=["nothing", "a password", "no name", "a name twice", "a control character"],
)  # fmt: skip
def test_a_file_of_passwords_that_is_none_is_refused_without_quoting_it(tmp_path, text, words):
    with pytest.raises(UsageError, match=words) as refused:
        read_passwords(private(tmp_path, text))
    assert HASH not in str(refused.value) and "plain" not in str(refused.value)


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o602])
def test_a_secret_that_others_can_read_or_change_is_refused(tmp_path, mode):
    file = private(tmp_path, f"a:{HASH}")
    file.chmod(mode)
    with pytest.raises(UsageError, match="chmod 600"):
        read_passwords(file)
    with pytest.raises(UsageError, match="chmod 600"):
        read_proxy("X-Remote-User", file)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-remote-user", b"KS")],
        [(b"x-remote-user", b"KS"), (b"x-desk-secret", b"wrong")],
        [
            (b"x-remote-user", b"KS"),
            (b"x-remote-user", b"Eve"),
            (b"x-desk-secret", SECRET.encode()),
        ],
        [(b"x-remote-user", b""), (b"x-desk-secret", SECRET.encode())],
        [(b"x-remote-user", b"a\x1bb"), (b"x-desk-secret", SECRET.encode())],
        [(b"x-remote-user", b"KS"), (b"x-desk-secret", b"no"), (b"x-desk-secret", SECRET.encode())],
    ],
)
def test_only_the_proxy_that_knows_the_secret_names_one_person(tmp_path, headers):
    proxy = read_proxy("X-Remote-User", private(tmp_path, SECRET + "\n"))
    assert proxy.name(headers) is None
    right = [(b"x-remote-user", b"KS"), (b"x-desk-secret", SECRET.encode())]
    assert proxy.name(right) == "KS"


@pytest.mark.parametrize("name", ["", "X Remote", "X-Desk-Secret", "X\r\nY"])
def test_a_header_must_be_one(tmp_path, name):
    with pytest.raises(UsageError, match="--user-header"):
        read_proxy(name, private(tmp_path, SECRET))


@pytest.mark.parametrize("secret", ["", "short", "ä" * 20])
def test_a_secret_must_be_long_and_plain(tmp_path, secret):
    with pytest.raises(UsageError, match="openssl rand"):
        read_proxy("X-Remote-User", private(tmp_path, secret))
    with pytest.raises(UsageError, match="--proxy-secret-file"):
        read_proxy("X-Remote-User", None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": "0.0.0.0"}, "--users FILE"),
        ({"host": "192.0.2.7", "url": "https://x.example"}, "--users FILE"),
        ({"host": "0.0.0.0", "users": Path("u")}, "--url"),
        ({"users": Path("u"), "user_header": "X"}, "not with --user-header"),
        ({"proxy_secret": Path("s")}, "needs --user-header"),
        ({"viewers": ("a",)}, "--viewer"),
        ({"port": 70000}, "--port"),
    ],
)
def test_the_desk_opens_to_nobody_that_was_not_meant(changes, words):
    with pytest.raises(UsageError, match=words):
        check_options(DeskOptions(Path("reports"), **changes))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.8.8"])
def test_this_machine_alone_needs_no_names(host):
    assert is_loopback(host)
    check_options(DeskOptions(Path("reports"), host=host))


@pytest.mark.parametrize(
    "url", ["desk", "ftp://a.example", "https://a.example/desk", "https://u:p@a.example",
            "https://a.example:99999", "https://a.example?x", "https://"],
)  # fmt: skip
def test_an_address_without_a_site_of_its_own_is_refused(url):
    with pytest.raises(UsageError, match="--url"):
        check_url(url)


def test_the_desk_answers_to_its_own_names_only():
    found = origins("127.0.0.1", 8787, None)
    assert set(found.of_hosts) == {"127.0.0.1:8787", "localhost:8787", "[::1]:8787"}
    assert found.of_hosts["localhost:8787"] == "http://localhost:8787"
    assert found.own == "http://127.0.0.1:8787" and not found.is_secure
    behind = origins("127.0.0.1", 8787, check_url("https://Desk.Example/"))
    assert behind.of_hosts["desk.example"] == behind.own == "https://desk.example"
    assert behind.is_secure
    assert set(origins("127.0.0.1", 80, None).of_hosts) == {"127.0.0.1", "localhost", "[::1]"}


def test_a_link_opens_once():
    told: list[str] = []
    links = OneTimeLinks(told.append)
    first = links.key
    assert not links.use("") and not links.use("é")
    assert links.use(first) and not links.use(first)
    assert told == [links.key] and links.use(links.key)


def test_a_session_ends_after_its_hours():
    now = [0.0]
    sessions = Sessions(clock=lambda: now[0])
    token = sessions.start("KS")
    assert sessions.find(token).name == "KS" and sessions.find("other") is None
    now[0] = HOURS * 3600 + 1
    assert sessions.find(token) is None
    assert sessions.page_token("a") != sessions.page_token("b") != Sessions().page_token("b")


def asked(**changes) -> MarkRequest:
    values = {"run_id": "r", "lesion_key": "k", "decision": "call_back", "known": "",
              "mark_id": "0" * 32, "reviewer": "KS"}  # fmt: skip
    return MarkRequest(**{**values, **changes})


def lesion(score=0.5, images=("a",)) -> dict[str, ListedLesion]:
    return {"k": ListedLesion(score, frozenset(images), len(images))}


def test_a_mark_has_the_score_and_images_that_the_page_showed():
    shown = lesion(0.6, ("a", "b"))
    told = decide(asked(comment="x"), None, shown, lesion(0.6, ("a", "b")))
    assert (told.score, told.image_count, told.reviewer, told.comment) == (0.6, 2, "KS", "x")
    assert decide(asked(reviewer="Eve"), "Dr A", shown, shown).reviewer == "Dr A"


@pytest.mark.parametrize(
    ("shown", "latest"),
    [
        (lesion(0.5), lesion(0.6)),
        (lesion(0.5), lesion(0.5, ("a", "b"))),
        (lesion(0.5), lesion(0.5, ("b",))),
        (lesion(None), lesion(0.1)),
        (lesion(0.5), {}),
        (None, lesion(0.5)),
    ],
)
def test_a_lesion_that_another_night_changed_must_be_looked_at_again(shown, latest):
    with pytest.raises(LesionChanged, match="again"):
        decide(asked(), None, shown, latest)


@pytest.mark.parametrize(
    "latest", [lesion(0.5), lesion(0.4), lesion(0.5005), lesion(0.5, ()), lesion(None)]
)
def test_a_night_that_changed_nothing_to_look_at_takes_the_mark(latest):
    assert decide(asked(), None, lesion(0.5), latest).score == 0.5


@pytest.mark.parametrize("changes", [{"reviewer": "  "}, {"lesion_key": "other"}])
def test_nobodys_mark_and_nobodys_lesion_are_refused(changes):
    with pytest.raises(Refused):
        decide(asked(**changes), None, lesion(), lesion())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "the body"), (b"[]", "the body"), (b"{}", "run_id"), (b"\xff", "the body"),
        (b'{"run_id": 1}', "run_id"),
        (asked().model_dump_json().replace("call_back", "clear").encode(), "decision"),
        (asked().model_dump_json().replace('"known":""', '"known":"x"').encode(), "known"),
        (asked().model_dump_json().replace('"known"', '"knowns"').encode(), "known"),
        (asked().model_dump_json().replace("KS", "K" * 81).encode(), "reviewer"),
        (asked().model_dump_json().replace("0" * 32, "g" * 32).encode(), "mark_id"),
        (asked().model_dump_json().replace("0" * 32, "0" * 32 + "\\n").encode(), "mark_id"),
    ],
)  # fmt: skip
def test_a_request_that_is_none_names_its_field_and_quotes_nothing(body, field):
    with pytest.raises(Refused, match=f"^{field}") as refused:
        parse_request(body)
    assert "KKK" not in str(refused.value)
