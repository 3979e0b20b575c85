"""`calibrate`: what it fits against oracles, and that the job then gives what was promised."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from batch.cli import main
from batch.core.errors import ExitCode, UsageError
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from batch.evaluation.labelled import Labelled
from batch.evaluation.thresholds import (
    BOUND,
    alerts_per_thousand,
    brier_score,
    fit_factor,
    negative_log_likelihood,
    rescaled,
)
from batch.model.manifest import read_manifest, scoring_fingerprint, write_manifest
from batch.training.calibration import (
    FEWEST,
    Wanted,
    check_counts,
    check_targets,
    choose_point,
    next_version,
)
from tests.support.archives import REPOSITORY
from tests.training.test_extra import run

ROWS = st.lists(st.lists(st.floats(0.001, 1), min_size=3, max_size=3), min_size=1, max_size=8).map(
    lambda rows: np.array(rows) / np.sum(rows, axis=1, keepdims=True)
)
FACTORS = st.floats(0.1, 10)
MANIFEST = read_manifest(REPOSITORY / "model_artifacts" / "isic9-plain")
SHIPPED = MANIFEST.model_version


@settings(deadline=None)
@given(ROWS, FACTORS, FACTORS)
def test_rescaling_twice_is_rescaling_once(scores, first, second):
    once = rescaled(scores, first * second)
    np.testing.assert_allclose(rescaled(rescaled(scores, first), second), once, atol=1e-6)
    np.testing.assert_allclose(once.sum(axis=1), 1)
    np.testing.assert_allclose(rescaled(scores, 1.0), scores)


@pytest.mark.parametrize(
    ("scores", "factor", "expected"),
    [
        ([0.5, 0.5], 3.0, [0.5, 0.5]),
        ([0.9, 0.1], 2.0, [0.75, 0.25]),  # odds 9 become 3
        ([0.75, 0.25], 0.5, [0.9, 0.1]),
        ([1.0, 0.0], 5.0, [1.0, 0.0]),
    ],
)
def test_a_temperature_takes_a_root_of_the_odds(scores, factor, expected):
    np.testing.assert_allclose(rescaled(np.array([scores]), factor), [expected], atol=1e-12)


def drawn(seed: int, cases: int = 400, sharpness: float = 1.0):
    """Scores and true classes drawn from them, and then made `sharpness` times too sure."""
    rng = np.random.default_rng(seed)
    honest = rescaled(rng.dirichlet([0.7, 0.7, 0.7], cases) * 0.97 + 0.01, 1.0)
    truth = np.array([rng.choice(3, p=row) for row in honest])
    return rescaled(honest, 1 / sharpness), truth


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.3, 4))
def test_no_other_factor_has_a_lower_loss(seed, sharpness):
    scores, truth = drawn(seed, 60, sharpness)
    found = fit_factor(scores, truth)
    assert found is not None
    best = negative_log_likelihood(rescaled(scores, found), truth)
    for other in np.geomspace(1 / BOUND, BOUND, 200):
        assert best <= negative_log_likelihood(rescaled(scores, other), truth) + 1e-9


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_what_was_made_too_sure_is_made_honest_again(sharpness):
    scores, truth = drawn(5, 6000, sharpness)
    assert fit_factor(scores, truth) == pytest.approx(sharpness, rel=0.06)
    assert fit_factor(scores, truth) == fit_factor(scores, truth)


@pytest.mark.parametrize("hit", [True, False])
def test_without_error_or_without_knowledge_no_temperature_fits(hit):
    scores = np.array([[0.8, 0.2], [0.2, 0.8]] * 10)
    assert fit_factor(scores, np.array([0, 1] * 10 if hit else [1, 0] * 10)) is None


def test_losses_are_what_counting_by_hand_gives():
    scores = np.array([[0.5, 0.5], [0.2, 0.8]])
    assert negative_log_likelihood(scores, np.array([0, 1])) == pytest.approx(
        -(np.log(0.5) + np.log(0.8)) / 2
    )
    assert brier_score(np.array([True, False]), np.array([0.5, 0.2])) == pytest.approx(0.145)
    assert np.isfinite(negative_log_likelihood(np.array([[0.0, 1.0]]), np.array([0])))


@pytest.mark.parametrize(
    ("prevalence", "sensitivity", "specificity", "alerts"),
    [(0, 0.9, 0.8, 200), (1, 0.9, 0.8, 900), (0.05, 1.0, 1.0, 50), (0.01, 0.95, 0.65, 356)],
)
def test_alerts_to_expect(prevalence, sensitivity, specificity, alerts):
    assert alerts_per_thousand(prevalence, sensitivity, specificity) == pytest.approx(alerts)


@pytest.mark.parametrize(
    ("old", "new"),
    [("1.0.0", "1.0.1"), ("1.2.9", "1.2.10"), ("2.0", "2.0.1"), ("1.0.0-rc", "1.0.0-rc.1")],
)
def test_the_patch_number_is_raised(old, new):
    assert next_version(old) == new


def wanted(**changes: object) -> Wanted:
    return dataclasses.replace(
        Wanted(Path("a/mine.csv"), "night", (0.95,), (0.05,), True, "made up"), **changes
    )


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=60).filter(
        lambda cases: {True, False} == {melanoma for melanoma, _ in cases}
    ),
    st.sampled_from([0.5, 0.8, 0.95, 1.0]),
    st.floats(-8e-6, 8e-6),
)
def test_rounding_in_the_job_costs_no_melanoma(cases, target, error):
    """And nothing but rounding lies between the threshold and the highest possible one."""
    is_melanoma, scores = (np.array(column) for column in zip(*cases, strict=True))
    point = choose_point(is_melanoma, scores, MANIFEST, target, wanted())
    of_the_job = scores * (1 + error)
    assert np.mean(of_the_job[is_melanoma] >= point.threshold) >= target - 1e-12
    assert np.mean(scores[is_melanoma] > point.threshold * (1 + 2e-5) + 1e-300) < target
    assert point.sensitivity == np.mean(scores[is_melanoma] >= point.threshold)
    assert point.specificity == np.mean(scores[~is_melanoma] < point.threshold)
    assert point.validation_set.startswith("mine.csv, split night: ")


def labelled(melanomas: int, others: int) -> Labelled:
    is_melanoma = np.array([True] * melanomas + [False] * others)
    names = np.where(is_melanoma, "melanoma", "nevus")
    return Labelled(names, np.full((len(names), 2), 0.5), is_melanoma, {}, names, names)


@pytest.mark.parametrize(("melanomas", "others"), [(FEWEST - 1, 90), (90, FEWEST - 1)])
def test_too_few_images_are_refused(melanomas, others):
    with pytest.raises(UsageError, match=f"{melanomas} melanomas and {others} others.*needed: 20"):
        check_counts(labelled(melanomas, others))


def test_just_enough_images_are_taken():
    assert FEWEST == 20
    check_counts(labelled(FEWEST, FEWEST))


@pytest.mark.parametrize("targets", [(0.9, 0.9), (0.95, 0.9500001)])
def test_two_operating_points_of_one_name_are_refused(targets):
    with pytest.raises(UsageError, match="--target-sensitivity"):
        check_targets(targets)
    check_targets((0.9, 0.95))


# ---- through the command line, with the bundled model


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """An archive of 48 lesions, a night of the bundled model, and labels that half agree."""
    root = tmp_path_factory.mktemp("calibrate")
    (root / "archive").mkdir()
    for number in range(48):
        data = jpeg_bytes(lesion_image(1000 + number, 180, 240))
        (root / "archive" / f"L{number:02d}.jpg").write_bytes(data)
    score(root / "archive", root / "reports", "isic9-plain")
    rows = predictions(root / "reports")
    rng = np.random.default_rng(4)
    noisy = rows["melanoma_score"].rank() + rng.normal(0, 9, len(rows))
    rows["label"] = np.where(noisy.rank() > 24, "melanoma", rows["predicted_class"])
    rows["label"] = rows["label"].mask(
        (rows["label"] == "melanoma") & (noisy.rank() <= 24), "nevus"
    )
    rows["image"] = [Path(path).stem for path in rows["path"]]
    rows[["image", "label"]].to_csv(root / "labels.csv", index=False)
    return root


def score(archive: Path, reports: Path, model: object) -> None:
    words = ["score", str(archive), "--output", str(reports), "--model", str(model)]
    assert main(words) == ExitCode.COMPLETE


def predictions(reports: Path) -> pd.DataFrame:
    return pd.read_parquet(reports / "latest" / "current").sort_values("path", ignore_index=True)


def calibrate(night: Path, output: Path, *more: str, model: object = "isic9-plain",
              labels: str = "labels.csv", reports: str = "reports") -> int:  # fmt: skip
    words = [str(night / reports), "--labels", str(night / labels), "--model", str(model)]
    return main(["calibrate", *words, "--output", str(output), *more])


@pytest.fixture(scope="module")
def calibrated(night):
    more = ("--target-sensitivity", "0.9", "--target-sensitivity", "0.6", "--prevalence", "0.1")
    assert calibrate(night, night / "calibrated", *more) == ExitCode.COMPLETE
    score(night / "archive", night / "reports-after", night / "calibrated")
    return night / "calibrated"


def test_the_job_gives_the_scores_that_were_computed_from_parquet(night, calibrated):
    manifest = read_manifest(calibrated)
    assert abs(manifest.output.temperature - 1) > 0.05
    names = manifest.output.class_names
    before, after = predictions(night / "reports"), predictions(night / "reports-after")
    old, new = (
        np.array([[dict(row)[name] for name in names] for row in rows["class_scores"]])
        for rows in (before, after)
    )
    assert list(before["path"]) == list(after["path"])
    assert np.abs(old - new).max() > 0.01
    np.testing.assert_allclose(rescaled(old, manifest.output.temperature), new, atol=1e-5)


def test_the_job_alerts_as_the_operating_points_say(night, calibrated):
    after = predictions(night / "reports-after")
    is_melanoma = (pd.read_csv(night / "labels.csv")["label"] == "melanoma").to_numpy()
    points = read_manifest(calibrated).operating_points
    assert [point.name for point in points] == ["sensitivity-0.9", "sensitivity-0.6"]
    for point in points:
        alert = (after["melanoma_score"] >= point.threshold).to_numpy()
        assert point.sensitivity == pytest.approx(alert[is_melanoma].mean())
        assert point.specificity == pytest.approx(1 - alert[~is_melanoma].mean())
        assert point.sensitivity >= point.target_sensitivity
        assert (point.melanomas, point.others, point.provisional) == (24, 24, True)
    assert (after["is_alert"] == (after["melanoma_score"] >= points[0].threshold)).all()


def test_the_artifact_says_what_it_is(night, calibrated, bundled_artifact):
    old, new = read_manifest(bundled_artifact), read_manifest(calibrated)
    assert (old.model_version, new.model_version) == (SHIPPED, next_version(SHIPPED))
    assert new.model_sha256 == old.model_sha256
    assert (calibrated / "split.csv").read_bytes() == (bundled_artifact / "split.csv").read_bytes()
    entry = new.provenance["calibration"]
    assert new.output.calibrated
    assert old.caution not in new.caution
    assert "48 images of labels.csv, 24 of them melanomas" in new.caution
    assert entry["replaces"]["caution"] == old.caution
    assert new.default_operating_point == "sensitivity-0.9"
    assert "labels.csv" in new.operating_points[0].validation_set
    assert str(night) not in (calibrated / "manifest.json").read_text()
    assert entry["after"]["negative_log_likelihood"] < entry["before"]["negative_log_likelihood"]
    assert set(entry["alerts_per_1000"]["sensitivity-0.6"]) == {"0.1"}
    assert entry["replaces"]["contract_sha256"] == old.contract_sha256
    assert {k: v for k, v in new.provenance.items() if k != "calibration"} == old.provenance


def test_the_card_keeps_old_figures_under_the_old_version(calibrated, bundled_artifact):
    card = (calibrated / "MODEL_CARD.md").read_text()
    head, quoted = card.split(f"## The card of version {SHIPPED}")
    assert card.startswith(f"# Model card: isic9-plain {next_version(SHIPPED)}\n")
    caution, former = (read_manifest(folder).caution for folder in (calibrated, bundled_artifact))
    assert f"**{caution}**" in head
    assert former not in head
    assert f"Caution of {SHIPPED}, from the evidence at that time: {former}" in quoted
    assert f"**{former}**" not in card
    assert "| sensitivity-0.9 |" in head
    assert "--target-sensitivity 0.9" in head
    assert "0.922" not in head  # the AUC of the old table
    assert "### Operating points" in quoted
    assert "\n# Model card" not in quoted


def test_every_run_says_the_caution_of_the_evidence_at_hand(night, calibrated, capsys):
    run = json.loads((night / "reports-after" / "latest" / "run.json").read_text())
    caution = read_manifest(calibrated).caution
    assert run["model"]["caution"] == caution
    page = (night / "reports-after" / "latest" / "review_worklist.html").read_text()
    assert "48 images of labels.csv" in page
    assert "ham10000" not in page
    words = ["evaluate", str(night / "reports-after"), "--labels", str(night / "labels.csv")]
    assert main([*words, "--json", "-"]) == ExitCode.COMPLETE
    assert json.loads(capsys.readouterr().out)["caution"] == caution


def test_the_auc_of_the_labelled_images_is_measured(night, calibrated):
    after = predictions(night / "reports-after")
    is_melanoma = (pd.read_csv(night / "labels.csv")["label"] == "melanoma").to_numpy()
    entry = read_manifest(calibrated).provenance["calibration"]
    expected = roc_auc_score(is_melanoma, after["melanoma_score"])
    assert entry["melanoma_auc"] == pytest.approx(expected, abs=1e-6)
    low, high = entry["melanoma_auc_interval"]
    assert low < entry["melanoma_auc"] < high


def test_the_models_own_images_are_no_evidence_of_another_archive(
    night, bundled_artifact, tmp_path
):
    """Calibrated on its own validation images, what was said of strange ones still holds."""
    known = Path(shutil.copytree(bundled_artifact, tmp_path / "known"))
    rows = predictions(night / "reports")
    split = pd.DataFrame({"content_sha256": rows["content_sha256"], "split": "validation"})
    split = split.assign(image="x").iloc[:5]
    split.loc[len(split)] = {"content_sha256": "x", "split": "train", "image": "L07"}
    split.to_csv(known / "split.csv", index=False)
    assert calibrate(night, tmp_path / "out", model=known) == ExitCode.COMPLETE
    caution = read_manifest(tmp_path / "out").caution
    assert "5 of the images are of its own validation or test set" in caution
    assert read_manifest(bundled_artifact).caution in caution
    assert "1 of the images are named as images that it was trained on" in caution


def test_labels_in_other_words_calibrate_alike(night, tmp_path, capsys):
    table = pd.read_csv(night / "labels.csv")
    table["label"] = table["label"].replace({"melanoma": "MM", "nevus": "NV"})
    table.to_csv(tmp_path / "codes.csv", index=False)
    labels = str(tmp_path / "codes.csv")
    assert calibrate(night, tmp_path / "no", labels=labels) == ExitCode.USAGE
    assert "24 of 48 rows" in capsys.readouterr().err
    more = ("--map-label", "MM=melanoma")
    assert calibrate(night, tmp_path / "codes", *more, labels=labels) == ExitCode.COMPLETE
    assert calibrate(night, tmp_path / "words") == ExitCode.COMPLETE
    codes, words = (read_manifest(tmp_path / name) for name in ("codes", "words"))
    assert codes.output == words.output
    assert codes.operating_points[0].threshold == words.operating_points[0].threshold
    assert "--map-label MM=melanoma" in codes.provenance["calibration"]["command"]


def test_without_temperature_scores_stay_and_no_class_must_be_known(
    night, bundled_artifact, tmp_path, capsys
):
    table = pd.read_csv(night / "labels.csv")
    table["label"] = table["label"].where(table["label"] == "melanoma", "benign")
    table.to_csv(tmp_path / "two.csv", index=False)
    labels = str(tmp_path / "two.csv")
    assert calibrate(night, tmp_path / "no", labels=labels) == ExitCode.USAGE
    assert "'benign'" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
    out = tmp_path / "out"
    assert calibrate(night, out, "--no-temperature", labels=labels) == ExitCode.COMPLETE
    manifest = read_manifest(out)
    assert (manifest.output.temperature, manifest.output.calibrated) == (1.0, False)
    assert scoring_fingerprint(manifest) == scoring_fingerprint(read_manifest(bundled_artifact))
    # the night of the old version is of the very same contract: it may be used again
    assert calibrate(night, tmp_path / "again", "--no-temperature", model=out) == ExitCode.COMPLETE
    assert read_manifest(tmp_path / "again").model_version == next_version(next_version(SHIPPED))


def test_predictions_at_another_temperature_are_refused(night, calibrated, tmp_path, capsys):
    assert calibrate(night, tmp_path / "x", model=calibrated) == ExitCode.USAGE
    assert "under another contract" in capsys.readouterr().err
    bare = f"{night}/bare"
    shutil.copytree(night / "reports" / "latest" / "current", bare, dirs_exist_ok=True)
    assert calibrate(night, tmp_path / "x", model=calibrated, reports="bare") == ExitCode.USAGE
    wanted = f"model_version {SHIPPED}; allowed: {next_version(SHIPPED)}"
    assert wanted in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_calibrated_model_can_be_calibrated_again(night, calibrated, tmp_path):
    """The same labels want no further change: the temperature is that of the first time."""
    out = tmp_path / "again"
    assert calibrate(night, out, model=calibrated, reports="reports-after") == ExitCode.COMPLETE
    first, second = read_manifest(calibrated), read_manifest(out)
    assert second.output.temperature == pytest.approx(first.output.temperature, rel=1e-3)
    assert second.provenance["calibration"]["replaces"]["calibration"]["labels"] == "labels.csv"


def test_predictions_of_another_model_are_refused(night, bundled_artifact, tmp_path, capsys):
    other = Path(shutil.copytree(bundled_artifact, tmp_path / "other"))
    manifest = read_manifest(other)
    points = [dataclasses.replace(p, model_sha256="0" * 64) for p in manifest.operating_points]
    changed = dataclasses.replace(manifest, model_sha256="0" * 64, operating_points=tuple(points))
    write_manifest(changed, other)
    assert calibrate(night, tmp_path / "x", model=other) == ExitCode.USAGE
    assert "48 of 48 labelled images were scored by isic9-plain" in capsys.readouterr().err


def test_images_of_the_training_are_refused(night, bundled_artifact, tmp_path, capsys):
    known = Path(shutil.copytree(bundled_artifact, tmp_path / "known"))
    rows = predictions(night / "reports")
    split = pd.DataFrame({"content_sha256": rows["content_sha256"], "split": "validation"})
    split.loc[7, "split"] = "train"
    split.to_csv(known / "split.csv", index=False)
    assert calibrate(night, tmp_path / "x", model=known) == ExitCode.USAGE
    assert "trained on 1 of the 48" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.assign(label="nevus"), "no judged image is labelled 'melanoma'"),
        (lambda table: table.assign(label=table["label"].replace("melanoma", "MM")), "'MM'"),
        (lambda table: table.drop(columns="label"), "needed: label"),
        (lambda table: table.assign(image="other"), "no image of the labels is among"),
        (
            lambda table: table[table["label"] == "melanoma"],
            "no judged image is other than melanoma",
        ),
    ],
)
def test_labels_that_mean_nothing_are_refused(night, tmp_path, capsys, change, message):
    change(pd.read_csv(night / "labels.csv")).to_csv(tmp_path / "labels.csv", index=False)
    code = calibrate(night, tmp_path / "x", labels=str(tmp_path / "labels.csv"))
    assert code == ExitCode.USAGE
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_calibrating_needs_no_extra(night, tmp_path):
    words = [str(night / "reports"), "--labels", str(night / "labels.csv")]
    words += ["--model", "isic9-plain", "--output", str(tmp_path / "out")]
    ended = run("calibrate", *words)
    assert ended.returncode == 0, ended.stderr
    assert "Caution, with every score from now on: Measured on 48 images" in ended.stdout


def test_a_used_folder_is_refused(night, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert calibrate(night, tmp_path) == ExitCode.USAGE
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--target-sensitivity", "0"), ("--target-sensitivity", "1.01"),
     ("--target-sensitivity", "nan"), ("--prevalence", "-0.1"), ("--prevalence", "1.5")],
)  # fmt: skip
def test_shares_out_of_range_are_usage_errors(night, tmp_path, capsys, option, value):
    assert calibrate(night, tmp_path / "x", f"{option}={value}") == ExitCode.USAGE
    assert "allowed:" in capsys.readouterr().err


def test_the_job_refuses_an_operating_point_of_another_model(calibrated, night, tmp_path, capsys):
    mixed = Path(shutil.copytree(calibrated, tmp_path / "mixed"))
    manifest = read_manifest(mixed)
    points = list(manifest.operating_points)
    points[1] = dataclasses.replace(points[1], model_sha256="0" * 64)
    # sealed as if it had been measured so: the digest alone must tell
    write_manifest(dataclasses.replace(manifest, operating_points=tuple(points)), mixed)
    words = ["score", str(night / "archive"), "--output", str(tmp_path / "reports")]
    assert main([*words, "--model", str(mixed)]) == ExitCode.ARTIFACT_REFUSED
    assert "operating_points.1.model_sha256" in capsys.readouterr().err
    assert not (tmp_path / "reports" / "latest").exists()


def test_a_new_threshold_judges_what_was_scored_before(night, tmp_path):
    """`--no-temperature` changes no score: the next night reads nothing and alerts anew."""
    out = tmp_path / "out"
    more = ("--no-temperature", "--target-sensitivity", "0.5")
    assert calibrate(night, out, *more) == ExitCode.COMPLETE
    reports = Path(shutil.copytree(night / "reports", tmp_path / "reports", symlinks=True))
    score(night / "archive", reports, out)
    run = json.loads((reports / "latest" / "run.json").read_text())
    (point,) = read_manifest(out).operating_points
    rows = predictions(reports)
    assert run["equation"]["unchanged"] == 48
    assert (rows["threshold"] == point.threshold).all()
    assert (rows["is_alert"] == (rows["melanoma_score"] >= point.threshold)).all()


def test_many_names_of_the_training_keep_the_former_caution(night, bundled_artifact, tmp_path):
    known = Path(shutil.copytree(bundled_artifact, tmp_path / "known"))
    names = [Path(path).stem for path in predictions(night / "reports")["path"]][:5]
    split = pd.DataFrame({"content_sha256": "x", "split": "train", "image": names})
    split.to_csv(known / "split.csv", index=False)
    assert calibrate(night, tmp_path / "out", model=known) == ExitCode.COMPLETE
    caution = read_manifest(tmp_path / "out").caution
    assert "5 of the images are named as images that it was trained on" in caution
    assert read_manifest(bundled_artifact).caution in caution
