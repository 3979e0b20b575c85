"""Drawings that may stand on the page as they are: a second look at our own charts. Pure."""

from __future__ import annotations

import re
from xml.etree import ElementTree

_NAMESPACE = "{http://www.w3.org/2000/svg}"
_ELEMENTS = frozenset(
    {"svg", "g", "title", "desc", "rect", "circle", "line", "path", "polyline", "text", "tspan"}
)
_ATTRIBUTES = frozenset(
    {
        "class", "id", "role", "viewBox", "width", "height", "x", "y", "x1", "y1", "x2", "y2", "cx",
        "cy", "r", "rx", "ry", "d", "points", "dx", "dy", "transform", "fill", "fill-opacity",
        "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "opacity", "font-size",
        "font-weight", "text-anchor", "aria-label", "aria-labelledby", "aria-hidden",
    }
)  # fmt: skip
_REFERENCE = re.compile(r"url\s*\(", re.IGNORECASE)


def checked_svg(chart: str) -> str:
    """The chart itself, when it holds nothing but drawings and text.

    Raises:
        ValueError: not well formed, or an element or attribute that no chart needs: scripts,
            styles, links, event handlers, foreign content.
    """
    if "<!" in chart or "<?" in chart:
        raise ValueError("chart: allowed is SVG without declarations, comments and instructions")
    try:
        root = ElementTree.fromstring(chart)
    except ElementTree.ParseError as error:
        raise ValueError("chart: not well formed") from error
    if root.tag != f"{_NAMESPACE}svg":
        raise ValueError("chart: allowed is an svg element in SVG's namespace")
    for element in root.iter():
        name = element.tag.removeprefix(_NAMESPACE)
        if name not in _ELEMENTS:
            raise ValueError(
                f"chart: element {name[:40]!r}; allowed: {', '.join(sorted(_ELEMENTS))}"
            )
        for attribute, value in element.attrib.items():
            if attribute not in _ATTRIBUTES or _REFERENCE.search(value):
                raise ValueError(f"chart: attribute {attribute[:40]!r} of {name}")
    return chart
