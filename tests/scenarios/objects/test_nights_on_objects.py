"""Nights with archive and reports in object storage, by the command line: a local night's rows.

S3PROXY=s3proxy-4.1.0-jar-with-dependencies.jar python -m pytest -n0 tests/scenarios/objects
"""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from batch.archive.objects import ObjectArchive
from batch.cli import main
from batch.core.errors import ExitCode
from batch.core.location import ObjectUrl
from batch.reports.attempts import AttemptFile
from batch.storage.object_store import ObjectStore
from tests.scenarios.cluster.flink import wait_for
from tests.support.archives import REPOSITORY
from tests.support.s3_server import download, environment, upload
from tests.support.small_model import SCORE

CHANGING = ["run_id", "scored_at", "recorded_at", "mtime_ns", "attempts"]


@pytest.fixture(scope="module")
def source(generated_archive, tmp_path_factory) -> Path:
    """The demonstration's archive."""
    return generated_archive


def words(archive: object, reports: object, *more: str) -> list[str]:
    command = [*SCORE, str(archive), "--output", str(reports), "--max-unscored-rate", "1"]
    return [*command, "--order", "path", *more]


def score(archive: object, reports: object, *more: str) -> int:
    return main(words(archive, reports, *more))


def rows(night: Path, table: str) -> pd.DataFrame:
    found = pd.read_parquet(night / table)
    keys = [name for name in ("path", "frame_number") if name in found]
    plain = found.drop(columns=CHANGING, errors="ignore")
    return plain.sort_values(keys).reset_index(drop=True)


def assert_same_rows(one: Path, other: Path) -> None:
    for table in ("predictions", "current", "unscored", "files", "alerts.parquet"):
        pd.testing.assert_frame_equal(rows(one, table), rows(other, table))


def latest(reports: ObjectUrl, folder: Path) -> Path:
    """The night that readers of the store see, as files."""
    pointer = ObjectStore(reports).get("latest").data.decode().strip()
    assert any(ObjectStore(reports).objects(f"{pointer}/_SUCCESS"))
    return download(reports / pointer, folder)


def run_of(night: Path) -> dict:
    return json.loads((night / "run.json").read_text())


