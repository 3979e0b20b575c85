from __future__ import annotations

import pytest

from batch.review.monitoring.charts import checked_svg
from tests.review.monitoring.test_night_report import EARLIER, figures, report

_HEAD = '<svg xmlns="http://www.w3.org/2000/svg">'


def test_every_chart_of_the_night_passes_unchanged():
    charts = report(figures(3), EARLIER).charts
    assert charts
    assert all(checked_svg(chart) == chart for chart in charts.values())


@pytest.mark.parametrize(
    "chart",
    [
        "",
        "text",
        "<svg>",
        "<svg></svg>",
        "<p xmlns='http://www.w3.org/2000/svg'/>",
        _HEAD + "<script>1</script></svg>",
        _HEAD + "<style>*{}</style></svg>",
        _HEAD + "<foreignObject/></svg>",
        _HEAD + "<image/></svg>",
        _HEAD + "<use/></svg>",
        _HEAD + "<a href='#'/></svg>",
        _HEAD + "<animate/></svg>",
        _HEAD + "<rect onclick='1'/></svg>",
        _HEAD + "<rect style='fill:red'/></svg>",
        _HEAD + "<rect href='x'/></svg>",
        _HEAD + "<rect xmlns:x='http://www.w3.org/1999/xlink' x:href='x'/></svg>",
        _HEAD + "<rect fill='url(http://example.org)'/></svg>",
        _HEAD + "<rect fill='URL (#a)'/></svg>",
        _HEAD + "<!-- --></svg>",
        "<?xml version='1.0'?>" + _HEAD + "</svg>",
        "<!DOCTYPE svg [<!ENTITY a 'b'>]>" + _HEAD + "&a;</svg>",
        _HEAD + "<p xmlns='http://www.w3.org/1999/xhtml'/></svg>",
        _HEAD + "</svg><p/>",
    ],
)
def test_anything_but_a_drawing_is_refused(chart):
    with pytest.raises(ValueError, match="chart"):
        checked_svg(chart)


def test_a_drawing_with_text_passes():
    chart = _HEAD + "<title>a &lt;b&gt;</title><rect x='1' fill='currentColor'/></svg>"
    assert checked_svg(chart) == chart
