"""Get Flink and Beam's job server for it: `python -m tests.scenarios.cluster.fetch FOLDER`.

Flink's jars lie in a Python package, so pip brings them; the job server is Beam's Flink runner with
everything it needs, so Maven brings it. The pair is the newest that Maven Central's mirror at hand
had when this was written; elsewhere take the job server of the installed SDK's version.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

FLINK, BEAM = "1.16.3", "2.48.0"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>job-server</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.beam</groupId>
      <artifactId>beam-runners-flink-{FLINK.rpartition(".")[0]}</artifactId>
      <version>{BEAM}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.30</version>
    </dependency>
  </dependencies>
</project>
"""


def fetch(folder: Path) -> None:
    """Fill `folder/flink` and `folder/job-server` with jars."""
    folder.mkdir(parents=True, exist_ok=True)
    package = f"apache-flink-libraries=={FLINK}"
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*pip, "-d", folder, package], check=True)
    (archive,) = folder.glob(f"apache*flink*libraries-{FLINK}.tar.gz")
    with tarfile.open(archive) as packed:
        jars = [member for member in packed if "/deps/lib/" in member.name and member.isfile()]
        for member in jars:
            member.name = Path(member.name).name
        packed.extractall(folder / "flink", jars, filter="data")
    archive.unlink()
    (folder / "pom.xml").write_text(POM)
    copy = ["dependency:copy-dependencies", "-DincludeScope=runtime"]
    output = f"-DoutputDirectory={folder.resolve() / 'job-server'}"
    subprocess.run(["mvn", "-B", "-q", *copy, output], cwd=folder, check=True)


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
