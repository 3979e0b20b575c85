"""The domain reference: distance, head, flags, the file, and that it changes no score."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest

from batch.core.errors import ArtifactRefused, UsageError
from batch.core.records import Prediction
from batch.demo.lesions import lesion_image
from batch.model.artifact import find_artifact, open_domain, verify_artifact
from batch.model.classifier import feature_layers
from batch.model.domain import (
    DOMAIN_FILE,
    GRID,
    NOT_DERMOSCOPY,
    OUTSIDE_DOMAIN,
    Domain,
    DomainReference,
    read_reference,
    written,
)
from batch.model.manifest import scoring_fingerprint
from batch.model.scoring import conclude
from batch.training.domain import store
from batch.training.domain_reference import FeatureSet, fit_reference
from tests.support.archives import OUTPUT, model_input

PLAIN = DomainReference(
    mean=np.zeros(2, np.float32),
    projection=np.eye(2, dtype=np.float32),
    stored=np.zeros((1, 2), np.float32),
    neighbours=1,
    distances=np.linspace(0, 2, GRID).astype(np.float32),
    farthest=1.9,
    head=np.array([1.0, 0.0], np.float32),
    bias=0.0,
    least_score=0.25,
)


@pytest.mark.parametrize(
    ("features", "percentile", "flags"),
    [
        ((0, 0), 0.0, ()),
        ((0, 1), 50.0, ()),
        ((0, 1.89), 94.5, ()),
        ((0, 1.91), 95.5, (OUTSIDE_DOMAIN,)),
        ((0, 9), 100.0, (OUTSIDE_DOMAIN,)),
        ((-1.0, 0), 50.0, ()),
        ((-1.2, 0), 60.0, (NOT_DERMOSCOPY,)),
        ((-9, 0), 100.0, (NOT_DERMOSCOPY,)),
        ((np.nan, 0), 100.0, (NOT_DERMOSCOPY,)),
        ((np.inf, 0), 100.0, (NOT_DERMOSCOPY,)),
    ],
)
def test_an_image_is_as_far_as_its_features(features, percentile, flags):
    (found,) = PLAIN.measure(np.array([features], np.float32))
    assert found.percentile == pytest.approx(percentile, abs=0.1)
    assert found.flags == flags


def test_no_image_has_no_domain():
    assert PLAIN.measure(np.empty((0, 2), np.float32)) == []


def test_the_file_gives_back_what_was_written():
    found = read_reference(written(PLAIN))
    for field in dataclasses.fields(PLAIN):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(PLAIN, field.name))
    assert written(found) == written(PLAIN)


@pytest.mark.parametrize(
    "change",
    [
        {"projection": np.eye(3, dtype=np.float32)},
        {"stored": np.zeros((1, 3), np.float32)},
        {"stored": np.zeros((0, 2), np.float32)},
        {"distances": np.zeros(3, np.float32)},
        {"distances": np.linspace(2, 0, GRID).astype(np.float32)},
        {"head": np.zeros(3, np.float32)},
        {"mean": np.array([0, np.nan], np.float32)},
        {"farthest": np.inf},
        {"neighbours": 2},
        {"neighbours": 0},
        {"least_score": 1.5},
    ],
    ids=str,
)
def test_a_file_whose_parts_do_not_fit_is_refused(change):
    with pytest.raises(ArtifactRefused, match=DOMAIN_FILE):
        read_reference(written(dataclasses.replace(PLAIN, **change)))


def _pickled() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, mean=np.array([{"code": 1}], object))
    return buffer.getvalue()


@pytest.mark.parametrize("data", [b"", b"no archive", b"0" * (1 << 20) + b"0", _pickled()])
def test_another_file_is_refused(data):
    with pytest.raises(ArtifactRefused, match=DOMAIN_FILE):
        read_reference(data)


def test_flags_join_those_of_the_picture_and_no_score_changes():
    item, scores = model_input(), np.array([0.9, 0.1])
    plain = conclude(item, scores, OUTPUT)
    flagged = conclude(item, scores, OUTPUT, Domain(99.9, 0.01, (NOT_DERMOSCOPY,)))
    sound = conclude(item, scores, OUTPUT, Domain(12.0, 0.99))
    assert isinstance(plain, Prediction)
    assert isinstance(flagged, Prediction)
    assert isinstance(sound, Prediction)
    assert plain.domain_percentile is None
    assert plain.record.is_reliable is None
    assert (flagged.record.flags, flagged.record.is_reliable) == ((NOT_DERMOSCOPY,), False)
    assert (flagged.domain_percentile, flagged.dermoscopy_score) == (99.9, 0.01)
    assert flagged.melanoma_score == sound.melanoma_score == plain.melanoma_score
    assert (sound.record.flags, sound.record.is_reliable) == ((), None)


def _sets(seed: int = 0) -> tuple[list[FeatureSet], list[FeatureSet]]:
    """Two sources of dermoscopy and one of other pictures, 8 features."""
    draw = np.random.default_rng(seed)

    def of(name: str, count: int, shift: float) -> FeatureSet:
        values = draw.normal(size=(count, 8))
        values[:, 0] += shift
        return FeatureSet(name, values.astype(np.float32), [f"{name}{n}" for n in range(count)])

    return [of("a", 400, 0.0), of("b", 100, 1.0)], [of("close-ups", 200, 8.0)]


def test_a_fitted_reference_tells_other_pictures_and_leaves_sound_ones():
    dermoscopy, others = _sets()
    reference = fit_reference(dermoscopy, others)
    fresh_dermoscopy, fresh_others = _sets(1)
    flagged = [bool(d.flags) for part in fresh_dermoscopy for d in reference.measure(part.features)]
    caught = [NOT_DERMOSCOPY in d.flags for d in reference.measure(fresh_others[0].features)]
    assert np.mean(flagged) <= 0.05
    assert np.mean(caught) >= 0.95
    far = np.full((1, 8), 0.0, np.float32)
    far[0, 5] = 40.0
    assert reference.measure(far)[0].percentile == 100.0
    assert reference.measure(far)[0].flags


def test_without_other_pictures_nothing_is_called_no_dermoscopy():
    dermoscopy, others = _sets()
    reference = fit_reference(dermoscopy)
    assert all(NOT_DERMOSCOPY not in d.flags for d in reference.measure(others[0].features))
    assert np.mean([bool(d.flags) for d in reference.measure(others[0].features)]) >= 0.9


def test_a_handful_of_pictures_is_refused():
    few = FeatureSet("a", np.zeros((59, 8), np.float32), [str(n) for n in range(59)])
    with pytest.raises(UsageError, match="found 59 pictures"):
        fit_reference([few])


def _with_reference(folder, width=None):
    """The artifact in the folder gets a reference of random features."""
    classifier = verify_artifact(find_artifact(str(folder)))
    layers = feature_layers(classifier.model)
    width = width or sum(2 * classifier.model.get_layer(name).output.shape[-1] for name in layers)
    values = np.random.default_rng(0).normal(size=(120, width)).astype(np.float32)
    reference = fit_reference([FeatureSet("a", values, [str(n) for n in range(120)])])
    return reference, layers


def test_an_artifact_with_a_reference_gives_the_same_scores(artifact_copy):
    pixels = np.stack([lesion_image(seed, 180, 180) for seed in range(3)])
    before = find_artifact(str(artifact_copy))
    scores = verify_artifact(before).scores(pixels)
    store(artifact_copy, *_with_reference(artifact_copy), {"dermoscopy": {"a": 120}})
    after = find_artifact(str(artifact_copy))
    classifier = verify_artifact(after)
    again, domains = classifier.scores_and_domain(pixels)
    np.testing.assert_array_equal(scores, again)
    assert domains is not None
    assert len(domains) == 3
    assert scoring_fingerprint(before.manifest) != scoring_fingerprint(after.manifest)
    assert after.manifest.model_files == ("model.keras", DOMAIN_FILE)
    told = after.manifest.provenance["reference"]["scoring_fingerprint"]
    assert told == scoring_fingerprint(after.manifest)  # nights are still compared with it
    assert classifier.scores_and_domain(pixels[:0])[1] == []


def test_an_artifact_without_a_reference_says_so(artifact_copy):
    artifact = find_artifact(str(artifact_copy))
    assert open_domain(artifact.read_file, artifact.manifest) is None
    pixels = np.stack([lesion_image(1, 180, 180)])
    assert verify_artifact(artifact).scores_and_domain(pixels)[1] is None


@pytest.mark.parametrize("harm", ["missing", "another"])
def test_a_reference_that_is_not_the_fitted_one_is_refused(artifact_copy, harm):
    store(artifact_copy, *_with_reference(artifact_copy), {})
    file = artifact_copy / DOMAIN_FILE
    if harm == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(ArtifactRefused, match=r"domain"):
        verify_artifact(find_artifact(str(artifact_copy)))


def test_a_layer_that_the_model_does_not_have_is_refused(artifact_copy):
    reference, _ = _with_reference(artifact_copy)
    with pytest.raises(ArtifactRefused, match="no layer 'nowhere'"):
        store(artifact_copy, reference, ("nowhere",), {})


def test_another_number_of_features_is_refused(artifact_copy):
    reference, layers = _with_reference(artifact_copy, width=7)
    with pytest.raises(ArtifactRefused, match="domain.layers"):
        store(artifact_copy, reference, layers, {})
