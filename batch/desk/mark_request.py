"""What a page asks the desk to save, and whether it may be saved. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from batch.desk.mark_rows import COMMENT_MOST, DIAGNOSIS_MOST, REVIEWER_MOST, Decision
from batch.desk.night import ListedLesion
from batch.review.page.content import DECISIONS
from batch.review.worklist.marks import REOPEN
from batch.review.worklist.status import RISE

ALLOWED = (*DECISIONS, REOPEN)
_MOST_KEY = 4096


class Refused(Exception):
    """A request that cannot be saved. The message is for a person and quotes no value."""


class LesionChanged(Refused):
    """The lesion is another one than the page showed: the person must look again."""


class MarkRequest(BaseModel):
    """The body of a request.

    run_id: of the night that the page shows. known: mark_id of the lesion's newest mark on the
    page, empty for none. mark_id: made by the page for this click. reviewer: who marks, where the
    desk does not know it.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    run_id: Annotated[str, StringConstraints(max_length=80)]
    lesion_key: Annotated[str, StringConstraints(min_length=1, max_length=_MOST_KEY)]
    decision: Annotated[str, StringConstraints(max_length=40)]
    known: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{32})?$")]
    mark_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    reviewer: Annotated[str, StringConstraints(max_length=REVIEWER_MOST)] = ""
    diagnosis: Annotated[str, StringConstraints(max_length=DIAGNOSIS_MOST)] = ""
    comment: Annotated[str, StringConstraints(max_length=COMMENT_MOST)] = ""


def parse_request(body: bytes) -> MarkRequest:
    """A body as a request.

    Raises:
        Refused: says which field is wrong, and what is allowed.
    """
    try:
        asked = MarkRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        known = set(MarkRequest.model_fields)
        name = next((str(part) for part in first["loc"] if part in known), "the body")
        raise Refused(f"{name}: {first['type'].replace('_', ' ')}.") from error
    if asked.decision not in ALLOWED:
        raise Refused(f"decision: not a word of the desk; allowed: {', '.join(ALLOWED)}.")
    return asked


def decide(
    asked: MarkRequest,
    name: str | None,
    shown: Mapping[str, ListedLesion] | None,
    latest: Mapping[str, ListedLesion],
) -> Decision:
    """The mark to save: with the score and the number of images that the page showed.

    Args:
        name: of the person, where the desk knows it; None: the page says it. shown: lesions of the
            night that the page shows, None when it is not known any more. latest: of tonight.

    Raises:
        LesionChanged: the latest night shows another score or other images, or the page is too old.
        Refused: no such lesion, or nobody's name.
    """
    reviewer = (asked.reviewer if name is None else name).strip()
    if not reviewer:
        raise Refused("reviewer: empty; enter your name or initials.")
    if shown is None:
        raise LesionChanged("This page is of an older night. Load it again, look, and mark then.")
    before = shown.get(asked.lesion_key)
    if before is None:
        raise Refused("lesion_key: no lesion of this night's list.")
    now = latest.get(asked.lesion_key)
    if shown is not latest and (now is None or _asks_again(before, now)):
        raise LesionChanged(
            "A new night changed this lesion: it has another score or other images than this page "
            "shows, or left the list. Load the page again, look, and mark then."
        )
    return Decision(
        asked.lesion_key,
        asked.decision,
        reviewer,
        before.score,
        before.image_count,
        asked.mark_id,
        asked.diagnosis,
        asked.comment,
    )


def _asks_again(before: ListedLesion, now: ListedLesion) -> bool:
    """Whether a mark of what was shown would not close what there is now."""
    if not now.image_ids <= before.image_ids:
        return True
    if now.score is None:
        return False
    return before.score is None or now.score > before.score + RISE
