"""Nights with a second model in silence: what it may change (a table of its own), and what not."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from batch.cli import main
from batch.commands import job_config as job_config_module
from batch.commands import score as score_module
from batch.core.errors import ExitCode
from batch.model.artifact import find_artifact
from batch.reports.schema import SILENT
from tests.scenarios.faults.nights import World, damages, make_world, read_table, write_image

OTHER = "dermoscopy-lite0"


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> World:
    return make_world(tmp_path_factory.mktemp("silent"))


@pytest.fixture
def world(first, tmp_path) -> World:
    return first.copy(tmp_path)


def silent_of(world: World) -> pd.DataFrame:
    return read_table(world.latest, SILENT)


def frozen(monkeypatch) -> None:
    """The same start and the same run id for every run."""
    moment = datetime(2026, 11, 1, 2, tzinfo=UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return moment.astimezone(tz) if tz else moment.replace(tzinfo=None)

    monkeypatch.setattr(score_module, "datetime", Clock)
    monkeypatch.setattr(score_module, "new_run_id", lambda _: "20261101T020000Z-aaaa")
    monkeypatch.setattr(job_config_module, "new_run_id", lambda _: "20261101T020000Z-aaaa")


def test_every_other_table_has_the_same_bytes_with_and_without_it(first, tmp_path, monkeypatch):
    frozen(monkeypatch)
    alone, beside = first.copy(tmp_path / "alone"), first.copy(tmp_path / "beside")
    assert alone.score() == beside.score("--silent-model", OTHER, "--backfill") == 0
    parts = [
        {str(file.relative_to(world.latest)): file.read_bytes()
         for file in world.latest.rglob("*.parquet") if SILENT not in file.parts}
        for world in (alone, beside)
    ]  # fmt: skip
    assert len(parts[0]) > 5
    assert parts[0].keys() == parts[1].keys()
    assert [name for name in parts[0] if parts[0][name] != parts[1][name]] == []
    assert damages(beside.latest) == []


def test_it_covers_what_is_read_tonight_and_with_backfill_the_rest(world):
    assert world.score("--silent-model", OTHER) == 0
    scored = read_table(world.latest, "predictions")
    silent = silent_of(world)
    assert list(silent["image_id"]) == list(scored["image_id"])
    account = world.run["silent"]
    assert account["scored"] == account["scored_tonight"] == len(scored)
    assert account["images"] == len(read_table(world.latest, "current"))
    assert account["not_seen"] == account["images"] - len(scored) > 0
    assert world.score("--silent-model", OTHER, "--backfill") == 0
    current = read_table(world.latest, "current")
    assert list(silent_of(world)["image_id"]) == list(current["image_id"])
    account = world.run["silent"]
    assert (account["not_seen"], account["backfilled"]) == (0, len(current) - len(scored))
    assert world.run["equation"]["scored"] == 0
    assert silent["scoring_fingerprint"].nunique() == 1


def test_its_scores_are_those_that_it_would_give_as_the_nights_own_model(world, tmp_path):
    assert world.score("--silent-model", OTHER, "--backfill") == 0
    own = World(world.archive, tmp_path / "own")
    assert main([*own.words(), "--model", OTHER]) == 0
    wanted = read_table(own.latest, "current").set_index("image_id")
    found = silent_of(world).set_index("image_id").loc[wanted.index]
    assert (found["melanoma_score"] - wanted["melanoma_score"]).abs().max() <= 1e-6
    assert list(found["would_alert"]) == list(wanted["is_alert"])
    assert list(found["threshold"]) == list(wanted["threshold"])


def test_unchanged_and_moved_images_keep_their_silent_scores(world):
    assert world.score("--silent-model", OTHER, "--backfill") == 0
    before = silent_of(world).set_index("image_id")["melanoma_score"]
    shutil.copy2(world.archive / "new" / "00.png", world.archive / "copy.png")
    (world.archive / "new" / "01.png").unlink()
    write_image(world.archive / "new" / "02.png", 999)
    assert world.score("--silent-model", OTHER) == 0
    after = silent_of(world)
    assert set(after["path"]) == set(read_table(world.latest, "current")["path"])
    assert world.run["silent"]["scored_tonight"] == 1
    kept = after[after["image_id"].isin(before.index)]
    assert (kept["melanoma_score"] == before[kept["image_id"]].to_numpy()).all()


def broken_artifact(folder: Path, fault: str) -> str:
    artifact = find_artifact(OTHER).folder
    copied = Path(shutil.copytree(artifact, folder / "broken"))
    manifest = copied / "manifest.json"
    if fault == "weights":
        (copied / "model.keras").write_bytes(b"PK\x03\x04 no model")
    elif fault == "manifest":
        manifest.write_text("{")
    elif fault == "preprocessing":
        content = json.loads(manifest.read_text())
        content["input"]["preprocessing_version"] = "1"
        manifest.write_text(json.dumps(content))
    elif fault == "golden":
        for file in (copied / "golden").iterdir():
            file.unlink()
    return str(copied)


@pytest.mark.parametrize("fault", ["weights", "manifest", "preprocessing", "golden", "missing"])
def test_a_model_that_cannot_be_used_never_fails_the_night(world, tmp_path, capsys, fault):
    word = "no-such-model" if fault == "missing" else broken_artifact(tmp_path, fault)
    assert world.score("--silent-model", word, "--backfill") == ExitCode.COMPLETE
    assert damages(world.latest) == []
    assert not (world.latest / SILENT).exists()
    assert world.run["silent"]["problem"]
    assert "\nSilent " in capsys.readouterr().out
    assert world.run["equation"]["scored"] > 0


def test_a_model_that_fails_on_every_image_is_told_by_reason(world, monkeypatch):
    from batch.model.silent import SilentScorer

    class Failing:
        def scores_and_domain(self, pixels):
            raise ValueError("no")

    def failing(self):
        return SilentScorer(Failing(), self.output)

    monkeypatch.setattr("batch.model.silent.SilentModel.loaded", failing)
    assert world.score("--silent-model", OTHER) == ExitCode.COMPLETE
    account = world.run["silent"]
    assert account["scored"] == 0
    assert account["not_scored_by_reason"] == {
        "model_failed": len(read_table(world.latest, "predictions"))
    }


def test_backfill_alone_is_refused(world, capsys):
    assert world.score("--backfill") == ExitCode.USAGE
    assert "--backfill: it needs --silent-model" in capsys.readouterr().err


def test_processes_side_by_side_give_the_same_silent_scores(first, tmp_path):
    one, two = first.copy(tmp_path / "one"), first.copy(tmp_path / "two")
    assert one.score("--silent-model", OTHER) == 0
    assert two.score("--silent-model", OTHER, "--processes", "2") == 0
    columns = ["image_id", "melanoma_score", "would_alert"]
    pd.testing.assert_frame_equal(silent_of(one)[columns], silent_of(two)[columns], rtol=1e-5)


def test_compare_says_who_would_move_and_shows_outcomes(world, capsys):
    assert main(["compare", str(world.reports)]) == ExitCode.USAGE
    assert "--silent-model" in capsys.readouterr().err
    assert world.score("--silent-model", OTHER, "--backfill") == 0
    current = read_table(world.latest, "current")
    (world.reports / "outcomes").mkdir()
    (world.reports / "outcomes" / "a.csv").write_text(
        "path,diagnosis\n"
        + "".join(
            f"{path},{'melanoma' if number % 3 == 0 else 'nevus'}\n"
            for number, path in enumerate(current["path"])
        )
    )
    capsys.readouterr()
    assert main(["compare", str(world.reports), "--json"]) == ExitCode.COMPLETE
    found = json.loads(capsys.readouterr().out)
    silent = silent_of(world).set_index("path").loc[current["path"]]
    ours, theirs = current["is_alert"].to_numpy(bool), silent["would_alert"].to_numpy(bool)
    assert found["moves"] == {
        "both_alert": int((ours & theirs).sum()), "only_ours": int((ours & ~theirs).sum()),
        "only_silent": int((~ours & theirs).sum()), "no_alert": int((~ours & ~theirs).sum()),
    }  # fmt: skip
    truth = [number % 3 == 0 for number in range(len(current))]
    assert found["outcomes"]["lesions"] == len(current)
    assert found["outcomes"]["melanomas"] == sum(truth)
    assert found["outcomes"]["silent_score"]["sensitivity"] == pytest.approx(theirs[truth].mean())
    assert found["rank_correlation_images"] == pytest.approx(
        current["melanoma_score"].rank().corr(
            pd.Series(silent["melanoma_score"].to_numpy()).rank()
        )
    )  # fmt: skip
    page = (world.reports / "compare.html").read_text()
    assert "No alert does not mean cleared" in page
    assert page.count('<img src="pictures/') > 0
    links = [part.split('"')[0] for part in page.split('src="')[1:]]
    assert all((world.reports / link).is_file() for link in links)


def test_a_night_without_it_or_that_refused_it_loses_no_silent_score(world, tmp_path):
    assert world.score("--silent-model", OTHER, "--backfill") == 0
    before = silent_of(world)
    assert world.score() == 0
    assert not (world.latest / SILENT).exists()
    assert world.score("--silent-model", str(tmp_path / "away")) == 0
    assert world.run["silent"]["problem"] is not None
    assert world.score("--silent-model", OTHER) == 0
    account = world.run["silent"]
    assert (account["scored"], account["scored_tonight"]) == (len(before), 0)
    pd.testing.assert_frame_equal(silent_of(world), before)
