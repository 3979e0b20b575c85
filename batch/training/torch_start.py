"""A bundled or exported artifact as weights that `torch_course` can go on from.

    python -m batch.training.torch_start ARTIFACT --output FOLDER

FOLDER gets NAME.*.npz and a line in results.jsonl, as `torch_course` would have left them; a later
job names them: "start": {"folder": FOLDER, "name": NAME, "folded": true}. An artifact's
normalisations are folded into its convolutions, so `torch_course` measures them again first
(`LiteNetwork.unfold`): the network computes the same, and can be trained.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batch.core.errors import UsageError
from batch.model.artifact import find_artifact
from batch.model.manifest import MODEL_FILE
from batch.training.answers import answer
from batch.training.lite import NORM_EPSILON
from batch.training.networks import norm_of
from batch.training.torch_job import RESULTS


def start_of(id_or_folder: str, output: Path) -> str:
    """Write weights and line.

    Returns:
        the name of the job.

    Raises:
        UsageError: the artifact was not trained by one job of `torch_course`.
    """
    import keras

    artifact = find_artifact(id_or_folder)
    manifest = artifact.manifest
    course = manifest.provenance.get("course") or {}
    jobs = course.get("jobs") or []
    counted = course.get("counted", {})
    if not jobs or course["averaged_from"] or (len(jobs) > 1 and not counted):
        raise UsageError(
            f"ARTIFACT: {artifact.folder} was trained by {len(jobs)} jobs of torch_course; needed: "
            "by one after the other, with what each counted in its sets. Begin from ImageNet's "
            "weights."
        )
    name = str(jobs[-1]["name"])
    model = keras.models.load_model(artifact.folder / MODEL_FILE, compile=False)
    arrays = {layer.name: layer.get_weights() for layer in model.layers if layer.get_weights()}
    if not counted:
        split = pd.read_csv(artifact.folder / "split.csv")
        left_out = manifest.provenance["recipe"]["hold_out"]
        sets = counted_sets(split, manifest.output.melanoma_class, left_out)
        drawn = {"images_drawn": course["images_drawn"], "seconds": course["seconds"]}
        counted = {name: {**drawn, "sets": sets}}
    ran = {"device": course["device"], "torch": course["torch"], "loss": [course["loss"]]}
    lines = [{**_with_folder(job), **ran, **counted[job["name"]]} for job in jobs]
    output.mkdir(parents=True, exist_ok=True)
    np.savez(output / f"{name}.0.npz", **unfolded_names(arrays))  # type: ignore[arg-type]
    with (output / RESULTS).open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return name


def _with_folder(job: Mapping[str, Any]) -> dict[str, Any]:
    """The job with its start as a line of results has it; the weights of that one are gone."""
    return {**job, "start": {"folder": "", "name": job["start"]}} if "start" in job else {**job}


def unfolded_names(arrays_by_layer: Mapping[str, Sequence[np.ndarray]]) -> dict[str, np.ndarray]:
    """A Keras model's arrays under the names of the published weights.

    Args:
        arrays_by_layer: kernel and bias of every convolution and of `scores`, as Keras has them.

    Returns:
        float32 arrays; each normalisation keeps its input as it is and adds the folded bias.
    """
    named: dict[str, np.ndarray] = {}
    for layer, (kernel, bias) in arrays_by_layer.items():
        if layer == "scores":
            named |= {"_fc.weight": kernel.T, "_fc.bias": bias}
            continue
        name = layer.replace("__", ".")
        norm = norm_of(name)
        # Keras: height, width, in, out; depthwise: height, width, channels, 1. PyTorch: out, in
        order = (2, 3, 0, 1) if name.endswith("_depthwise_conv") else (3, 2, 0, 1)
        named |= {
            f"{name}.weight": kernel.transpose(order),
            f"{norm}.weight": np.full_like(bias, np.sqrt(1 + NORM_EPSILON)),
            f"{norm}.bias": bias,
            f"{norm}.running_mean": np.zeros_like(bias),
            f"{norm}.running_var": np.ones_like(bias),
        }
    return {name: np.ascontiguousarray(array, np.float32) for name, array in named.items()}


def counted_sets(
    split: pd.DataFrame, melanoma_class: str, left_out: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Images and melanomas of every set that judged, as a job's line tells them.

    Args:
        split: columns source, split and label, of the artifact's split.csv. left_out: sources.
    """
    judges = {*left_out, *split["source"][split["split"].isin(("validation", "test"))]}
    sets: dict[str, dict[str, int]] = {}
    for (source, name), part in split[split["source"].isin(judges)].groupby(["source", "split"]):
        melanomas = int((part["label"] == melanoma_class).sum())
        if name in ("validation", "test", "held_out") and 0 < melanomas < len(part):
            sets[f"{name}, {source}"] = {"images": len(part), "melanomas": melanomas}
    return sets


def main(words: Sequence[str] | None = None) -> int:
    """One JSON object: the name of the job that was written."""
    parser = argparse.ArgumentParser(prog="python -m batch.training.torch_start")
    parser.add_argument("artifact", metavar="ARTIFACT", help="a bundled id or a folder")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args(words)
    return answer(lambda: json.dumps({"name": start_of(options.artifact, options.output)}))


if __name__ == "__main__":
    from batch.runtime.process import import_tensorflow

    import_tensorflow()
    raise SystemExit(main())
