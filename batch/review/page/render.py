"""The morning's page: one static HTML file that needs no network and runs no script but its own.

Text of the archive is escaped by the template engine, or travels as JSON and is written as text
by the page's script. A content security policy forbids every script and style but the page's own
(by digest) and every connection.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from batch.core.config import REVIEW_BUDGET
from batch.review.page import content
from batch.review.page.content import page_data, script_json
from batch.review.page.pictures import NO_PICTURES, PagePictures
from batch.review.worklist.contract import ReviewWorklist

if TYPE_CHECKING:
    from batch.review.monitoring.night_report import NightReport

_PICTURE = re.compile(
    r"data:image/(jpeg|png);base64,[A-Za-z0-9+/]+={0,2}|(\.\./)*pictures/[0-9a-f]{32}\.jpg"
)
_SCRIPTS = ("1-base", "2-marks", "3-csv", "4-order", "5-list", "6-detail", "desk", "7-page")


def render(
    worklist: ReviewWorklist,
    report: NightReport | None = None,
    pictures: PagePictures = NO_PICTURES,
    archive_key: str = "",
    *,
    budget: int = REVIEW_BUDGET,
    language: str | None = None,
) -> str:
    """The page as HTML, to be written as UTF-8.

    Args:
        pictures: of the listed images. budget, language: see `ReviewOptions`.
        archive_key: names the archive among others: marks in a browser are kept under it and the
            lesion's key.

    Raises:
        ValueError: a picture that is no file of ours and no data: URI, or a chart with other
            content than drawings.
    """
    image_ids = dict.fromkeys(worklist.images["image_id"])
    addresses = {
        image_id: each.uri or pictures.prefix + each.name
        for image_id, each in pictures.by_image.items()
    }
    on_page: list[str] = []
    data = {
        **page_data(worklist, _numbered(addresses, image_ids, on_page), {}),
        **content.script_words(),
        "archive": archive_key,
    }
    style, script = _style(), _script()
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            policy=_policy(style, script),
            style=Markup(style),
            script=Markup(script),
            data=Markup(script_json(data)),
            pictures=[Markup(uri) for uri in on_page],
            **content.summary(worklist, data["lesions"]),
            **content.night(report),
        )
    )


def _numbered(
    uris: Mapping[str, str], image_ids: Mapping[str, None], pictures: list[str]
) -> dict[str, int]:
    """Add the pictures of the page's images; image_id to the picture's number."""
    numbers = {}
    for image_id in image_ids:
        if (uri := uris.get(image_id)) is None:
            continue
        if not _PICTURE.fullmatch(uri):
            raise ValueError(f"picture of {image_id}: allowed is a data: URI of a JPEG or PNG")
        numbers[image_id] = len(pictures)
        pictures.append(uri)
    return numbers


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("batch.review.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (content.shown, content.words, content.instant):
        environment.filters[function.__name__] = function
    environment.globals["percent"] = content.percent
    return environment


@cache
def _style() -> str:
    return _template("page.css")


@cache
def _script() -> str:
    body = "\n".join(_template(f"{name}.js") for name in _SCRIPTS)
    return f'(() => {{\n"use strict";\n{body}}})();\n'


def _template(name: str) -> str:
    return (resources.files("batch.review.page") / "templates" / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """No connection, no frame, no form; pictures from the page itself; our script and style."""
    return (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; "
        "img-src data: 'self'; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'"
    )


def _digest(text: str) -> str:
    found = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(found).decode('ascii')}'"
