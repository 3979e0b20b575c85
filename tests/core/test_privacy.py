"""What of a patient may leave a file, and how the key of the pseudonyms is kept."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from batch.core.errors import UsageError
from batch.core.privacy import IdentifierPolicy, Identifiers, read_key

KEY = bytes(range(1, 33))
ATTRIBUTES = {
    "study_instance_uid": "1.2.1",
    "series_instance_uid": "1.2.2",
    "sop_instance_uid": "1.2.3",
    "sop_class_uid": "1.2.4",
    "modality": "DMS",
    "acquisition_datetime": "2026-01-02",
    "tracking_uid": "1.2.5",
    "tracking_id": "lesion of Jane Doe",
    "patient_id": "P-1",
    "issuer_of_patient_id": "Clinic",
    "accession_number": "A-1",
}
SAID_BY_EVERY_LEVEL = {
    "sop_class_uid": "1.2.4", "modality": "DMS", "acquisition_datetime": "2026-01-02",
}  # fmt: skip
UIDS = {
    "study_instance_uid": "1.2.1", "series_instance_uid": "1.2.2", "sop_instance_uid": "1.2.3",
    "lesion_id": "1.2.5",
}  # fmt: skip
IDENTITY = {"patient_id": "P-1", "issuer_of_patient_id": "Clinic", "accession_number": "A-1"}


def blank(values):
    return dict.fromkeys(values)


def pseudonym(patient_id="P-1", issuer="Clinic", key=KEY):
    attributes = ATTRIBUTES | {"patient_id": patient_id, "issuer_of_patient_id": issuer}
    return IdentifierPolicy(key=key).apply(attributes)["patient_pseudonym"]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (Identifiers.NONE, blank(UIDS) | blank(IDENTITY)),
        (Identifiers.UIDS, UIDS | blank(IDENTITY)),
        (Identifiers.FULL, UIDS | IDENTITY),
    ],
)
@pytest.mark.parametrize("key", [None, KEY], ids=["without key", "with key"])
def test_each_level_lets_through_what_it_says(level, expected, key):
    allowed = IdentifierPolicy(level, key).apply(ATTRIBUTES)
    expected = SAID_BY_EVERY_LEVEL | expected | {"patient_pseudonym": pseudonym(key=key)}
    assert allowed == expected


def test_the_default_level_is_uids_without_pseudonym():
    assert IdentifierPolicy() == IdentifierPolicy(Identifiers.UIDS, None)


@pytest.mark.parametrize(
    ("level", "uid", "lesion_id"),
    [
        (Identifiers.NONE, "1.2.5", None),
        (Identifiers.NONE, None, None),
        (Identifiers.UIDS, "1.2.5", "1.2.5"),
        (Identifiers.UIDS, None, None),  # what people call a lesion may name its patient
        (Identifiers.FULL, "1.2.5", "1.2.5"),
        (Identifiers.FULL, None, "lesion of Jane Doe"),
    ],
)
def test_a_lesion_is_named_by_its_uid_and_by_its_text_only_in_full(level, uid, lesion_id):
    allowed = IdentifierPolicy(level).apply(ATTRIBUTES | {"tracking_uid": uid})
    assert allowed["lesion_id"] == lesion_id


@pytest.mark.parametrize("level", Identifiers)
def test_an_object_that_says_nothing_gets_nothing(level):
    allowed = IdentifierPolicy(level, KEY).apply(blank(ATTRIBUTES))
    assert set(allowed.values()) == {None}


@pytest.mark.parametrize("level", Identifiers)
def test_the_object_s_attributes_stay_as_they_are(level):
    given = dict(ATTRIBUTES)
    IdentifierPolicy(level, KEY).apply(given)
    assert given == ATTRIBUTES


def test_the_same_patient_has_the_same_pseudonym():
    assert pseudonym() == pseudonym()


@pytest.mark.parametrize(
    "other",
    [
        {"patient_id": "P-2"},
        {"patient_id": "p-1"},
        {"issuer": "Other clinic"},
        {"issuer": None},
        {"key": KEY[::-1]},
        {"key": KEY + b"\x01"},
    ],
)
def test_another_patient_issuer_or_key_gives_another_pseudonym(other):
    assert pseudonym() != pseudonym(**other)


def test_issuer_and_patient_id_do_not_run_into_each_other():
    values = {
        pseudonym("c", "ab"),
        pseudonym("bc", "a"),
        pseudonym("abc", ""),
        pseudonym("", "abc"),
    }
    assert len(values) == 4


def test_no_issuer_is_an_empty_issuer():
    assert pseudonym(issuer=None) == pseudonym(issuer="")


def test_a_pseudonym_is_an_hmac_of_lengths_and_values():
    message = b"\0\0\0\x09PatientID" + b"\0\0\0\x06Clinic" + b"\0\0\0\x03P-1"
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in KEY.ljust(64, b"\0")) + message).digest()
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in KEY.ljust(64, b"\0")) + inner)
    assert pseudonym() == outer.hexdigest()
    assert pseudonym() == hmac.new(KEY, message, "sha256").hexdigest()


def test_a_patient_id_beyond_ascii_counts_in_bytes():
    message = b"\0\0\0\x09PatientID" + b"\0\0\0\x00" + b"\0\0\0\x03" + "Ö1".encode()
    assert pseudonym("Ö1", None) == hmac.new(KEY, message, "sha256").hexdigest()


@pytest.mark.parametrize(("patient_id", "key"), [(None, KEY), ("P-1", None), (None, None)])
def test_without_patient_or_key_there_is_no_pseudonym(patient_id, key):
    assert pseudonym(patient_id, key=key) is None


def test_the_key_does_not_show_itself():
    shown = repr(IdentifierPolicy(Identifiers.FULL, b"secret " * 5))
    assert "secret" not in shown
    assert "key" not in shown


def test_a_key_has_a_stable_name_that_is_no_part_of_it():
    name = IdentifierPolicy(key=KEY).key_id
    assert name == IdentifierPolicy(Identifiers.NONE, KEY).key_id
    assert name == hmac.new(KEY, b"melanoma-batch key id", "sha256").hexdigest()[:16]
    assert name not in KEY.hex()
    assert name != hashlib.sha256(KEY).hexdigest()[:16]
    assert name != IdentifierPolicy(key=KEY[::-1]).key_id
    assert IdentifierPolicy().key_id is None


def key_file(folder, data=KEY, mode=0o600):
    path = folder / "key"
    path.write_bytes(data)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_key_of_its_owner_alone_is_read(tmp_path, mode):
    assert read_key(key_file(tmp_path, mode=mode)) == KEY


@pytest.mark.parametrize("length", [32, 33, 4096])
def test_a_key_of_32_bytes_or_more_is_read(tmp_path, length):
    assert read_key(key_file(tmp_path, b"k" * length)) == b"k" * length


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644, 0o666])
def test_a_key_that_others_may_touch_is_refused(tmp_path, mode):
    path = key_file(tmp_path, mode=mode)
    with pytest.raises(UsageError) as refusal:
        read_key(path)
    assert str(refusal.value) == (
        f"--patient-key-file: {path} has mode {mode:o}; allowed: no right for group and others. "
        f"Run: chmod 600 {path}"
    )


@pytest.mark.parametrize("length", [0, 1, 31])
def test_a_short_key_is_refused(tmp_path, length):
    path = key_file(tmp_path, KEY[:length])
    with pytest.raises(UsageError) as refusal:
        read_key(path)
    assert f"--patient-key-file: {length} bytes in {path}; needed: 32 or more" in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing", "No such file or directory"), (".", "Is a directory")],
)
def test_a_key_that_cannot_be_read_is_refused(tmp_path, name, message):
    with pytest.raises(UsageError) as refusal:
        read_key(tmp_path / name)
    assert str(refusal.value) == (
        f"--patient-key-file: cannot read {tmp_path / name} ({message}). "
        "Give a file with 32 bytes or more that this account may read."
    )
