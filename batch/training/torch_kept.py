"""What a course leaves: checkpoints to go on from, and the weights of jobs."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from batch.training.torch_network import LiteNetwork

_MOST_BYTES = 15 << 20
"""Bytes of a file of weights: what carries them away may bound a file."""


@dataclass
class Checkpoint:
    """State of a job, written every so many seconds. file: of the state. every: seconds."""

    file: Path
    every: float
    written_at: float = 0.0

    def read(self, job: dict[str, Any]) -> dict[str, Any] | None:
        """The state that this very job left; None where there is none, or of another job."""
        if not self.file.exists():
            return None
        state = torch.load(self.file, weights_only=True)
        return dict(state) if state["job"] == json.dumps(job, sort_keys=True) else None

    def write(self, job: dict[str, Any], state: dict[str, Any]) -> None:
        """Replace the file when its time has come."""
        if time.perf_counter() - self.written_at < self.every:
            return
        part = self.file.with_suffix(".part")
        torch.save({"job": json.dumps(job, sort_keys=True), **state}, part)
        part.replace(self.file)
        self.written_at = time.perf_counter()


def keep(model: LiteNetwork, output: Path, name: str, dtype: Any) -> None:
    """Write all weights, in files of no more than a bound."""
    parts: list[dict[str, np.ndarray]] = [{}]
    size = 0
    for key, array in model.arrays(dtype).items():
        if size + array.nbytes > _MOST_BYTES and parts[-1]:
            parts.append({})
            size = 0
        parts[-1][key] = array
        size += array.nbytes
    for number, part in enumerate(parts):
        np.savez(output / f"{name}.{number}.npz", **part)  # type: ignore[arg-type]


def kept_arrays(folder: Path, name: str) -> dict[str, np.ndarray]:
    """What `keep` wrote: all weights by name, float32."""
    found: dict[str, np.ndarray] = {}
    for file in sorted(folder.glob(f"{name}.[0-9]*.npz")):
        with np.load(file) as arrays:
            found |= {key: arrays[key].astype(np.float32) for key in arrays.files}
    return found
