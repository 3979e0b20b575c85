"""HAPI's FHIR validator, where its jars are, and exactly the messages that are allowed.

`python -m tests.tools.fetch_fhir_validator` brings the jars (160 MB) by Maven into a folder outside
of the checkout.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "MELANOMA_BATCH_HAPI"
SOURCE = Path(__file__).with_name("Validate.java")
_JAVA = shutil.which("java")


def jar_folder() -> Path:
    """Where the jars are, or would be."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    given = os.environ.get(VARIABLE) or os.path.join(caches, "melanoma-batch", "hapi", "jars")
    return Path(given).expanduser()


def _is_there() -> bool:
    return _JAVA is not None and any(jar_folder().glob("hapi-fhir-validation-resources-r4-*.jar"))


needs_hapi = pytest.mark.skipif(
    not _is_there(),
    reason="no FHIR validator: java, and python -m tests.tools.fetch_fhir_validator",
)

_OWN = "urn:oid:2.25.47932754253569460890687831116067947214"
_AIAST = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue#AIAST"
ALLOWED = {
    # the label came into HL7's terminology after R4's own packages
    f"ERROR\tUnknown code '{_AIAST}'",
    f"WARNING\tThe Coding provided ({_AIAST}) was not found in the value set 'SecurityLabels' "
    "(http://hl7.org/fhir/ValueSet/security-labels|4.0.1), and a code should come from this value "
    "set unless it has no suitable code (note that the validator cannot judge what is suitable).  "
    f"(error message = Unknown code '{_AIAST}'; Unknown code '{_AIAST}' for in-memory expansion of "
    "ValueSet 'http://hl7.org/fhir/ValueSet/security-labels')",
    # advice: no text for people, since no EHR shows ours; and a program is no performer
    "WARNING\tConstraint failed: dom-6: 'A resource should have narrative for robust management' "
    "(defined in http://hl7.org/fhir/StructureDefinition/DomainResource) (Best Practice "
    "Recommendation)",
    "WARNING\tBest Practice Recommendation: In general, all observations should have a performer",
    # where the reports know no patient, and an image that could not be read no time
    "WARNING\tBest Practice Recommendation: In general, all observations should have a subject",
    "WARNING\tBest Practice Recommendation: In general, all observations should have an "
    "effective[x] ()",
    # own codes: no standard scheme has them
    *(
        f"WARNING\tCodeSystem is unknown and can't be validated: {_OWN} for '{_OWN}#{code}'"
        for code in (
            "melanoma-score", "threshold", "operating-point", "raised-review",
            "dermatologist-review",
        )
    ),
}  # fmt: skip


def messages(resources: Iterable[dict[str, Any]], folder: Path) -> set[str]:
    """The different messages, as severity and text, on resources; at least one."""
    lines = [json.dumps(one) for one in resources]
    file = folder / "to-validate.ndjson"
    file.write_text("\n".join(lines), encoding="utf-8")
    done = subprocess.run(
        [_JAVA or "java", "-Xmx900m", "-cp", f"{jar_folder()}/*", SOURCE, file],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert f"VALIDATED\t{len(lines)}\t" in done.stdout, done.stderr[-2000:]
    found = re.findall(r"^(FATAL|ERROR|WARNING)\t[^\t]*\t(.*)$", done.stdout, re.MULTILINE)
    return {f"{severity}\t{text}" for severity, text in found}
