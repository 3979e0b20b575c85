"""Exports SR documents, one a study, and accounts for every selected image."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batch.archive.local import ArchiveStorage
from batch.export.accounts import Account, State
from batch.export.dicom_sr import Scored, Version, document_uid, result_document
from batch.export.export_log import ExportLog
from batch.export.receivers import NotTaken, Receiver, ReceiverLost
from batch.export.selection import ExportImage, Selection
from batch.export.source import SourceImage, read_source, unreadable

MOST_FAILURES_IN_A_ROW = 5
"""So many documents in a row that a receiver does not take end the export to it."""


def export_documents(
    selection: Selection,
    receiver: Receiver,
    log: ExportLog,
    read: Callable[[ExportImage], SourceImage],
) -> Account:
    """Hand the documents of a selection over to one receiver.

    Args:
        read: reads an image again; raises `CannotExport`.

    Raises:
        LedgerImbalance: an image ended in no state or in two.
    """
    images = selection.images
    account = Account.of(selection, receiver.name)
    account.settle(selection.left_archive, State.LEFT_ARCHIVE)
    account.settle(selection.without_score, State.WITHOUT_SCORE)
    account.settle((n for n, image in images.items() if not image.is_dicom), State.NOT_DICOM)
    sources: dict[str, SourceImage] = {}
    studies = _by_study(images, sources, read, account)
    _Export(receiver, log, read, sources, account, selection.run_id).all(studies)
    account.check(selection)
    return account


def exported_images(log: ExportLog) -> set[str]:
    """Ids of the images in the newest documents that were handed over."""
    return {name for line in log.all_latest().values() for name in line.get("images", ())}


def archive_reader(
    archive: ArchiveStorage, selection: Selection
) -> Callable[[ExportImage], SourceImage]:
    """A function that reads an image again, each file once for all receivers."""
    kept: dict[str, SourceImage] = {}

    def read(image: ExportImage) -> SourceImage:
        if image.path not in kept:
            kept[image.path] = read_source(archive, image, selection.limits)
        return kept[image.path]

    return read


def _by_study(
    images: Mapping[str, ExportImage],
    sources: dict[str, SourceImage],
    read: Callable[[ExportImage], SourceImage],
    account: Account,
) -> dict[str, list[ExportImage]]:
    """The DICOM images by study. Where the night holds no UIDs, the file is read for them."""
    studies: dict[str, list[ExportImage]] = defaultdict(list)
    for image in images.values():
        if not image.is_dicom:
            continue
        study = image.study_instance_uid if image.sop_instance_uid else None
        if study is None:
            source = _read(image, read, account)
            if source is None:
                continue
            sources[image.image_id], study = source, source.study_uid
        studies[study].append(image)
    return dict(sorted(studies.items()))


def _read(
    image: ExportImage, read: Callable[[ExportImage], SourceImage], account: Account
) -> SourceImage | None:
    try:
        return read(image)
    except Exception as failure:  # one bad file must not end the export
        account.settle([image.image_id], State.FAILED, unreadable(failure))
        return None


@dataclass
class _Export:
    receiver: Receiver
    log: ExportLog
    read: Callable[[ExportImage], SourceImage]
    sources: dict[str, SourceImage]
    account: Account
    run_id: str
    lost: str = ""
    failures: int = 0

    def all(self, studies: Mapping[str, Sequence[ExportImage]]) -> None:
        """Export every study."""
        for study, images in studies.items():
            self._study(study, images)
            for image in images:
                self.sources.pop(image.image_id, None)

    def _study(self, study: str, images: Sequence[ExportImage]) -> None:
        if self._is_there(study, images):
            self._count_unchanged(images)
            return
        if self.lost:
            self._fail(images, self.lost)
            return
        pairs = []
        for image in images:
            source = self.sources.get(image.image_id) or _read(image, self.read, self.account)
            if source is not None:
                pairs.append((image, source))
        if not pairs:
            return
        readable = [image for image, _ in pairs]
        if len(pairs) < len(images) and self._is_there(study, readable):
            self._count_unchanged(readable)
            return
        version = self._version(study, readable)
        try:
            document = result_document(pairs, version)
        except Exception as failure:  # what highdicom refuses in one image's header
            self._fail(readable, f"no document could be made: {type(failure).__name__}")
            return
        self._store(study, document, version, readable)

    def _store(
        self, study: str, document: Any, version: Version, images: Sequence[ExportImage]
    ) -> None:
        names = [image.image_id for image in images]
        try:
            self.receiver.store(document)
        except NotTaken as failure:
            self.failures += 1
            self._fail(images, str(failure))
            if isinstance(failure, ReceiverLost) or self.failures == MOST_FAILURES_IN_A_ROW:
                self.lost = f"not tried, since before it: {failure}"
            return
        self.failures = 0
        self.log.add(
            _key(study), document=version.uid, version=version.number, images=sorted(names),
            run_id=self.run_id,
        )  # fmt: skip
        self.account.settle(names, State.EXPORTED)
        self.account.written += 1
        self.account.amended += version.predecessor is not None

    def _is_there(self, study: str, images: Sequence[ExportImage]) -> bool:
        """Whether the last document of the study says just this."""
        latest = self.log.latest(_key(study))
        if latest is None:
            return False
        scores = self._scores(images)
        return latest["document"] in self._possible_uids(study, scores) and self.receiver.has(
            latest["document"], study
        )

    def _documents(self, study: str) -> list[str]:
        """UIDs of the documents of a study that were handed over, oldest first."""
        return list(dict.fromkeys(line["document"] for line in self.log.earlier(_key(study))))

    def _possible_uids(self, study: str, scores: Sequence[Scored]) -> set[str]:
        earlier = self._documents(study)
        before = earlier[-2] if len(earlier) > 1 else None
        return {document_uid(study, scores), document_uid(study, scores, before)}

    def _version(self, study: str, images: Sequence[ExportImage]) -> Version:
        earlier = self._documents(study)
        scores = self._scores(images)
        uid = document_uid(study, scores)
        if earlier and earlier[-1] in self._possible_uids(study, scores):
            # it was handed over and is gone: the same again
            return Version(earlier[-1], len(earlier), earlier[-2] if len(earlier) > 1 else None)
        predecessor = earlier[-1] if earlier else None
        if uid in earlier:  # the scores went back to what they were
            uid = document_uid(study, scores, predecessor)
        return Version(uid, len(earlier) + 1, predecessor)

    def _scores(self, images: Sequence[ExportImage]) -> list[Scored]:
        scores = []
        for image in images:
            source = self.sources.get(image.image_id)
            uid = image.sop_instance_uid or (source.instance_uid if source else "")
            digest = image.contract.digest
            scores.append(Scored(uid, image.frame_number, image.score, digest))
        return scores

    def _count_unchanged(self, images: Sequence[ExportImage]) -> None:
        self.account.settle([image.image_id for image in images], State.UNCHANGED)
        self.account.unchanged += 1

    def _fail(self, images: Sequence[ExportImage], reason: str) -> None:
        self.account.settle([image.image_id for image in images], State.FAILED, reason)


def _key(study: str) -> str:
    """Names a study in the log without its UID, which a night may not be allowed to hold."""
    return hashlib.sha256(study.encode()).hexdigest()
