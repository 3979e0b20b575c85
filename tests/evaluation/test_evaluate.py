"""`evaluate`, from a published night and labels to figures and files."""

from __future__ import annotations

import dataclasses
import json

import pandas as pd
import pytest

from batch.cli import main
from batch.commands.command_line import options_of
from batch.core.errors import ExitCode, FailureReason, Stage, UsageError
from batch.core.records import Prediction, Unscored
from batch.evaluation.evaluate import evaluate_predictions
from batch.evaluation.isic_format import DEFAULT_FORMAT, FORMATS
from batch.evaluation.measures import MIN_SENSITIVITY
from batch.evaluation.report_text import evaluation_text
from batch.evaluation.subgroups import MIN_CELL
from batch.model.artifact import find_artifact
from batch.model.manifest import write_manifest
from batch.reports import parquet, rows
from tests.support.archives import FACTS, prediction, record

SCORES = {"m1": 0.9, "m2": 0.2, "n1": 0.6, "n2": 0.1}
LABELS = {"m1": "melanoma", "m2": "melanoma", "n1": "nevus", "n2": "nevus"}


def row(name, score, facts=FACTS, path=None, **changes):
    changes = {"image_id": name, "content_sha256": name} | changes
    return rows.prediction_row(prediction(score, path or f"deep/{name}.jpg", **changes), facts)


def write_night(root, found, unscored=()):
    night = root / "runs/r"
    night.mkdir(parents=True)
    parquet.write_part("current", found, night / "current/part-00000.parquet")
    lost = [rows.unscored_row(one, FACTS) for one in unscored]
    parquet.write_part("unscored", lost, night / "unscored/part-00000.parquet")
    (root / "latest").symlink_to("runs/r")
    return root


@pytest.fixture
def night(tmp_path):
    return write_night(
        tmp_path / "reports",
        [row(name, score) for name, score in SCORES.items()],
        [Unscored("deep/lost.jpg", Stage.DECODE, FailureReason.DECODE_FAILED)],
    )


@pytest.fixture
def labels(tmp_path):
    def write(columns=None, **more):
        table = columns or {"image": list(LABELS), "label": list(LABELS.values())}
        pd.DataFrame(table | more).to_csv(tmp_path / "labels.csv", index=False)
        return tmp_path / "labels.csv"

    return write


@pytest.mark.parametrize(
    "below", ["", "latest", "latest/current", "runs/r/current/part-00000.parquet"]
)
@pytest.mark.parametrize("key", ["image", "content_sha256", "image_id"])
def test_a_night_is_measured_against_labels(night, labels, below, key):
    found = evaluate_predictions(
        night / below, labels({key: [*LABELS, "never"], "label": [*LABELS.values(), "nevus"]})
    ).measures
    (at,) = found["operating_points"]
    assert (at["name"], at["threshold"], at["found_in"]) == ("sensitivity-0.95", 0.5, "predictions")
    assert [at[n] for n in ("sensitivity", "specificity", "ppv", "npv")] == [0.5] * 4
    assert found["melanoma"]["melanoma_auc"] == 0.75
    assert found["matched_by"] == key
    assert (found["counts"]["labels"]["rows"], found["counts"]["labels"]["judged"]) == (5, 4)
    assert found["classes"]["accuracy"] == 0.5
    assert found["classes"]["confusion"] == {
        "melanoma": {"melanoma": 1, "nevus": 1}, "nevus": {"melanoma": 1, "nevus": 1},
    }  # fmt: skip


def test_labels_without_prediction_are_counted_with_the_nights_reasons(night, labels):
    names = [*LABELS, "lost", "nowhere"]
    words = [*LABELS.values(), "melanoma", "nevus"]
    found = evaluate_predictions(night, labels({"image": names, "label": words})).measures
    assert found["without_prediction"] == {
        "rows": 2, "melanomas": 1, "unscored": {"decode_failed": 1},
    }  # fmt: skip
    text = evaluation_text(found)
    assert "2   labels without prediction (1 melanomas)" in text
    assert "1   decode_failed" in text


