"""The morning's page: one static HTML file that needs no network and runs no script but its own.

Text of the archive is escaped by the template engine, or travels as JSON and is written as text
by the page's script. A content security policy forbids every script and style but the page's own
(by digest) and every connection.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from batch.core.config import REVIEW_BUDGET
from batch.review.page import content
from batch.review.page.content import page_data, script_json
from batch.review.page.pictures import NO_PICTURES, PagePictures
from batch.review.worklist.contract import ReviewFacts, ReviewWorklist

if TYPE_CHECKING:
    from batch.review.monitoring.night_report import NightReport

_STYLES = ("page", "lesion", "small")
_SCRIPTS = (
    "text-en", "text-de", "base", "marks", "csv", "desk", "order", "pieces", "flow", "gallery",
    "list", "patients", "viewer", "lesion", "decide", "engineer", "print", "page", "keys", "start",
)  # fmt: skip
_FONT = "inter-latin.woff2"
_ON_PAPER = {
    "en": "Review priority, not a diagnosis. No alert does not mean cleared.",
    "de": "Reihenfolge zur Durchsicht, keine Diagnose. Kein Hinweis bedeutet nicht: unbedenklich.",
}
"""What stands at the foot of every printed page, by language; `caution` of the texts is shorter."""


def render(
    worklist: ReviewWorklist,
    report: NightReport | None = None,
    pictures: PagePictures = NO_PICTURES,
    archive_key: str = "",
    budget: int = REVIEW_BUDGET,
    language: str | None = None,
) -> str:
    """The page as HTML, to be written as UTF-8.

    Args:
        archive_key: names the archive among others: marks in a browser are kept under it and the
            lesion's key.
        budget: how many ranked lesions are tonight's work.
        language: `en` or `de`; None for what the browser asks for.

    Raises:
        ValueError: a picture with another name or address than `PagePictures` may have, or a chart
            with other content than drawings.
    """
    data = {
        **page_data(worklist, pictures),
        "archive": archive_key,
        "budget": budget,
        "language": language,
    }
    style, script = _style() + _print_boxes(worklist.facts), _script()
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            policy=_policy(style, script),
            style=Markup(style),
            script=Markup(script),
            data=Markup(script_json(data)),
            **content.summary(worklist),
            **content.night(report),
        )
    )


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
    font = base64.b64encode(_file(_FONT).read_bytes()).decode("ascii")
    face = (
        '@font-face{font-family:"Inter";src:url(data:font/woff2;base64,'
        f'{font}) format("woff2");font-weight:100 900;font-display:swap}}\n'
    )
    return face + "".join(_template(f"{name}.css") for name in _STYLES)


def _print_boxes(facts: ReviewFacts) -> str:
    """What stands round every printed page: night, model, "unverified", page numbers."""
    head = f"{content.instant(facts.night)} · {facts.model_id} {facts.model_version}"
    pages = []
    for language, words in _ON_PAPER.items():
        title, unverified = _TITLES[language]
        pages.append(
            f"@page {language}{{"
            f"@top-left{{content:{_css_string(f'{title}, {head}')};font:9pt Inter,sans-serif}}"
            f"@top-right{{content:{_css_string(unverified)};font:600 9pt Inter,sans-serif}}"
            f"@bottom-left{{content:{_css_string(words)};font:8pt Inter,sans-serif}}"
            '@bottom-right{content:counter(page) " / " counter(pages);font:9pt Inter,sans-serif}}\n'
            f":lang({language}) #print{{page:{language}}}\n"
        )
    return "".join(pages)


_TITLES = {"en": ("Morning list", "Unverified"), "de": ("Morgenliste", "Ungeprüft")}


def _css_string(text: str) -> str:
    """A string of CSS in which every other letter than a plain one is told by its number."""
    plain = content.shown(text)
    letters = (c if c.isascii() and (c.isalnum() or c in " .,-:+") else f"\\{ord(c):x} "
               for c in plain)  # fmt: skip
    return '"' + "".join(letters) + '"'


@cache
def _script() -> str:
    body = "\n".join(_template(f"{name}.js") for name in _SCRIPTS)
    return f'(() => {{\n"use strict";\n{body}}})();\n'


def _file(name: str) -> resources.abc.Traversable:
    return resources.files("batch.review.page") / "templates" / name


def _template(name: str) -> str:
    return _file(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """No connection, no frame, no form; pictures beside the page or in it; our script and style.

    Pictures beside a file have no origin of their own, and `file:` allows them; on the desk its
    own policy adds `'self'`.
    """
    return (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; "
        "img-src data: file: 'self'; font-src data:; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'"
    )


def _digest(text: str) -> str:
    found = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(found).decode('ascii')}'"