@pytest.fixture
def grown_up(monkeypatch):
    """Objects that were written just now count as old, as those of an archive are."""
    monkeypatch.setattr("batch.commands.job_config.YOUNG_SECONDS", -86_400)


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Names of the objects that were read."""
    names: list[str] = []
    read = ObjectArchive.read

    def noting(self, location, max_bytes):
        names.append(location.path)
        return read(self, location, max_bytes)

    monkeypatch.setattr(ObjectArchive, "read", noting)
    return names


@pytest.fixture
def archive(url, source):
    upload(source, url / "archive")
    return url / "archive"


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_night_on_objects_has_the_rows_of_a_local_one(
    archive, url, source, tmp_path, grown_up, processes
):
    assert score(source, tmp_path / "local") == ExitCode.COMPLETE
    more = ("--segment-size", "8", "--processes", processes)
    assert score(archive, url / "reports", *more) == ExitCode.COMPLETE
    night = latest(url / "reports", tmp_path / "night")
    assert len(rows(night, "alerts.parquet"))
    assert_same_rows(tmp_path / "local" / "latest", night)
    there = run_of(night)
    assert there["equation"] == run_of(tmp_path / "local" / "latest")["equation"]
    assert there["options"]["archive"] == str(archive)
    assert there["review"]["failed"] == {}
    left = [found.name for found in ObjectStore(url / "reports").objects()]
    assert not [name for name in left if name.startswith((".in-progress", ".lock"))]
    assert [name for name in left if name.startswith("logs/")]
    (copy,) = (tmp_path / "copies").iterdir()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700


def test_the_second_night_opens_nothing_and_what_changed_is_read_again(
    archive, url, tmp_path, grown_up, opened, capsys
):
    for _ in range(3):  # three nights try what cannot be read
        assert score(archive, url / "reports") == ExitCode.COMPLETE
        shutil.rmtree(tmp_path / "copies")  # the copy is nobody's memory
    opened.clear()
    assert score(archive, url / "reports") == ExitCode.COMPLETE
    assert opened == []
    name = "photographs/lesion-4.png"
    data = ObjectStore(archive).get("photographs/lesion-5.png").data
    ObjectStore(archive).put(name, data)
    ObjectStore(archive).delete(["inbox/empty.jpg"])
    assert score(archive, url / "reports") == ExitCode.COMPLETE
    assert opened == [name]
    run = run_of(latest(url / "reports", tmp_path / "night"))
    assert (run["equation"]["reused"], run["left_archive"]) == (1, 1)

    capsys.readouterr()
    for command in (
        ["runs", str(url / "reports")],
        ["current", str(url / "reports"), "--output", str(tmp_path / "current.parquet")],
        ["worklist", str(url / "reports")],
        ["inventory", str(archive), "--output", str(url / "reports"), "--model", "isic9-plain"],
        ["prune", str(url / "reports"), "--keep", "1"],
    ):
        assert main(command) == ExitCode.COMPLETE, command
    said = capsys.readouterr().out
    assert said.count("pruned") == 0
    assert len(pd.read_parquet(tmp_path / "current.parquet")) == 18
    page = ObjectStore(url / "reports").get("worklist/review_worklist.html").data
    assert set(re.findall(rb"((?:\.\./)*)pictures/[0-9a-f]{32}\.jpg", page)) == {b"../"}
    names = [found.name for found in ObjectStore(url / "reports").objects("runs/")]
    assert len([name for name in names if "/files/" in name]) == 1
    opened.clear()
    assert score(archive, url / "reports") == ExitCode.COMPLETE
    assert opened == []


def pictures_of(reports: ObjectUrl) -> dict[str, datetime]:
    found = ObjectStore(reports).at("pictures").objects()
    return {each.name: each.version.modified for each in found}


def test_pictures_lie_beside_the_nights_and_are_made_once(
    archive, url, tmp_path, grown_up, monkeypatch
):
    reports = url / "reports"
    assert score(archive, reports) == ExitCode.COMPLETE
    night = latest(reports, tmp_path / "night")
    page = (night / "review_worklist.html").read_text()
    links = set(re.findall(r"((?:\.\./)*pictures/)([0-9a-f]{32}\.jpg)", page))
    before = pictures_of(reports)
    assert {prefix for prefix, _ in links} == {"../../pictures/"}
    assert {name for _, name in links} == before.keys()
    assert not any(tmp_path.glob("copies/*/pictures"))
    for name in before:
        assert ObjectStore(reports).get(f"pictures/{name}").data.startswith(b"\xff\xd8\xff")
    shutil.rmtree(tmp_path / "copies")
    assert score(archive, reports) == ExitCode.COMPLETE
    assert pictures_of(reports) == before
    run = run_of(latest(reports, tmp_path / "again"))
    assert run["review"]["pictures"]["made"] == 0
    assert run["review"]["pictures"]["shown"] == len(before)

    store = ObjectStore(reports)
    stale, foreign = f"{'0' * 32}.jpg", "notes.txt"
    for name in (stale, foreign):
        store.put(f"pictures/{name}", b"x" * 10)
    words = ["prune", str(reports), "--keep", "1"]
    assert main(words) == ExitCode.COMPLETE
    assert stale in pictures_of(reports)  # young
    monkeypatch.setattr("batch.operations.prune_pictures.YOUNG", timedelta(days=-1))
    assert main([*words, "--dry-run"]) == ExitCode.COMPLETE
    assert stale in pictures_of(reports)
    assert main(words) == ExitCode.COMPLETE
    assert pictures_of(reports).keys() == before.keys() | {foreign}


def test_a_list_made_anew_of_objects_keeps_its_pictures(
    archive, url, tmp_path, grown_up, monkeypatch
):
    reports, store = url / "reports", ObjectStore(url / "reports")
    assert score(archive, reports) == ExitCode.COMPLETE
    listed = f"{'1' * 32}.jpg"
    store.put("worklist/review_worklist.html", b"../pictures/" + listed.encode())
    for name in (listed, f"{'0' * 32}.jpg"):
        store.put(f"pictures/{name}", b"x")
    monkeypatch.setattr("batch.operations.prune_pictures.YOUNG", timedelta(days=-1))
    before = pictures_of(reports).keys()
    assert main(["prune", str(reports)]) == ExitCode.COMPLETE
    assert before - pictures_of(reports).keys() == {f"{'0' * 32}.jpg"}


def test_a_killed_run_is_taken_up_from_another_machine(
    archive, url, source, tmp_path, grown_up, monkeypatch
):
    assert score(source, tmp_path / "local") == ExitCode.COMPLETE
    reports = ObjectStore(url / "reports")
    run = subprocess.Popen(
        [sys.executable, "-m", "batch", *words(archive, url / "reports", "--segment-size", "2")],
        cwd=REPOSITORY,
    )
    wait_for(lambda: len(committed(reports)) >= 2, 120, "two segments")
    run.kill()
    run.wait()
    done = len(committed(reports))
    assert not list(reports.objects("latest"))
    assert not list(reports.objects("runs/"))
    shutil.rmtree(tmp_path / "copies")
    assert score(archive, url / "reports") == ExitCode.LOCKED  # by a run that seems alive
    monkeypatch.setattr("batch.storage.object_lock.DEAD_AFTER_SECONDS", -1.0)
    assert score(archive, url / "reports") == ExitCode.COMPLETE
    night = latest(url / "reports", tmp_path / "night")
    assert 0 < run_of(night)["taken_up"] <= 2 * done  # without what was young in the killed run
    assert_same_rows(tmp_path / "local" / "latest", night)


def committed(reports: ObjectStore) -> list[str]:
    """Segments of any run that count."""
    names = (found.name for found in reports.objects(".in-progress/"))
    return [name for name in names if name.endswith("/segment.json")]


def _nothing(*_):
    """What a machine does that has no power."""


def test_a_run_killed_between_marker_and_pointer_is_finished_by_the_next(
    archive, url, tmp_path, grown_up
):
    assert score(archive, url / "reports") == ExitCode.COMPLETE
    first = ObjectStore(url / "reports").get("latest").data
    with pytest.MonkeyPatch.context() as patch:
        point = "batch.reports.objects.ObjectReports._point"
        patch.setattr(point, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patch.setattr("batch.reports.objects.ObjectReports.discard_unfinished", _nothing)
        assert score(archive, url / "reports") == ExitCode.FAILURE
    assert ObjectStore(url / "reports").get("latest").data == first
    shutil.rmtree(tmp_path / "copies")
    assert score(archive, url / "reports") == ExitCode.COMPLETE
    nights = {f.name.split("/")[1] for f in ObjectStore(url / "reports").objects("runs/")}
    assert len(nights) == 3


def test_a_damaged_copy_is_fetched_again_and_a_damaged_night_is_passed_over(
    archive, url, tmp_path, grown_up, opened
):
    assert score(archive, url / "reports") == ExitCode.COMPLETE
    (part,) = (tmp_path / "copies").glob("*/latest/files/*.parquet")
    part.write_bytes(b"damaged")
    opened.clear()
    assert score(archive, url / "reports") == ExitCode.COMPLETE
    assert sorted({name.split("/")[0] for name in opened}) == [
        "inbox"
    ]  # what failed is tried again
    reports = ObjectStore(url / "reports")
    pointer = reports.get("latest").data.decode().strip()
    (name,) = (found.name for found in reports.objects(f"{pointer}/files/"))
    reports.put(name, b"damaged")
    shutil.rmtree(tmp_path / "copies")
    assert score(archive, url / "reports") == ExitCode.COMPLETE
    damaged = run_of(latest(url / "reports", tmp_path / "night"))["memory"]["damaged"]
    assert damaged == [pointer.removeprefix("runs/")]


def test_an_object_that_vanishes_after_the_listing_is_unscored_with_a_reason(
    archive, url, tmp_path, grown_up, monkeypatch
):
    list_files = ObjectArchive.list_files

    def listed(self):
        found = list(list_files(self))
        ObjectStore(archive).delete(["photographs/lesion-4.png"])
        ObjectStore(archive).put("photographs/lesion-5.png", b"another")
        return iter(found)

    monkeypatch.setattr(ObjectArchive, "list_files", listed)
    assert score(archive, url / "reports") == ExitCode.COMPLETE
    night = latest(url / "reports", tmp_path / "night")
    files = rows(night, "files").set_index("path")
    assert tuple(files.loc["photographs/lesion-4.png", ["state", "reason"]]) == (
        "unscored",
        "vanished",
    )
    assert tuple(files.loc["photographs/lesion-5.png", ["state", "reason"]]) == (
        "pending",
        "changed_while_read",
    )


@pytest.mark.parametrize(
    ("places", "changes", "said"),
    [
        (("s3://nobody-has-this/a", "s3://hospital/r"), {}, "no bucket 'nobody-has-this'"),
        (("s3://hospital/a", "s3://nobody-has-this/r"), {}, "no bucket 'nobody-has-this'"),
        (
            ("s3://hospital/a", "s3://hospital/r"),
            {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "HOME": "/nonexistent"},
            "no credentials found",
        ),
        (
            ("s3://hospital/a", "s3://hospital/r"),
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
            "the store does not answer (EndpointConnection)",
        ),
        (("s3://hospital/a", "s3://hospital/a/r"), {}, "hold each other"),
        (("s3://hospital/empty", "s3://hospital/r"), {}, "no file below s3://hospital/empty"),
    ],
)
def test_a_store_that_cannot_be_used_is_told_in_one_line(
    server, capsys, monkeypatch, places, changes, said
):
    monkeypatch.setattr(
        "batch.storage.object_clients.TRIES", 1
    )  # a test need not wait for a dead server
    with environment(server, **changes):
        code = score(*places)
    is_silent, is_empty = "does not answer" in said, "no file" in said
    assert code == (
        ExitCode.FAILURE if is_silent else ExitCode.NO_IMAGES if is_empty else ExitCode.USAGE
    )
    message = capsys.readouterr().err
    assert said in message
    assert "Traceback" not in message


def test_attempts_are_known_from_another_machine_and_the_page_is_named(
    archive, url, tmp_path, grown_up, capsys
):
    assert score(archive, url / "reports") == ExitCode.COMPLETE
    pointer = ObjectStore(url / "reports").get("latest").data.decode().strip()
    page = f"Page       {url / 'reports'}/{pointer}/review_worklist.html"
    assert capsys.readouterr().out.splitlines()[-1] == page
    assert score(url / "empty", url / "reports") == ExitCode.NO_IMAGES
    killed = AttemptFile(tmp_path / "elsewhere", url / "reports", "29991231T000000Z-dead")
    killed.begin(datetime(2999, 12, 31, tzinfo=UTC))
    logs = [found.name for found in ObjectStore(url / "reports").objects("logs/")]
    assert len([name for name in logs if name.endswith(".log")]) == 2
    last = max(name for name in logs if name.endswith(".log"))
    text = ObjectStore(url / "reports").get(last).data.decode()
    assert "ended with exit code 3: ARCHIVE: no file there" in text.splitlines()[-1]
    shutil.rmtree(tmp_path / "copies")
    capsys.readouterr()
    assert main(["runs", str(url / "reports")]) == 0
    _, dead, failed, published = capsys.readouterr().out.splitlines()
    assert "no end was written: killed" in dead
    assert "  3  " in failed
    assert "failed: ARCHIVE: no file there" in failed
    assert published.startswith("*")
    killed.end(datetime(2999, 12, 31, tzinfo=UTC), 4, "late")
    assert main(["runs", str(url / "reports"), "--last", "1"]) == 0
    assert "failed: late" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["gs://hospital/a", "s3://A/b", "s3:///b", "http://x/y"])
def test_a_url_that_is_none_of_ours_is_refused(word, capsys):
    assert score(word, "reports") == ExitCode.USAGE
    assert f"found {word}; allowed: a folder, or s3://BUCKET/PREFIX" in capsys.readouterr().err


def test_a_file_of_this_machine_is_not_made_of_a_url(
    generated_archive, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    more = ("--log-file", "s3://hospital/log")
    assert score(generated_archive, tmp_path / "reports", *more) == ExitCode.USAGE
    assert "allowed: a path of this machine" in capsys.readouterr().err


def test_doctor_tries_what_a_night_asks_of_a_store(archive, url, capsys):
    command = ["doctor", "--archive", str(archive), "--output", str(url / "reports")]
    main([*command, "--model", "isic9-plain"])
    said = capsys.readouterr().out
    for line in ("reports writing", "reports conditions", "archive listing", "archive reading"):
        assert f"ok       {line}" in said
    assert "failed   reports" not in said
    assert not list(ObjectStore(url / "reports").objects())
