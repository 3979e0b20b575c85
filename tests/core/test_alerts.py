import math

import pytest

from batch.core.records import alert_for, is_alert
from tests.support.archives import POINT, prediction


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (0.0, False),
        (math.nextafter(0.5, 0), False),
        (0.5, True),
        (math.nextafter(0.5, 1), True),
        (1.0, True),
    ],
)
def test_the_threshold_itself_is_an_alert(score, expected):
    assert is_alert(score, POINT) is expected


def test_an_alert_is_unverified_and_carries_its_operating_point():
    alert = alert_for(prediction(0.9), POINT)
    assert alert.review_status == "UNVERIFIED"
    assert alert.operating_point is POINT


def test_below_the_threshold_there_is_no_alert():
    assert alert_for(prediction(0.1), POINT) is None
