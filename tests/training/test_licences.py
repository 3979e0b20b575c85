"""Licences of weights: no wider than those of the images that they were learned from."""

from __future__ import annotations

import dataclasses
import json

import pandas as pd
import pytest

from batch.core.errors import ArtifactRefused
from batch.model.artifact import bundled_model_ids, find_artifact
from batch.model.manifest import (
    Licence,
    contract_digest,
    read_manifest,
    scoring_fingerprint,
    write_manifest,
)
from batch.training.descriptions import bundled_licences
from batch.training.licences import (
    LICENCES,
    NOT_STATED,
    as_stated,
    licence_of,
    licence_section,
    not_stated,
    of_sources,
)
from tests.support.archives import REPOSITORY

MANIFEST = dataclasses.replace(
    read_manifest(REPOSITORY / "model_artifacts" / "isic9-plain"), licence=None
)
NON_COMMERCIAL = Licence("CC-BY-NC-4.0", True, {"ham10000": LICENCES["ham10000"][0]})


@pytest.mark.parametrize(
    ("sources", "weights", "non_commercial"),
    [
        (["isic2017"], "Apache-2.0", False),
        (["isic9"], "CC-BY-NC-4.0", True),
        (["ham10000"], "CC-BY-NC-4.0", True),
        (["isic2017", "ham10000"], "CC-BY-NC-4.0", True),
        (["kaggle_melanoma"], "CC-BY-NC-4.0", True),  # the rest, not stated, allows no more
        (["isic2017", "a new one"], "not stated", None),
        (["ham10000", "a new one"], "CC-BY-NC-4.0", True),
    ],
)
def test_the_narrowest_licence_of_the_sources_counts(sources, weights, non_commercial):
    found = of_sources(sources)
    assert (found.weights, found.non_commercial) == (weights, non_commercial)
    assert list(found.training_data) == sorted(sources)


@pytest.mark.parametrize(
    ("words", "told", "weights", "non_commercial"),
    [
        ("for teaching at this hospital only", False, "not stated", None),
        ("for teaching at this hospital only", True, "CC-BY-NC-4.0", True),
        ("CC0", True, "CC-BY-NC-4.0", True),  # the description has the word
        ("CC0", False, "Apache-2.0", False),
        ("CC-0 1.0", None, "Apache-2.0", False),
        ("CC BY 4.0", False, "CC-BY-4.0", False),
        ("CC-BY-ND 4.0", False, "not stated", None),
        ("CC BY-SA 4.0", False, "not stated", None),
        ("CC BY-NC 4.0", False, "CC-BY-NC-4.0", True),
        ("research, non-commercial", None, "CC-BY-NC-4.0", True),
        ("ours", False, "not stated", None),
        ("part CC0, rest not stated", False, "not stated", None),
        ("CC0, CC BY-SA", False, "not stated", None),
    ],
)
def test_a_description_of_ones_own_is_taken_at_the_word(words, told, weights, non_commercial):
    report = {"clinic": {"licence": words, "non_commercial": told}}
    found = of_sources(["clinic"], report)
    assert found == Licence(weights, non_commercial, {"clinic": words})
    beside = of_sources(["clinic", "isic2017"], report)
    assert (beside.weights, beside.non_commercial) == (weights, non_commercial)


@pytest.mark.parametrize("source", LICENCES)
def test_the_table_tells_of_every_source_what_may_be_done(source):
    assert of_sources([source]).non_commercial is (source != "isic2017")


@pytest.mark.parametrize(
    ("words", "weights", "non_commercial"),
    [
        (None, "not stated", None),
        ("  ", "not stated", None),
        ("MIT", "MIT", None),
        ("CC BY-NC 4.0", "CC BY-NC 4.0", True),
        ("Non-commercial research only", "Non-commercial research only", True),
        ("Licence of SYNC Ltd", "Licence of SYNC Ltd", None),
    ],
)
def test_a_models_owner_is_taken_at_the_word(words, weights, non_commercial):
    assert as_stated(words) == Licence(weights, non_commercial, {})


@pytest.mark.parametrize("licence", [None, NON_COMMERCIAL, Licence("not stated", None, {})])
def test_a_manifest_gives_its_licence_back(tmp_path, licence):
    write_manifest(dataclasses.replace(MANIFEST, licence=licence), tmp_path)
    assert read_manifest(tmp_path).licence == licence