def test_without_the_table_of_unscored_the_reasons_are_not_known(night, labels):
    part = night / "runs/r/current/part-00000.parquet"
    names = {"image": [*LABELS, "lost"], "label": [*LABELS.values(), "nevus"]}
    found = evaluate_predictions(part, labels(names)).measures
    assert found["unscored_known"] is False
    assert "reasons are not known" in evaluation_text(found)


def test_a_split_takes_its_rows_only(night, labels):
    path = labels(split=["test", "train", "test", "test"])
    assert evaluate_predictions(night, path, "test").measures["counts"]["labels"]["rows"] == 3
    with pytest.raises(UsageError, match="no rows of split 'dev'"):
        evaluate_predictions(night, path, "dev")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no file"),
        ("image,finding\nm1,mel\n", "needed: label"),
        ("label\nnevus\n", "one of image_id, content_sha256, image, path"),
        (
            "image,label\nother,nevus\n",
            r"no image of .* \(by image\): 1 rows, 1 without_prediction. image in the labels: "
            r"'other'; among the predictions: 'm1'",
        ),
        (
            "path,label\nX\\other.jpg,nevus\n",
            r"path in the labels: 'X\\\\other.jpg'; among the predictions: 'deep/m1.jpg'",
        ),
        ('image,label\n"m1,nevus\n', "is no CSV"),
        ("image,label\nm1,MM\n", "1 of 1 rows .* 'MM' 1 .*--map-label MM=mel"),
        ("image,label\nm1,SSM\nn1,NV\n", "1 of 2 rows .*'SSM' 1 .*--map-label SSM=melanoma"),
        ("image,label\nm1,True\nn1,False\n", "'False' 1 .*'True' 1 .*--map-label True=CLASS"),
        ("image,label\nm1,1\nn1,0\n", "'0' 1 .*'1' 1 .*--map-label 0=CLASS"),
        ("image,label\nm1,malignant\nn1,benign\n", "'malignant' 1 .may be melanoma or"),
        ("image,label\nm1,melanoma\nn1,solar thing\n", "1 of 2 rows .*'solar thing' 1;"),
        ("image,label\nm1,\nn1,NaN\n", "no judged image is labelled 'melanoma'; found: none"),
        ("image,label\nm1,NV\nn1,nevus\n", "no judged image is labelled 'melanoma'; found: 'nev"),
        ("image,label\nm1,melanoma\nn1,\n", "no judged image is other than melanoma"),
    ],
)
def test_unusable_labels_are_usage_errors(night, tmp_path, text, message):
    if text:
        (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        evaluate_predictions(night, tmp_path / "labels.csv")


def test_bytes_that_are_no_text_are_a_usage_error(night, tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"image,label\nm\x81,nevus\n")
    with pytest.raises(UsageError, match="is no CSV"):
        evaluate_predictions(night, tmp_path / "labels.csv")


def test_names_of_digits_keep_their_zeros(tmp_path, labels):
    reports = write_night(tmp_path / "digits", [row("0012", 0.9), row("7", 0.1)])
    words = {"image": ["0012", "7"], "label": ["nevus", "melanoma"]}
    assert evaluate_predictions(reports, labels(words)).measures["melanoma"]["images"] == 2


def test_other_columns_of_the_labels_do_not_stand_in_for_predictions(night, labels):
    path = labels(melanoma_score=["0"] * 4, threshold=["9"] * 4, path=["x"] * 4)
    assert evaluate_predictions(night, path).measures["melanoma"]["melanoma_auc"] == 0.75


def test_a_diagnosis_that_is_no_class_is_an_other_and_is_named(night, labels):
    words = ["melanoma", "melanoma", "BCC", "nevus"]
    found = evaluate_predictions(night, labels({"image": list(LABELS), "label": words})).measures
    assert found["melanoma"]["others"] == 2
    assert found["classes"]["images"] == 3
    assert found["classes"]["labels_of_no_class"] == {"basal cell carcinoma": 1}
    text = evaluation_text(found)
    assert "basal cell carcinoma 1" in text
    assert "labels read: 'BCC' as 'basal cell carcinoma' (1)" in text


@pytest.mark.parametrize("other", ["other", "benign", "Not melanoma", "no_melanoma"])
def test_labels_that_only_exclude_melanoma_give_binary_figures_and_no_others(night, labels, other):
    words = ["melanoma", "melanoma", other, "nevus"]
    found = evaluate_predictions(night, labels({"image": list(LABELS), "label": words})).measures
    assert found["melanoma"]["melanoma_auc"] == 0.75
    assert found["classes"] is None
    text = evaluation_text(found)
    assert "No accuracy and no table of classes" in text
    assert "balanced accuracy" not in text
    assert "predicted classes" not in text


@pytest.mark.parametrize(
    ("melanoma", "other", "stated"),
    [
        ("True", "False", ["True=melanoma", "False=not melanoma"]),
        ("1", "0", ["1=melanoma", "0=other"]),
        ("MM", "NZN", ["MM=melanoma", "NZN=nevus"]),
        ("C43.5", "D22.5", ["C43.5=melanoma", "D22.5=NV"]),
        ("malignant", "benign", ["malignant=melanoma"]),
        ("melanoma", "NV", []),
        (" melanoma", "NEVUS ", []),
    ],
)
def test_the_same_figures_come_out_of_every_spelling(night, labels, melanoma, other, stated):
    plain = evaluate_predictions(night, labels()).measures
    words = [melanoma, melanoma, other, other]
    path = labels({"image": list(LABELS), "label": words})
    found = evaluate_predictions(night, path, map_labels=stated).measures
    for part in ("melanoma", "operating_points", "counts"):
        assert found[part] == plain[part]


def test_rows_that_are_said_to_have_no_label_are_counted_as_such(night, labels):
    path = labels({"image": [*LABELS, "x"], "label": [*LABELS.values(), "unknown"]})
    with pytest.raises(UsageError, match="'unknown' 1; .*as in --map-label unknown="):
        evaluate_predictions(night, path)
    found = evaluate_predictions(night, path, map_labels=["unknown="]).measures
    assert found["counts"]["labels"]["without_label"] == 1
    assert found["labels_read_as"] == {"unknown": {"read_as": "", "rows": 1}}
    assert "1   rows without a label" in evaluation_text(found)


def test_two_words_of_one_meaning_do_not_contradict_each_other(night, labels):
    path = labels({"image": [*LABELS, "n1"], "label": [*LABELS.values(), "NV"]})
    assert evaluate_predictions(night, path).measures["counts"]["labels"]["contradicting"] == 0


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_a_folder_without_a_night_is_a_usage_error(tmp_path, labels, make):
    make(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no predictions below"):
        evaluate_predictions(tmp_path / "nowhere", labels())


@pytest.mark.parametrize("below", ["", "part.parquet"])
@pytest.mark.parametrize("columns", [{"path": ["a"]}, {"image_id": ["m1"], "label": ["nevus"]}])
def test_tables_of_another_kind_are_a_usage_error(tmp_path, labels, columns, below):
    folder = tmp_path / "other"
    folder.mkdir()
    pd.DataFrame(columns).to_parquet(folder / "part.parquet")
    with pytest.raises(UsageError, match="has no tables of this version"):
        evaluate_predictions(folder / below, labels())


def test_a_file_that_is_no_table_is_a_usage_error(tmp_path, labels):
    path = labels()
    with pytest.raises(UsageError, match="has no tables of this version"):
        evaluate_predictions(path, path)


def test_predictions_of_two_models_are_refused(tmp_path, labels):
    other = dataclasses.replace(FACTS, model_sha256="1" * 64)
    reports = write_night(tmp_path / "two", [row("m1", 0.9), row("n1", 0.1, other)])
    with pytest.raises(UsageError, match="by 2 models: fake 0 0000.*; fake 0 1111"):
        evaluate_predictions(reports, labels())


def test_a_second_model_among_unlabelled_images_harms_nothing(tmp_path, labels):
    other = dataclasses.replace(FACTS, model_sha256="1" * 64)
    reports = write_night(
        tmp_path / "three", [row("m1", 0.9), row("n1", 0.1), row("x", 0.1, other)]
    )
    assert evaluate_predictions(reports, labels()).measures["melanoma"]["images"] == 2


MANIFEST = find_artifact("isic9-plain").manifest


def facts_of(manifest, **changes):
    return dataclasses.replace(
        FACTS,
        **{name: getattr(manifest, name) for name in ("model_id", "model_version", "model_sha256")}
        | changes,
    )


def scored(name, score, facts):
    """A prediction with the bundled model's classes."""
    rest = (1 - score) / (len(MANIFEST.output.class_names) - 1)
    scores = [(n, score if n == "melanoma" else rest) for n in MANIFEST.output.class_names]
    image = record(f"{name}.jpg", image_id=name, content_sha256=name)
    return rows.prediction_row(Prediction(image, tuple(scores), "melanoma", score), facts)


@pytest.fixture
def bundled(tmp_path):
    facts = facts_of(MANIFEST)
    found = [scored(name, score, facts) for name, score in SCORES.items()]
    return write_night(tmp_path / "bundled", found)


def test_the_manifests_operating_points_are_measured_too(bundled, labels):
    found = evaluate_predictions(bundled, labels(), model="isic9-plain").measures
    (theirs,) = MANIFEST.operating_points
    assert [(p["found_in"], p["threshold"]) for p in found["operating_points"]] == [
        ("predictions", 0.5), ("manifest", theirs.threshold),
    ]  # fmt: skip
    assert [p["sensitivity"] for p in found["operating_points"]] == [0.5, 1.0]
    assert found["caution"] == MANIFEST.caution
    assert "Caution" in evaluation_text(found)


def test_the_caution_is_the_bundled_models_or_the_nights_without_model_too(
    bundled, night, labels, evaluate
):
    code, out, _ = evaluate("--json", "-", reports=bundled)
    assert (code, json.loads(out)["caution"]) == (ExitCode.COMPLETE, MANIFEST.caution)
    assert evaluate_predictions(night, labels()).measures["caution"] is None
    model = {"model_id": "fake", "model_version": "0", "model_sha256": "0" * 64}
    for caution in ("be careful", ""):
        ledger = night / "runs/r/run.json"
        ledger.write_text(json.dumps({"model": {**model, "caution": caution}}))
        for below in ("", "latest", "runs/r/current/part-00000.parquet"):
            assert evaluate_predictions(night / below, labels()).measures["caution"] == caution
    ledger.write_text(json.dumps({"model": {**model, "model_version": "1", "caution": "no"}}))
    found = evaluate_predictions(night, labels()).measures
    assert found["caution"] is None
    assert "Caution      not known" in evaluation_text(found)


def test_an_operating_point_of_both_is_measured_once(tmp_path, labels):
    facts = facts_of(MANIFEST, operating_point=MANIFEST.operating_points[0])
    reports = write_night(tmp_path / "same", [scored(n, s, facts) for n, s in SCORES.items()])
    found = evaluate_predictions(reports, labels(), model="isic9-plain").measures
    assert [p["found_in"] for p in found["operating_points"]] == ["predictions"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_sha256": "1" * 64}, f"model digest {MANIFEST.model_sha256}; allowed: 1111"),
        ({"model_version": "9"}, f"model version {MANIFEST.model_version}; allowed: 9"),
    ],
)
def test_another_models_manifest_is_refused(tmp_path, labels, changes, message):
    facts = facts_of(MANIFEST, **changes)
    reports = write_night(tmp_path / "other", [scored(n, s, facts) for n, s in SCORES.items()])
    with pytest.raises(UsageError, match=message):
        evaluate_predictions(reports, labels(), model="isic9-plain")


def test_the_manifest_says_which_class_is_melanoma(bundled, labels, tmp_path):
    """Another class of the same model, as a third party's manifest may call it."""
    output = dataclasses.replace(MANIFEST.output, melanoma_class="nevus",
                                 malignant_classes=("nevus",))  # fmt: skip
    (tmp_path / "artifact").mkdir()
    write_manifest(dataclasses.replace(MANIFEST, output=output), tmp_path / "artifact")
    found = evaluate_predictions(bundled, labels(), model=str(tmp_path / "artifact"))
    assert found.measures["melanoma_class"] == "nevus"


def named(name, scores, melanoma):
    image = record(f"{name}.jpg", image_id=name, content_sha256=name)
    return rows.prediction_row(Prediction(image, scores, scores[0][0], melanoma), FACTS)


def test_without_a_manifest_the_melanoma_class_is_the_one_with_its_score(tmp_path, labels):
    found = [
        named("m1", (("malignant", 0.9), ("benign", 0.1)), 0.9),
        named("n1", (("malignant", 0.5), ("benign", 0.5)), 0.5),
    ]
    reports = write_night(tmp_path / "binary", found)
    path = labels({"image": ["m1", "n1"], "label": ["malignant", "benign"]})
    found = evaluate_predictions(reports, path).measures
    assert (found["melanoma_class"], found["melanoma"]["melanomas"]) == ("malignant", 1)


def test_a_melanoma_class_that_cannot_be_told_is_asked_for(tmp_path, labels):
    found = [named("m1", (("malignant", 0.5), ("benign", 0.5)), 0.5)]
    reports = write_night(tmp_path / "binary", found)
    with pytest.raises(
        UsageError, match="1 images do not show which of .* is melanoma; give the model"
    ):
        evaluate_predictions(reports, labels({"image": ["m1"], "label": ["malignant"]}))


@pytest.mark.parametrize(
    ("kind", "message"),
    [("melanoma", "is other than melanoma; found: 'melanoma' 4"), ("nevus", "labelled 'melanoma'")],
)
def test_without_one_of_the_kinds_nothing_is_told(evaluate, kind, message):
    code, out, error = evaluate(table={"image": list(LABELS), "label": [kind] * 4})
    assert (code, out) == (ExitCode.USAGE, "")
    assert message in error
    assert "--map-label" in error


def test_missed_melanomas_are_listed_and_counted(night, labels):
    found = evaluate_predictions(night, labels(group=["g1", "g2", "g3", ""]))
    assert found.measures["operating_points"][0]["false_negative"] == 1
    assert found.missed.to_dict("records") == [
        {"path": "deep/m2.jpg", "image_id": "m2", "score": 0.2, "threshold": 0.5,
         "label": "melanoma", "group": "g2"},
    ]  # fmt: skip
    assert "missed melanomas  1" in evaluation_text(found.measures)


def test_a_melanoma_at_the_threshold_is_not_missed(tmp_path, labels):
    reports = write_night(tmp_path / "at", [row("m1", 0.5), row("m2", 0.4999), row("n1", 0.1)])
    assert list(evaluate_predictions(reports, labels()).missed["image_id"]) == ["m2"]


@pytest.mark.parametrize(
    ("groups", "lesions", "expected"),
    [
        (None, [None] * 4, 4),  # each image for itself
        (None, ["1.1", "1.1", "1.2", None], 3),  # as the archive says
        (["a", "a", "a", "b"], ["1.1", "1.1", "1.2", None], 2),  # as the labels say
        (["a", "", "", ""], [None, "1.1", "1.1", None], 3),  # what they leave open, the archive
    ],
)
def test_lesions_are_the_labels_groups_else_the_archives(
    tmp_path, labels, groups, lesions, expected
):
    found = [row(n, s, lesion_id=x) for (n, s), x in zip(SCORES.items(), lesions, strict=True)]
    reports = write_night(tmp_path / "lesions", found)
    path = labels(group=groups) if groups else labels()
    assert evaluate_predictions(reports, path).measures["melanoma"]["groups"] == expected


def test_a_tracking_id_of_two_patients_is_two_lesions_of_the_bootstrap(tmp_path, labels):
    found = [row(n, s, lesion_id="1a", patient_pseudonym=who)
             for (n, s), who in zip(SCORES.items(), "PPQQ", strict=True)]  # fmt: skip
    reports = write_night(tmp_path / "ids", found)
    assert evaluate_predictions(reports, labels()).measures["melanoma"]["groups"] == 2


def test_the_command_measures_by_lesions_of_a_pattern_and_states_coverage(night, labels, capsys):
    path = labels({"path": ["deep/m1.jpg", "deep/m2.jpg", "deep/n1.jpg"],
                   "label": ["melanoma", "melanoma", "nevus"]})  # fmt: skip
    words = ["evaluate", str(night), "--labels", str(path), "--json", "-"]
    assert main([*words, "--lesion-pattern", "/(?P<lesion>[mn])"]) == ExitCode.COMPLETE
    found = json.loads(capsys.readouterr().out)
    assert found["by_lesion"]["units"] == 2
    assert found["coverage"]["images"] == {"known": 4, "labelled": 3, "share": 0.75}
    assert found["coverage"]["lesions"] == {"known": 2, "labelled": 2, "share": 1.0}
    assert found["coverage"]["patients"]["share"] is None
    assert main([*words, "--lesion-pattern", "(m)"]) == ExitCode.USAGE
    assert "no group named lesion" in capsys.readouterr().err


def many(tmp_path, **changes):
    names = [f"x{n:02d}" for n in range(44)]
    found = [row(n, i / 44, **changes) for i, n in enumerate(names)]
    return write_night(tmp_path / "many", found), names


def test_subgroups_stand_in_the_report_and_few_are_not_told(tmp_path, labels):
    reports, names = many(tmp_path, manufacturer="FotoFinder", manufacturer_model_name="medicam")
    words = ["melanoma", "nevus"] * 22
    sex = ["female"] * 24 + ["male"] * 20
    path = labels({"image": names, "label": words}, sex=sex, age=["41"] * 43 + ["99"])
    found = evaluate_predictions(reports, path).measures
    assert list(found["subgroups"]) == ["sex", "age", "device"]
    assert found["subgroups"]["sex"]["male"]["melanomas"] == 10
    assert found["subgroups"]["age"]["90-99"]["suppressed"] is True
    assert found["subgroups"]["device"]["FotoFinder medicam"]["melanomas"] == 22
    text = evaluation_text(found)
    line = next(line for line in text.splitlines() if line.strip().startswith("90-99"))
    assert line.split() == ["90-99", "<10", "<10"]
    stricter = evaluate_predictions(reports, path, min_cell=11).measures["subgroups"]["sex"]
    assert (stricter["female"]["suppressed"], stricter["male"]["suppressed"]) == (False, True)


@pytest.fixture
def evaluate(night, labels, capsys):
    def run(*words, reports=night, table=None):
        path = labels(table)
        code = main(["evaluate", str(reports), "--labels", str(path), *map(str, words)])
        return code, *capsys.readouterr()

    return run


def test_the_report_is_for_a_person_and_json_for_a_machine(evaluate, tmp_path):
    code, text, _ = evaluate("--json", tmp_path / "figures.json")
    assert code == ExitCode.COMPLETE
    assert "ROC-AUC                               0.750" in text
    assert f"partial AUC above sensitivity {MIN_SENSITIVITY:g} " in text
    code, out, _ = evaluate("--json", "-")
    assert json.loads(out) == json.loads((tmp_path / "figures.json").read_text())
    assert json.loads(out)["melanoma"]["melanoma_auc"] == 0.75


def test_the_files_asked_for_are_written(evaluate, bundled, tmp_path):
    files = ["--missed", tmp_path / "missed.csv", "--isic-csv", tmp_path / "isic.csv"]
    assert evaluate(*files, reports=bundled)[0] == ExitCode.COMPLETE
    missed = pd.read_csv(tmp_path / "missed.csv")
    assert list(missed.columns) == ["path", "image_id", "score", "threshold", "label", "group"]
    assert list(missed["image_id"]) == ["m2"]
    isic = pd.read_csv(tmp_path / "isic.csv", index_col="image")
    assert list(isic.columns) == list(FORMATS["2019"])
    assert isic["MEL"].to_dict() == SCORES
    assert evaluate(*files, "--isic-format", "2018", reports=bundled)[0] == ExitCode.COMPLETE
    assert list(pd.read_csv(tmp_path / "isic.csv").columns) == ["image", *FORMATS["2018"]]


def test_without_missed_melanomas_the_list_has_its_columns(tmp_path, labels):
    reports = write_night(tmp_path / "all", [row("m1", 0.9), row("n1", 0.1)])
    text = evaluate_predictions(reports, labels()).missed.to_csv(index=False)
    assert text == "path,image_id,score,threshold,label,group\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--missed", "{labels}"], "belongs to the input"),
        (["--json", "{night}/figures.json"], "belongs to the input"),
        (["--json", "{tmp}/no/figures.json"], "a file in a folder that exists"),
        (["--missed", "{tmp}"], "a file in a folder that exists"),
        (["--missed", "{tmp}/a", "--json", "{tmp}/a"], "given for two options"),
        (["--model", "nobodys"], "no model 'nobodys'"),
        (["--model", "isic9-plain"], "model digest"),
    ],
)
def test_unusable_words_are_usage_errors(evaluate, night, tmp_path, words, message):
    places = {"labels": tmp_path / "labels.csv", "night": night, "tmp": tmp_path}
    code, out, error = evaluate(*(word.format(**places) for word in words))
    assert (code, out) == (ExitCode.USAGE, "")
    assert message in error


