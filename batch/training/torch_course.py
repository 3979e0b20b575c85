"""A long course on a GPU, in PyTorch: `python -m batch.training.torch_course PACK --jobs FILE …`.

PACK is what `python -m batch.training.pack` wrote. FILE is a JSON list of jobs, each
{"name", "recipe", "changes": ["network.frozen=0", …], "hold_out": "milk10k,acral" or "", "seed",
"images", "batch", "shares": {source: share}, "keep": true where the weights are wanted, "average":
[names of jobs whose weights are averaged instead of training], "start": {"folder", "name"} of kept
weights to go on from instead of ImageNet's, with "folded": true where `torch_start` made them of an
artifact}. Every job leaves a line in OUTPUT/results.jsonl, and
with "keep" its weights as OUTPUT/NAME.*.npz, which `python -m batch.training.from_torch` makes an
artifact or a trial of.

With --checkpoint-seconds N a job leaves OUTPUT/NAME.checkpoint.pt every N seconds, and the same
command goes on from there. It draws the images that it would have drawn, and changes them anew.
With --stop it ends there instead: a course that runs out of time keeps its averaged weights.
"""

from __future__ import annotations

import argparse
import copy
import io
import itertools
import json
import math
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score, roc_curve

from batch.training.draws import allowed_matrix, draws, shared_weights
from batch.training.lite import LITE0, LITE2
from batch.training.pack import ROWS, SEPARATOR, packed_images
from batch.training.parts import Disguise, EfficientNetLite0, EfficientNetLite2, LongCourse, Recipe
from batch.training.recipes import find_recipe, with_changes
from batch.training.torch_change import disguise
from batch.training.torch_kept import Checkpoint, keep, kept_arrays
from batch.training.torch_network import LiteNetwork

_LEAST = 1e-7
_UNFOLD_BATCHES = 12
"""That measure the normalisations of folded weights."""


@dataclass(frozen=True, eq=False)
class Packed:
    """rows: as `pack` wrote them, `allowed` a tuple. pixels: (N, 180, 180, 3) uint8, on the device.

    shares: by source, of an epoch's draws.
    """

    rows: pd.DataFrame
    pixels: torch.Tensor
    shares: dict[str, float]


def read_pack(folder: Path, device: torch.device, processes: int) -> Packed:
    """All images of a pack, decoded; with no processes its rows only."""
    rows = pd.read_csv(folder / ROWS)
    rows["allowed"] = [tuple(words.split(SEPARATOR)) for words in rows["allowed"]]
    shares = json.loads((folder / "shares.json").read_text())
    if not processes:
        return Packed(rows, torch.empty(0, 180, 180, 3, dtype=torch.uint8), shares)
    with ProcessPoolExecutor(processes) as pool:
        decoded = pool.map(_decoded, packed_images(folder), chunksize=256)
        pixels = torch.empty(len(rows), 180, 180, 3, dtype=torch.uint8)
        for row, image in enumerate(decoded):
            pixels[row] = torch.from_numpy(image)
    return Packed(rows, pixels.to(device), shares)


