"""How often the domain flags are right, on pictures that chose nothing.

    python -m tests.tools.domain ARTIFACT --data DATA --other FOLDER … --unseen FOLDER … [--cache …]

Of each source of dermoscopy: the share flagged by a reference that was fitted without this source.
Of each kind of other pictures that takes part in the fit: of the half of the lesions that fits
nothing. Of unseen folders: all, by the reference of everything. A line of JSON for each.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from batch.model.artifact import find_artifact
from batch.model.domain import NOT_DERMOSCOPY, OUTSIDE_DOMAIN, DomainReference
from batch.training.domain import add_options, feature_function, feature_set, folders_of
from batch.training.domain_reference import FeatureSet, fit_reference


def rates(reference: DomainReference, part: FeatureSet) -> dict[str, object]:
    """Images, and share of each flag in percent."""
    found = reference.measure(part.features)
    shares = {
        flag: round(100 * sum(flag in domain.flags for domain in found) / len(found), 1)
        for flag in (NOT_DERMOSCOPY, OUTSIDE_DOMAIN)
    }
    return {"images": len(found), **shares}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.domain")
    add_options(parser)
    parser.add_argument(
        "--unseen", type=Path, action="append", default=[], metavar="FOLDER",
        help="pictures that take no part in any fit; may be repeated",
    )  # fmt: skip
    options = parser.parse_args()
    artifact = find_artifact(options.artifact)
    layers, features = feature_function(artifact)
    key = (*layers, artifact.manifest.model_sha256)

    def of(folder: Path) -> FeatureSet:
        return feature_set(folder, features, key, options.most, options.cache)

    dermoscopy, others = ([of(folder) for folder in part] for part in folders_of(options))
    for part in dermoscopy:
        rest = [other for other in dermoscopy if other is not part]
        told = rates(fit_reference(rest, others), part)
        print(json.dumps({"dermoscopy, left out": part.name, **told}), flush=True)
    reference = fit_reference(dermoscopy, others)
    for part in others:
        told = rates(reference, part.half(1))
        print(json.dumps({"other, half of the lesions left out": part.name, **told}), flush=True)
    for folder in options.unseen:
        print(json.dumps({"unseen": folder.name, **rates(reference, of(folder))}), flush=True)
    return 0


if __name__ == "__main__":
    from batch.runtime.process import import_tensorflow

    import_tensorflow()
    raise SystemExit(main())
