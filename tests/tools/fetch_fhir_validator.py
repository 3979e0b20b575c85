"""Bring HAPI's FHIR validator (about 160 MB of jars) by Maven into a cache outside of the checkout.

    python -m tests.tools.fetch_fhir_validator

MELANOMA_BATCH_HAPI names another folder for the jars.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.export.fhir_validator import jar_folder

VERSION = "8.8.0"
ARTIFACTS = (
    "hapi-fhir-validation",
    "hapi-fhir-structures-r4",
    "hapi-fhir-validation-resources-r4",
    "hapi-fhir-caching-caffeine",
)


def main() -> int:
    """Fetch; the exit code is Maven's."""
    if shutil.which("mvn") is None:
        print("mvn is missing: apt-get install maven default-jdk-headless", file=sys.stderr)
        return 2
    needed = "".join(
        "<dependency><groupId>ca.uhn.hapi.fhir</groupId>"
        f"<artifactId>{name}</artifactId><version>{VERSION}</version></dependency>"
        for name in ARTIFACTS
    )
    project = (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>local</groupId><artifactId>fhir-validator</artifactId><version>1</version>"
        f"<dependencies>{needed}</dependencies></project>"
    )
    folder = jar_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        Path(work, "pom.xml").write_text(project)
        done = subprocess.run(
            ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={folder}"],
            cwd=work,
        )
    print(f"{len(list(folder.glob('*.jar')))} jars in {folder}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