def test_a_model_without_codes_writes_nothing(evaluate, tmp_path, labels):
    found = [named("m1", (("melanoma", 0.9), ("benign", 0.1)), 0.9)]
    found.append(named("n1", (("melanoma", 0.2), ("benign", 0.8)), 0.2))
    reports = write_night(tmp_path / "binary", found)
    files = ["--isic-csv", tmp_path / "isic.csv", "--missed", tmp_path / "missed.csv"]
    code, _, error = evaluate(*files, reports=reports)
    assert code == ExitCode.USAGE
    assert "classes ['benign'] have no code of ISIC 2019" in error
    assert not (tmp_path / "isic.csv").exists()
    assert not (tmp_path / "missed.csv").exists()


def test_the_command_lines_defaults_are_the_programs():
    """They are written twice, because --help loads no library."""
    options = options_of("evaluate", ["REPORTS", "--labels", "CSV"])
    assert (options.min_cell, options.isic_format) == (MIN_CELL, DEFAULT_FORMAT)
    for year in FORMATS:
        words = ["REPORTS", "--labels", "CSV", "--isic-format", year]
        assert options_of("evaluate", words).isic_format == year


def with_split(night, labels, tmp_path, split):
    """Evaluated with an artifact of these weights and this split.csv, or without one."""
    folder = tmp_path / "artifact"
    folder.mkdir()
    write_manifest(MANIFEST, folder)
    if split is not None:
        (folder / "split.csv").write_text("image,content_sha256,split\n" + split)
    return evaluate_predictions(night, labels(), model=str(folder)).measures