def test_a_manifest_older_than_the_field_is_read(tmp_path):
    write_manifest(MANIFEST, tmp_path)
    facts = json.loads((tmp_path / "manifest.json").read_text())
    del facts["licence"]
    (tmp_path / "manifest.json").write_text(json.dumps(facts))
    assert read_manifest(tmp_path).licence is None


@pytest.mark.parametrize(
    ("licence", "field"),
    [
        ("MIT", "licence"),
        ({"weights": "MIT"}, "licence.non_commercial"),
        ({"weights": "MIT", "non_commercial": "no", "training_data": {}}, "licence.non_commercial"),
        ({"weights": "MIT", "non_commercial": None, "training_data": {}, "by": "x"}, "licence.by"),
    ],
)
def test_a_licence_of_another_form_is_refused(tmp_path, licence, field):
    write_manifest(MANIFEST, tmp_path)
    facts = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**facts, "licence": licence}))
    with pytest.raises(ArtifactRefused, match=field):
        read_manifest(tmp_path)


def test_a_licence_decides_no_score_and_breaks_no_seal():
    changed = dataclasses.replace(MANIFEST, licence=NON_COMMERCIAL)
    assert contract_digest(changed) == contract_digest(MANIFEST)
    assert scoring_fingerprint(changed) == scoring_fingerprint(MANIFEST)


def test_where_no_licence_was_written_the_sources_tell():
    assert licence_of(MANIFEST) == of_sources(["isic9"])
    stated = dataclasses.replace(MANIFEST, licence=NON_COMMERCIAL)
    assert licence_of(stated) == NON_COMMERCIAL
    assert licence_of(dataclasses.replace(MANIFEST, provenance={})) is None


def test_the_card_names_terms_and_sources():
    text = "\n".join(licence_section(NON_COMMERCIAL))
    assert "for **non-commercial** use only: CC-BY-NC-4.0." in text
    assert f"- ham10000: {LICENCES['ham10000'][0]}" in text
    assert "not stated" in "\n".join(licence_section(None))


def test_every_source_that_lite2_learns_from_is_named_with_its_words():
    found = of_sources(bundled_licences())
    assert set(found.training_data) == {
        "acral", "bcn_84px", "ham10000", "isic2017", "isic9", "kaggle_melanoma", "milk10k"
    }  # fmt: skip
    assert NOT_STATED not in found.training_data.values()
    assert (found.weights, found.non_commercial) == ("CC-BY-NC-4.0", True)


ROWS = pd.DataFrame(
    [("kaggle_melanoma", None)] * 3 + [("kaggle_melanoma", " ")] + [("kaggle_melanoma", "CC-BY-NC")]
    + [("ham10000", None)] * 4 + [("nobody knows", "")],
    columns=["source", "licence"],
)  # fmt: skip


def test_images_without_a_licence_are_counted_where_their_source_does_not_say_it_of_all():
    assert not_stated(ROWS, {}) == {
        "kaggle_melanoma": {"images": 4, "share": 0.4},
        "nobody knows": {"images": 1, "share": 0.1},
    }
    told = {"nobody knows": {"licence": "CC0"}}
    assert list(not_stated(ROWS, told)) == ["kaggle_melanoma"]
    without = not_stated(ROWS.drop(columns="licence"), told)
    assert without == {"kaggle_melanoma": {"images": 5, "share": 0.5}}
    assert not_stated(ROWS[ROWS["source"] == "ham10000"], {}) == {}


def test_the_card_lists_what_is_not_stated_by_share():
    lines = licence_section(NON_COMMERCIAL, not_stated(ROWS, {}))
    assert "For 5 of the images that trained (50.0 %) no licence is stated:" in lines
    at = lines.index("- kaggle_melanoma: 4 images, 40.0 % of all that trained")
    assert lines[at + 1] == "- nobody knows: 1 images, 10.0 % of all that trained"
    assert licence_section(NON_COMMERCIAL, {}) == licence_section(NON_COMMERCIAL)


@pytest.mark.parametrize("model_id", bundled_model_ids())
def test_the_bundled_models_state_the_licence_of_the_sources_that_they_learned_from(model_id):
    artifact = find_artifact(model_id)
    split = pd.read_csv(artifact.folder / "split.csv")
    learned_from = split.loc[split["split"].isin(["train", "validation"]), "source"]
    assert artifact.manifest.licence == of_sources(learned_from.unique())
    assert artifact.manifest.licence.non_commercial is True
    assert "non-commercial" in (artifact.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
