"""Outcomes beside reports in object storage: fetched, followed when they change, page sent back."""

from __future__ import annotations

import json

from batch.cli import main
from batch.core.errors import ExitCode
from batch.storage.object_store import ObjectStore
from tests.support.outcome_nights import night_of


def test_outcomes_come_from_the_store_and_the_page_goes_there(url, tmp_path, capsys):
    local, store = tmp_path / "local", ObjectStore(url)
    local.mkdir()
    night = night_of(local, 1, {"a.jpg": (0.9, "a"), "b.jpg": (0.1, "b")})
    for path in (local / "runs").rglob("*"):
        if path.is_file():
            store.put(path.relative_to(local).as_posix(), path.read_bytes())
    store.put("latest", f"runs/{night.folder.name}\n".encode())
    store.put("outcomes/one.csv", b"image,diagnosis\na,melanoma\n")
    store.put("outcomes/two.csv", b"image,diagnosis\nb,melanoma\n")

    def figures():
        assert main(["outcomes", str(url), "--json"]) == ExitCode.COMPLETE
        return json.loads(capsys.readouterr().out)["figures"]

    found = figures()
    assert (found["true_positive"], found["false_negative"]) == (1, 1)
    assert b"Outcomes over the years" in store.get("outcomes.html").data
    store.delete(["outcomes/two.csv"])
    assert figures()["melanomas"] == 1