@pytest.mark.parametrize(
    ("split", "expected", "first"),
    [
        ("x,m1,train\nm2,x,train\nn2,n2,test\n", (1, 1, 2), "ATTENTION: 2 of these 4 images"),
        ("x,m1,test\nm,x,train\n", (0, 0, 0), "Model "),
    ],
)  # fmt: skip
def test_images_of_the_training_are_told_first(bundled, labels, tmp_path, split, expected, first):
    measures = with_split(bundled, labels, tmp_path, split)
    assert tuple(measures["trained_on"].values()) == expected
    text = evaluation_text(measures)
    assert text.startswith(first)
    assert ("none of the judged images" in text) is not any(expected)


@pytest.mark.parametrize("has_model", [True, False])
def test_training_images_that_nobody_knows_are_told_so(night, bundled, labels, tmp_path, has_model):
    if has_model:
        measures = with_split(bundled, labels, tmp_path, None)
    else:
        measures = evaluate_predictions(night, labels()).measures
    assert measures["trained_on"] is None
    assert "Trained on   not known" in evaluation_text(measures)


def test_of_bundled_weights_the_training_is_known_without_model(bundled, labels):
    found = evaluate_predictions(bundled, labels()).measures["trained_on"]
    assert found == {"by_digest": 0, "by_name": 0, "images": 0}


