"""The desk's addresses: the page, its pictures, and the marks."""

from __future__ import annotations

import hashlib
import hmac
import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from batch.core.location import Place
from batch.core.text import one_line
from batch.desk.entrance import TOKEN_HEADER, Entrance, Visitor
from batch.desk.guard import Guard, read_body, refusal
from batch.desk.mark_file import MarkFile, NotSaved, Overtaken
from batch.desk.mark_request import LesionChanged, MarkRequest, Refused, decide, parse_request
from batch.desk.mark_rows import REVIEWER_MOST, DeskMark
from batch.desk.night import DeskNight, Nights, NoNight
from batch.desk.originals import FULL_SIDE, NoPicture, original, stored_picture
from batch.desk.origins import Origins

logger = logging.getLogger(__name__)
VERSION = 1
"""Of what page and desk say to each other."""
_AT_ONCE = 2
"""Originals that are decoded at a time."""


@dataclass(frozen=True)
class Desk:
    """What the addresses work with. archive: None for where the night found its images."""

    reports: Path
    nights: Nights
    marks: MarkFile
    entrance: Entrance
    archive: Place | None = None


def desk_app(desk: Desk, origins: Origins) -> ASGIApp:
    """The application, for any ASGI server."""
    addresses = _Addresses(desk)
    app = Starlette(
        routes=[
            Route("/", addresses.page, methods=["GET"]),
            Route("/desk/marks", addresses.read_marks, methods=["GET"]),
            Route("/desk/marks", addresses.add_mark, methods=["POST"]),
            Route("/pictures/{name}", addresses.picture, methods=["GET"]),
            Route("/favicon.ico", _no_icon, methods=["GET"]),
            Route("/originals", addresses.original, methods=["GET"]),
            *desk.entrance.routes(),
        ],
        exception_handlers={HTTPException: _refuse, NoNight: _no_night, NotSaved: _not_saved},
    )
    return Guard(app, origins)


class _Addresses:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._decoders = anyio.CapacityLimiter(_AT_ONCE)

    async def page(self, request: Request) -> Response:
        visitor = self._desk.entrance.visitor(request)
        if visitor is None:
            return self._desk.entrance.outside()
        night = await run_in_threadpool(self._desk.nights.latest)
        settings = {
            "version": VERSION,
            "run_id": night.run_id,
            "token": visitor.page_token,
            "reviewer": visitor.person.name,
            "can_sign_out": self._desk.entrance.can_sign_out,
            "read_only": not visitor.person.may_mark,
            "originals": night.archive is not None or self._desk.archive is not None,
        }
        policy = {"Content-Security-Policy": night.page.policy}
        return HTMLResponse(night.page.html(settings), headers=policy)

    async def read_marks(self, request: Request) -> Response:
        self._visitor(request)
        after = request.query_params.get("after", "0")
        number = int(after) if after.isdecimal() and len(after) < 12 else 0
        edition = request.query_params.get("edition", "")
        night = await run_in_threadpool(self._desk.nights.latest)
        now, found = await run_in_threadpool(self._desk.marks.marks, edition, number)
        listed = [mark for mark in found if mark.told.lesion_key in night.lesions]
        last = max([number if now == edition else 0, *(mark.number for mark in found)])
        told = {"run_id": night.run_id, "edition": now, "last": last}
        return JSONResponse({**told, "marks": [_as_json(mark) for mark in listed]})

    async def add_mark(self, request: Request) -> Response:
        visitor = self._visitor(request)
        given = request.headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(given.encode(), visitor.page_token.encode()):
            return refusal(403, "This page is not signed in. Load it again.", reload=True)
        if not visitor.person.may_mark:
            return refusal(403, "You may look at this desk, and not mark.")
        body = await read_body(request, "application/json")
        try:
            asked = parse_request(body)
            mark = await run_in_threadpool(self._save, asked, visitor)
        except LesionChanged as changed:
            return refusal(409, str(changed), reload=True)
        except Refused as refused:
            return refusal(422, str(refused))
        except Overtaken as overtaken:
            there = overtaken.mark
            return refusal(409, _OVERTAKEN, mark=None if there is None else _as_json(there))
        return JSONResponse({"mark": _as_json(mark)})

    async def picture(self, request: Request) -> Response:
        self._visitor(request)
        name = request.path_params["name"]
        try:
            data, kind = await run_in_threadpool(stored_picture, self._desk.reports, name)
        except NoPicture as error:
            return refusal(404, str(error))
        return Response(data, media_type=kind)

    async def original(self, request: Request) -> Response:
        self._visitor(request)
        image_id, side = request.query_params.get("image", ""), request.query_params.get("side", "")
        pixels = int(side) if side.isdecimal() and 1 <= len(side) <= 5 else FULL_SIDE
        night: DeskNight = await run_in_threadpool(self._desk.nights.latest)
        arguments = night, image_id, self._desk.archive, min(max(pixels, 1), FULL_SIDE)
        try:
            data = await to_thread.run_sync(original, *arguments, limiter=self._decoders)
        except NoPicture as error:
            return refusal(404, str(error))
        return Response(data, media_type="image/jpeg")

    def _visitor(self, request: Request) -> Visitor:
        visitor = self._desk.entrance.visitor(request)
        if visitor is None:
            raise HTTPException(401, "You are not signed in. Load the page again.")
        return visitor

    def _save(self, asked: MarkRequest, visitor: Visitor) -> DeskMark:
        latest = self._desk.nights.latest()
        shown = self._desk.nights.shown(asked.run_id)
        lesions = None if shown is None else shown.lesions
        told = decide(asked, visitor.person.name, lesions, latest.lesions)
        mark = self._desk.marks.add(told, asked.known, datetime.now().astimezone())
        # a lesion's key may hold a patient's name: the log has its digest, the file has the rest
        lesion = hashlib.sha256(told.lesion_key.encode()).hexdigest()[:12]
        who = one_line(told.reviewer, REVIEWER_MOST)
        logger.info("mark %d: %s by %s on lesion %s", mark.number, told.decision, who, lesion)
        return mark


_OVERTAKEN = (
    "Somebody else marked this lesion meanwhile. Your mark was not saved; look, and decide."
)


def _as_json(mark: DeskMark) -> dict[str, Any]:
    told = mark.told
    return {
        "number": mark.number,
        "key": told.lesion_key,
        "mark_id": told.mark_id,
        "decision": told.decision,
        "reviewer": told.reviewer,
        "reviewed_at": mark.reviewed_at.astimezone().isoformat(timespec="milliseconds"),
        "score": told.score,
        "image_count": told.image_count,
        "diagnosis": told.diagnosis,
        "comment": told.comment,
    }


async def _no_icon(_: Request) -> Response:
    return Response(status_code=204)


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, error.detail, reload=error.status_code == 401)


async def _no_night(_: Request, error: Exception) -> Response:
    return refusal(503, str(error))


async def _not_saved(_: Request, error: Exception) -> Response:
    return refusal(507, str(error))