def _decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def train(
    job: dict[str, Any],
    packed: Packed,
    imagenet: dict[str, Path],
    checkpoint: Checkpoint | None = None,
) -> dict[str, Any]:
    """Train one job.

    Returns:
        facts of the run, and under `model` the averaged network.
    """
    recipe = with_changes(find_recipe(job["recipe"]), job.get("changes", ()))
    course, how = recipe.course, recipe.change
    if not isinstance(course, LongCourse) or not isinstance(how, Disguise):
        raise TypeError(f"{recipe.name}: its course is not long, or its change is no disguise")
    device = packed.pixels.device
    torch.manual_seed(job["seed"])
    model = network_of(recipe, imagenet)
    if start := job.get("start"):
        model.load_arrays(kept_arrays(Path(start["folder"]), start["name"]))
    model = model.to(device, memory_format=torch.channels_last)
    rows = packed.rows
    split = rows[f"split {job['hold_out']}" if job.get("hold_out") else "split"]
    at = np.flatnonzero((split == "train").to_numpy())
    shares = {**packed.shares, **job.get("shares", {})}
    weights = shared_weights(rows.iloc[at], shares, recipe.melanoma_class, course.melanoma_share)
    allowed = torch.from_numpy(allowed_matrix(rows, recipe.class_names)).to(device)
    batch, images = job.get("batch", course.batch_size), job["images"]
    course = replace(course, batch_size=batch, images=images)
    steps = images // batch
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters,
        course.learning_rate,
        weight_decay=course.weight_decay,
        fused=device.type == "cuda",
    )
    sides = job.get("sides") or [[0.0, 128], [0.5, 180]]
    batches = itertools.islice(draws(weights, course, job["seed"], 0), steps)
    drawn = torch.from_numpy(np.stack([at[one] for one in batches])).to(device)
    if start and start.get("folded"):
        model.unfold([
            disguise(packed.pixels[chosen].permute(0, 3, 1, 2).float(), how, int(sides[0][1]))
            for chosen in drawn[:_UNFOLD_BATCHES]
        ])  # fmt: skip
    averaged = copy.deepcopy(model).eval()
    started, losses, first, before = time.perf_counter(), [], 0, 0.0
    state = checkpoint.read(job) if checkpoint else None
    if state is not None:
        model.load_state_dict(state["model"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        first, before = int(state["step"]), float(state["seconds"])
        losses = list(state["losses"])
        torch.manual_seed(job["seed"] + first)
    model.train()
    for step in range(first, steps):
        rate = _rate(step, steps, course)
        for group in optimizer.param_groups:
            group["lr"] = rate
        side = int([side for begin, side in sides if begin <= step / steps][-1])
        chosen = drawn[step]
        x = packed.pixels[chosen].permute(0, 3, 1, 2).float()
        y, share = allowed[chosen], torch.ones(batch, device=device)
        x = disguise(x, how, side)
        other = y
        if course.mix:
            part = float(np.random.default_rng((job["seed"], step)).beta(course.mix, course.mix))
            x, other, share = part * x + (1 - part) * x.roll(1, 0), y.roll(1, 0), share * part
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = model(x.contiguous(memory_format=torch.channels_last))
        log_scores = torch.log_softmax(logits, 1)
        loss = share * _partial(y, log_scores) + (1 - share) * _partial(other, log_scores)
        if course.smoothing:
            loss = (1 - course.smoothing) * loss - course.smoothing * log_scores.mean(1)
        loss = loss.mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        _average(averaged, model, min(course.average, (step + 1) / (step + 10)))
        if step % 20 == 0:
            losses.append(loss.detach().cpu())
        if checkpoint:
            checkpoint.write(job, {
                "step": step + 1, "seconds": before + time.perf_counter() - started,
                "model": model.state_dict(), "averaged": averaged.state_dict(),
                "optimizer": optimizer.state_dict(), "losses": losses,
            })  # fmt: skip
    return {
        "model": averaged, "recipe": recipe,
        **_facts(losses, steps * batch, before + time.perf_counter() - started),
    }  # fmt: skip


def stopped(job: dict[str, Any], checkpoint: Checkpoint, imagenet: dict[str, Path]) -> Any:
    """A job that ran out of time, as its last checkpoint left it: what `train` would return.

    Raises:
        ValueError: there is no checkpoint of this very job.
    """
    state = checkpoint.read(job)
    if state is None:
        raise ValueError(f"{checkpoint.file} is no checkpoint of the job {job['name']}")
    recipe = with_changes(find_recipe(job["recipe"]), job.get("changes", ()))
    course = recipe.course
    if not isinstance(course, LongCourse):
        raise TypeError(f"{recipe.name}: its course is not long")
    model = network_of(recipe, imagenet).eval()
    model.load_state_dict(state["averaged"])
    drawn = int(state["step"]) * job.get("batch", course.batch_size)
    return {"model": model, "recipe": recipe, **_facts(state["losses"], drawn, state["seconds"])}


def _facts(losses: Sequence[torch.Tensor], drawn: int, seconds: float) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 1), "images_drawn": drawn,
        "loss": [round(float(x), 4) for x in torch.stack(losses).reshape(-1)[-10:]],
        "curve": [round(float(x), 3) for x in torch.stack(losses)[:: max(1, len(losses) // 20)]],
    }  # fmt: skip


def network_of(recipe: Recipe, imagenet: dict[str, Path]) -> LiteNetwork:
    """The recipe's network from ImageNet's weights. imagenet: files by `lite0`, `lite2`."""
    network = recipe.network
    if not isinstance(network, EfficientNetLite0):
        raise TypeError(f"{recipe.name}: no EfficientNet-Lite")
    wide = isinstance(network, EfficientNetLite2)
    model = LiteNetwork(
        LITE2 if wide else LITE0, len(recipe.class_names), network.dropout, network.smooth,
        network.colour_constancy,
    )  # fmt: skip
    with np.load(imagenet["lite2" if wide else "lite0"]) as arrays:
        model.load_imagenet({name: arrays[name] for name in arrays.files})
    model.freeze(network.frozen)
    return model


def _partial(allowed: torch.Tensor, log_scores: torch.Tensor) -> torch.Tensor:
    return -torch.logsumexp(log_scores + torch.log(allowed + _LEAST), 1)


def _rate(step: int, steps: int, course: LongCourse) -> float:
    warm = max(1, int(course.warmup * steps))
    if step < warm:
        return course.learning_rate * (0.05 + 0.95 * step / warm)
    return course.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


@torch.no_grad()
def _average(averaged: torch.nn.Module, model: torch.nn.Module, momentum: float) -> None:
    """Moves all weights and running statistics towards the model's."""
    ours, theirs = list(averaged.state_dict().values()), list(model.state_dict().values())
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a.is_floating_point()]
    torch._foreach_lerp_([a for a, _ in pairs], [b for _, b in pairs], 1 - momentum)


@torch.no_grad()
def scores_of(model: LiteNetwork, pixels: torch.Tensor, rows: np.ndarray) -> np.ndarray:
    """(len(rows), K) softmax scores in float32."""
    found = []
    for start in range(0, len(rows), 512):
        at = torch.from_numpy(rows[start : start + 512]).to(pixels.device)
        x = pixels[at].permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=False):
            found.append(torch.softmax(model(x), 1).cpu().numpy())
    return np.concatenate(found)


def judged(
    model: LiteNetwork, recipe: Recipe, packed: Packed, hold_out: str, is_scored: bool = True
) -> dict[str, Any]:
    """Per set that may judge: images, melanomas, AUC, sensitivity at specificity 0.8.

    Args:
        is_scored: without, images and melanomas only, which takes no time.
    """
    rows = packed.rows
    found: dict[str, dict[str, float]] = {}
    split = rows[f"split {hold_out}" if hold_out else "split"]
    melanoma = recipe.class_names.index(recipe.melanoma_class)
    for source in sorted(rows["source"].unique()):
        for name in ("validation", "test", "held_out"):
            part = (rows["source"] == source) & (split == name) & rows["judges"]
            at = np.flatnonzero(part.to_numpy())
            told = (rows["label"].iloc[at] == recipe.melanoma_class).to_numpy()
            if len(at) and 0 < told.sum() < len(at):
                counts: dict[str, float] = {"images": len(at), "melanomas": int(told.sum())}
                found[f"{name}, {source}"] = counts
                if not is_scored:
                    continue
                scores = scores_of(model, packed.pixels, at)[:, melanoma]
                off, hit, _ = roc_curve(told, scores)
                counts |= {
                    "melanoma_auc": round(float(roc_auc_score(told, scores)), 4),
                    "sensitivity_at_specificity": round(float(hit[off <= 0.2].max()), 4),
                }
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Run the jobs one after the other."""
    parser = argparse.ArgumentParser(prog="python -m batch.training.torch_course")
    parser.add_argument("pack", type=Path, metavar="PACK")
    parser.add_argument("--jobs", type=Path, required=True, metavar="FILE")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--lite0", type=Path, metavar="NPZ")
    parser.add_argument("--lite2", type=Path, metavar="NPZ")
    parser.add_argument("--processes", type=int, default=16, metavar="N", help="that decode")
    parser.add_argument("--until", type=float, default=math.inf, metavar="SECONDS",
                        help="start no job after so many seconds")  # fmt: skip
    parser.add_argument("--checkpoint-seconds", type=float, metavar="N",
                        help="keep a job's state every so many seconds, to go on from")  # fmt: skip
    parser.add_argument("--stop", action="store_true",
                        help="train nothing: keep what each job's checkpoint holds, and count its "
                        "sets without judging")  # fmt: skip
    options = parser.parse_args(words)
    started = time.perf_counter()
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    packed = read_pack(options.pack, device, 0 if options.stop else options.processes)
    _tell(options.output, {"read": len(packed.rows), "seconds": time.perf_counter() - started})
    imagenet = {"lite0": options.lite0, "lite2": options.lite2}
    models: dict[str, LiteNetwork] = {}
    for job in json.loads(options.jobs.read_text(encoding="utf-8")):
        if time.perf_counter() - started > options.until:
            _tell(options.output, {"name": job["name"], "left_out": True})
            continue
        if names := job.get("average"):
            recipe = with_changes(find_recipe(job["recipe"]), job.get("changes", ()))
            facts: dict[str, Any] = {"recipe": recipe, "model": mean_of([models[n] for n in names])}
        else:
            checkpoint = None
            if options.checkpoint_seconds or options.stop:
                file = options.output / f"{job['name']}.checkpoint.pt"
                checkpoint = Checkpoint(file, options.checkpoint_seconds or math.inf)
            if options.stop and checkpoint:
                facts = stopped(job, checkpoint, imagenet)
            else:
                facts = train(job, packed, imagenet, checkpoint)
        model, recipe = facts.pop("model"), facts.pop("recipe")
        models[job["name"]] = model
        sets = judged(model, recipe, packed, job.get("hold_out", ""), not options.stop)
        device_name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
        _tell(options.output, {**job, **facts, "device": device_name, "torch": torch.__version__,
                               "sets": sets})  # fmt: skip
        if job.get("keep"):
            keep(model, options.output, job["name"], np.dtype(job.get("dtype", "float32")))
    return 0


def mean_of(models: Sequence[LiteNetwork]) -> LiteNetwork:
    """One network with the means of several networks' weights (Wortsman et al. 2022, soups)."""
    found = copy.deepcopy(models[0])
    states = [model.state_dict() for model in models]
    found.load_state_dict({
        key: torch.stack([state[key] for state in states]).mean(0)
        if value.is_floating_point() else value
        for key, value in states[0].items()
    })  # fmt: skip
    return found


def _tell(output: Path, facts: dict[str, Any]) -> None:
    line = json.dumps(facts)
    print(line, flush=True)  # noqa: T201
    with (output / "results.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
