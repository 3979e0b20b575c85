"""Identifiers are the same for the same results, whatever their order, and others for others."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from batch.export.contract import contract_of, stable_uid
from batch.export.dicom_sr import Scored, document_uid
from batch.export.export_log import ExportLog

SCORED = st.builds(
    Scored,
    st.from_regex(r"1\.2(\.[1-9][0-9]{0,5}){1,4}", fullmatch=True),
    st.none() | st.integers(1, 64),
    st.floats(0, 1),
    st.sampled_from(["a" * 32, "b" * 32]),
)
ROW = {
    "model_id": "m", "model_version": "1", "model_sha256": "0" * 64, "preprocessing_version": "4",
    "operating_point": "at", "threshold": 0.5,
}  # fmt: skip
MODEL = {
    "model_sha256": "0" * 64,
    "operating_point": {
        "name": "at", "threshold": 0.5, "sensitivity": 0.9, "specificity": 0.6,
        "validation_set": "set",
    },
}  # fmt: skip


@given(st.lists(SCORED, min_size=1, max_size=6, unique=True), st.randoms())
def test_a_documents_uid_does_not_depend_on_order(scores, random):
    shuffled = random.sample(scores, len(scores))
    uid = document_uid("1.2.3", scores)
    assert document_uid("1.2.3", shuffled) == uid
    assert UID(uid).is_valid
    assert len(uid) <= 64


@given(
    st.lists(SCORED, min_size=1, max_size=4, unique=True),
    st.lists(SCORED, min_size=1, max_size=4, unique=True),
)
def test_other_results_have_another_uid(one, other):
    def content(scores):
        return sorted((s.instance_uid, s.frame_number or 0, repr(s.score), s.contract_digest)
                      for s in scores)  # fmt: skip

    is_same = document_uid("1.2.3", one) == document_uid("1.2.3", other)
    assert is_same == (content(one) == content(other))
    assert document_uid("1.2.4", one) != document_uid("1.2.3", one)
    assert document_uid("1.2.3", one, "2.25.1") != document_uid("1.2.3", one)


def test_parts_are_kept_apart():
    assert stable_uid("ab", "c") != stable_uid("a", "bc")


@pytest.mark.parametrize(
    ("changed", "has_figures"),
    [
        ({}, True),
        ({"model_sha256": "1" * 64}, False),  # figures of another model are not its own
        ({"operating_point": "other"}, False),
        ({"threshold": 0.6}, False),
    ],
)
def test_figures_belong_to_one_model_and_operating_point(changed, has_figures):
    contract = contract_of({**ROW, **changed}, {"model": MODEL})
    assert (contract.sensitivity == 0.9) == has_figures
    assert any("sensitivity" in word for word in contract.parameters()) == has_figures
    assert (contract.digest == contract_of(ROW, None).digest) == (not changed)


@pytest.mark.parametrize("run", [None, {}, {"model": None}, {"model": {"operating_point": []}}])
def test_a_damaged_run_json_costs_only_the_figures(run):
    assert contract_of(ROW, run).validation_set is None


@pytest.mark.parametrize(
    "damage", [b'{"key": "a", "docu', b"\xff\xfe\n", b"[]\n", b'{"no": "key"}\n', b"null\n"]
)
def test_a_log_with_a_damaged_line_keeps_the_others(damage, tmp_path):
    log = ExportLog(tmp_path, "sr-folder", "somewhere")
    log.add("a", document="1")
    log.path.write_bytes(log.path.read_bytes() + damage)
    again = ExportLog(tmp_path, "sr-folder", "somewhere")
    again.add("b", document="2")
    found = ExportLog(tmp_path, "sr-folder", "somewhere")
    assert found.latest("a") == {"key": "a", "document": "1"}
    assert found.latest("b") == {"key": "b", "document": "2"}
    assert ExportLog(tmp_path, "sr-folder", "elsewhere").latest("a") is None
    assert json.loads(log.path.read_bytes().splitlines()[0]) == {"receiver": "somewhere"}
