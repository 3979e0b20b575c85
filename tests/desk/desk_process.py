"""A desk as people run it: a process over a published night, and browsers made by hand."""

from __future__ import annotations

import hashlib
import html
import http.client
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch.archive.local import LocalArchive
from batch.core.config import ReviewOptions
from batch.core.records import FileReading
from batch.core.rules import Limits
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from batch.reports.ledger import conclude_file
from batch.reports.local import RUN_FILE, LocalReports
from batch.review.make_review import NightPlace, make_review
from batch.review.page_pictures import Pictures
from tests.support.archives import REPOSITORY, prediction
from tests.support.stored_nights import Result, at, facts, published, run_of

SCORES = {"a.jpg": 0.9, "b.jpg": 0.7, "c.jpg": 0.45, "=d,\"e\".jpg": 0.6}  # fmt: skip
SECONDS = 60
PNG = b"\x89PNG\r\n\x1a\n"


def write_photographs(archive: Path, names=SCORES) -> None:
    archive.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        (archive / name).write_bytes(jpeg_bytes(lesion_image(seed, 300, 400)))


def publish(
    reports: Path,
    archive: Path,
    number: int = 1,
    scores=SCORES,
    identifiers="uids",
    flags=(),
    pictures=False,
):
    """A night over photographs that exist, with its page; the folder of the night."""
    results = []
    for name, score in scores.items():
        digest = hashlib.sha256((archive / name).read_bytes()).hexdigest()
        found = prediction(
            score, name, image_id=f"sha256:{digest}", content_sha256=digest, flags=tuple(flags)
        )
        reading = FileReading(at(name), 1, digest, "jpeg")
        results.append(Result(conclude_file([reading], [1], []), (found,)))
    made_with = facts(number)
    run = run_of(made_with, len(results))
    run["options"] = {"archive": str(archive), "identifiers": identifiers}
    folder = published(reports, results, made_with, **run)
    told = json.loads((folder / RUN_FILE).read_text())
    source = Pictures(LocalArchive(archive), Limits(), lambda: (None, 0))
    place = NightPlace(LocalReports(reports), folder, told)
    said = make_review(place, folder, ReviewOptions(pictures=pictures), source)
    assert said["failed"] == {}
    return folder


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Desk:
    """`melanoma-batch serve` as a process; end it with `stop` or `kill`."""

    def __init__(self, reports: Path, *words: str) -> None:
        command = [sys.executable, "-m", "batch", "serve", str(reports), "--port", "0", *words]
        # no pipe: a full one would stop the desk
        self.log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self.first_line = self.process.stdout.readline()
        found = re.search(r"(https?://\S+)", self.first_line)
        assert found, self.logged()
        self.link = found[1]
        self.port = 0
        if port := re.search(r":(\d+)", self.link.partition("://")[2]):
            self.port = int(port[1])

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request, just as it is told; header names with _ for -; "" leaves one out."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            if "Host" not in named:
                connection.putheader("Host", f"127.0.0.1:{self.port}")
            if body is not None and "Content-Length" not in named:
                connection.putheader("Content-Length", str(len(body)))
            for name, value in named.items():
                if value:
                    connection.putheader(name, value)
            connection.endheaders(body)
            got = connection.getresponse()
            return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
        finally:
            connection.close()

    def next_link(self) -> str:
        """The link that stands on standard output after one was used."""
        for line in self.process.stdout:
            if found := re.search(r"Next link  (\S+)", line):
                return found[1]
        raise AssertionError("no further link")

    def enter(self, link: str | None = None) -> Browser:
        """Come in by a link, the first one if none is given."""
        got = self.ask("GET", "/enter?" + (link or self.link).partition("?")[2])
        assert got.status == 200, got
        return Browser(self, cookie_of(got))

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """End it in order; exit code, the rest of its output, and what it logged."""
        self.process.send_signal(kind)
        out, _ = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, out, self.logged()

    def logged(self) -> str:
        """What it has logged, once it has ended."""
        self.process.wait(SECONDS)
        self.log.seek(0)
        return self.log.read()

    def kill(self) -> None:
        """As if the machine lost its power, as far as a process can feel that."""
        self.process.kill()
        self.process.communicate(timeout=SECONDS)

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        self.log.close()


def cookie_of(answer: Answer) -> str:
    return answer.headers["set-cookie"].partition(";")[0]


class Browser:
    """What a page that is open on the desk knows and sends."""

    def __init__(self, desk: Desk, cookie: str = "", **headers: str) -> None:
        self.desk, self.headers = desk, headers
        if cookie:
            self.headers["Cookie"] = cookie
        self.known: dict[str, str] = {}
        self.load()

    def load(self) -> None:
        page = self.desk.ask("GET", "/", **self.headers)
        assert page.status == 200, page
        self.html = page.body.decode()
        self.settings = json.loads(html.unescape(re.search(r'data-desk="([^"]*)"', self.html)[1]))

    def body(self, key: str, decision: str = "call_back", **changes: Any) -> dict[str, Any]:
        return {
            "run_id": self.settings["run_id"], "lesion_key": key, "decision": decision,
            "known": self.known.get(key, ""), "mark_id": secrets.token_hex(16),
            "reviewer": "" if self.settings["reviewer"] else "Dr A", **changes,
        }  # fmt: skip

    def send(self, body: Any, **headers: str) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {
            "Content-Type": "application/json", "Origin": self.desk.origin,
            "X-Desk-Token": self.settings["token"], **self.headers,
        }  # fmt: skip
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.desk.ask("POST", "/desk/marks", data, **sent)

    def mark(self, key: str, decision: str = "call_back", **changes: Any) -> Answer:
        got = self.send(self.body(key, decision, **changes))
        if got.status == 200:
            self.known[key] = got.json["mark"]["mark_id"]
        return got

    def marks(self, edition: str = "", after: int = 0) -> Any:
        return self.desk.ask("GET", f"/desk/marks?edition={edition}&after={after}", **self.headers)
