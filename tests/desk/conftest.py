"""Reports with a night, a desk that serves them, and a browser that came in."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.desk.desk_process import PNG, Desk, publish, write_photographs


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    root = tmp_path_factory.mktemp("desk")
    write_photographs(root / "archive")
    publish(root / "reports", root / "archive")
    pictures = root / "reports" / "pictures"
    pictures.mkdir()
    (pictures / f"{'ab' * 16}.png").write_bytes(PNG)
    (pictures / "secret.jpg").write_bytes(b"not listed by this name")
    (pictures / f"{'cd' * 16}.png").symlink_to("/etc/passwd")
    (pictures / f"{'ef' * 16}.png").mkdir()
    return root / "reports"


@pytest.fixture(scope="module")
def desk(reports):
    with Desk(reports) as found:
        yield found


@pytest.fixture(scope="module")
def browser(desk):
    return desk.enter()


@pytest.fixture(scope="module")
def keys(reports):
    """Lesions in the order of the list, one a test that marks."""
    frame = pd.read_parquet(reports / "latest" / "review_worklist.parquet")
    return list(frame["lesion_key"])