@pytest.mark.parametrize(
    ("key", "written"), [("path", "deep/{}.jpg"), ("path", "deep\\{}.jpg"), ("image", "{}.png")]
)
def test_paths_and_names_with_extension_tie_labels_too(night, labels, key, written):
    table = {key: [written.format(name) for name in LABELS], "label": list(LABELS.values())}
    found = evaluate_predictions(night, labels(table)).measures
    assert (found["matched_by"], found["counts"]["labels"]["judged"]) == (key, 4)
    assert found["melanoma"]["melanoma_auc"] == 0.75


def test_a_name_with_extension_that_two_images_bear_is_not_judged(tmp_path, labels):
    twice = row("m1", 0.9, path="other/m1.png", image_id="b", content_sha256="b")
    found = [twice, *(row(name, score) for name, score in SCORES.items())]
    reports = write_night(tmp_path / "twice", found)
    table = {"image": [f"{name}.jpg" for name in LABELS], "label": list(LABELS.values())}
    counts = evaluate_predictions(reports, labels(table)).measures["counts"]["labels"]
    assert (counts["ambiguous"], counts["judged"]) == (1, 3)


def test_a_night_of_two_patients_with_one_tracking_id_has_two_lesions(tmp_path, labels):
    who = {"m1": "P", "m2": "P", "n1": "Q", "n2": "Q"}
    found = [
        row(name, score, lesion_id="left arm", patient_pseudonym=who[name])
        for name, score in SCORES.items()
    ]
    night = write_night(tmp_path / "reports", found)
    measures = evaluate_predictions(night, labels()).measures
    assert measures["by_patient"]["units"] == measures["by_lesion"]["units"] == 2
    assert measures["by_lesion"]["melanomas"] == 1
    assert measures["by_lesion"]["melanoma_auc"] == 1.0  # 0.9 and 0.6 are the highest of each


@pytest.mark.parametrize("more", [[], ["--by", "dx_type"], ["--by", "modality"]])
def test_ham10000s_own_heads_name_files_by_image_id(night, labels, capsys, more):
    """No prediction has such an image_id, so the names are those of files; also with --by."""
    path = labels({"lesion_id": ["H1", "H1", "H2", "H3"], "image_id": list(LABELS),
                   "dx": ["mel", "mel", "nv", "nv"], "dx_type": ["histo"] * 4, "age": ["50.0"] * 4,
                   "sex": ["male"] * 4, "localization": ["back"] * 4})  # fmt: skip
    words = ["evaluate", str(night), "--labels", str(path), "--json", "-", *more]
    assert main(words) == ExitCode.COMPLETE
    found = json.loads(capsys.readouterr().out)
    assert found["counts"]["labels"]["judged"] == 4 and found["by_lesion"]["units"] == 3
    assert found["counts"]["predictions"]["rows"] == 4
