"""EfficientNet-Lite in PyTorch, for training on a GPU; the artifact's model is Keras's.

The layers carry the names of the published weights (see `networks`), so `weights_from` there reads
what was trained here, and folds the normalisations into the convolutions. A test holds both
networks' scores against each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from batch.training.lite import (
    HEAD_FILTERS,
    INPUT_OFFSET,
    INPUT_SCALE,
    NORM_EPSILON,
    STEM_FILTERS,
    Stage,
)

LEVEL = 190.0
_NORM_MOMENTUM = 0.01


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow pads `same`: with stride 2, less before than behind."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        pads = []
        for side in (x.shape[3], x.shape[2]):
            whole = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [whole // 2, whole - whole // 2]
        if any(pads):
            x = F.pad(x, pads)
        return F.conv2d(x, self.weight, None, self.stride, 0, 1, self.groups)


class _Block(nn.Module):
    def __init__(self, width: int, stage: Stage, stride: int) -> None:
        super().__init__()
        inside = width * stage.expand
        self.adds = stride == 1 and width == stage.filters
        if stage.expand != 1:
            self._expand_conv = SameConv(width, inside, 1, bias=False)
            self._bn0 = _norm(inside)
        self._depthwise_conv = SameConv(
            inside, inside, stage.kernel, stride, groups=inside, bias=False
        )
        self._bn1 = _norm(inside)
        self._project_conv = SameConv(inside, stage.filters, 1, bias=False)
        self._bn2 = _norm(stage.filters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        came = x
        if hasattr(self, "_expand_conv"):
            x = F.relu6(self._bn0(self._expand_conv(x)))
        x = F.relu6(self._bn1(self._depthwise_conv(x)))
        x = self._bn2(self._project_conv(x))
        return x + came if self.adds else x


class LiteNetwork(nn.Module):
    """The network of a recipe with an EfficientNet-Lite: (N, 3, S, S) in 0..255 to logits (N, K).

    Args:
        smooth, colour_constancy, dropout: as in `parts.EfficientNetLite0`.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        classes: int,
        dropout: float,
        smooth: bool,
        colour_constancy: bool,
    ) -> None:
        super().__init__()
        self.smooth, self.colour_constancy, self.dropout = smooth, colour_constancy, dropout
        self._conv_stem = SameConv(3, STEM_FILTERS, 3, 2, bias=False)
        self._bn0 = _norm(STEM_FILTERS)
        blocks, width = [], STEM_FILTERS
        for stage in stages:
            for repeat in range(stage.repeats):
                blocks.append(_Block(width, stage, stage.stride if repeat == 0 else 1))
                width = stage.filters
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv(width, HEAD_FILTERS, 1, bias=False)
        self._bn1 = _norm(HEAD_FILTERS)
        self._fc = nn.Linear(HEAD_FILTERS, classes)
        self._frozen: list[nn.Module] = []
        nn.init.normal_(self._fc.weight, std=0.01)
        nn.init.zeros_(self._fc.bias)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits; what stands in front of the backbone is computed in float32."""
        with torch.autocast(image.device.type, enabled=False):
            x = image.float()
            if self.smooth:
                x = F.avg_pool2d(F.avg_pool2d(x, 2, 1), 2, 1)
            if self.colour_constancy:
                x = shades_of_grey(x)
            x = x * INPUT_SCALE + INPUT_OFFSET
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = F.relu6(self._bn1(self._conv_head(x)))
        x = F.dropout(x.mean((2, 3)), self.dropout, self.training)
        return self._fc(x).float()

    def load_imagenet(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Set the backbone from the published arrays; the classifier stays as it is.

        Raises:
            RuntimeError: an array is missing, or of another shape.
        """
        state = {
            name: torch.from_numpy(np.asarray(array, np.float32))
            for name, array in arrays.items()
            if not name.startswith("_fc.") and "num_batches" not in name
        }
        own = self.state_dict()
        kept = {k: v for k, v in own.items() if k.startswith("_fc.") or "num_batches" in k}
        self.load_state_dict({**state, **kept})

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Set all weights, the classifier's too, from what `arrays` gave.

        Raises:
            RuntimeError: an array is missing, or of another shape.
        """
        own = self.state_dict()
        kept = {name: own[name] for name in own if "num_batches" in name}
        given = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        self.load_state_dict({**given, **kept})

    @torch.no_grad()
    def unfold(self, batches: Sequence[torch.Tensor]) -> None:
        """Measure the normalisations' inputs, and set them so that the network computes the same.

        Folded weights have normalisations that do nothing: they would change everything as soon as
        training normalised a batch.

        Args:
            batches: (N, 3, S, S) in 0..255, of one size, as training will see them.
        """
        sums: dict[nn.BatchNorm2d, list[torch.Tensor]] = {}

        def measure(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
            if isinstance(module, nn.BatchNorm2d):
                x = given[0].double()
                found = torch.stack([x.mean((0, 2, 3)), (x * x).mean((0, 2, 3))])
                sums.setdefault(module, []).append(found)

        was_training = self.training
        self.eval()
        norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]
        handles = [norm.register_forward_pre_hook(measure) for norm in norms]
        for batch in batches:
            self(batch)
        for handle in handles:
            handle.remove()
        for norm, found in sums.items():
            mean, square = torch.stack(found).mean(0)
            variance = (square - mean * mean).clamp_min(0)
            running_mean, running_var = norm.running_mean, norm.running_var
            assert running_mean is not None and running_var is not None  # noqa: S101 - tracked
            scale = norm.weight / torch.sqrt(running_var + norm.eps)
            norm.bias += scale * (mean - running_mean).float()
            norm.weight.copy_(scale * torch.sqrt(variance + norm.eps).float())
            running_mean.copy_(mean)
            running_var.copy_(variance)
        self.train(was_training)

    def freeze(self, blocks: int) -> None:
        """The stem and so many blocks are not trained, nor their normalisations; 0: all are."""
        self._frozen = [self._conv_stem, self._bn0, *self._blocks[:blocks]] if blocks else []
        for module in self._frozen:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> LiteNetwork:
        """As PyTorch's; what is frozen keeps its running statistics."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def arrays(self, dtype: Any = np.float32) -> dict[str, np.ndarray]:
        """All weights by name, as `networks.weights_from` and `from_torch` read them."""
        return {
            name: value.detach().float().cpu().numpy().astype(dtype)
            for name, value in self.state_dict().items()
            if "num_batches" not in name
        }


def shades_of_grey(x: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) in 0..255; see `networks.shades_of_grey`, whose arithmetic this is."""
    square = (x / 255.0) ** 2
    norm = (square * square * square).mean((2, 3), keepdim=True).clamp_min(1e-6) ** (1 / 6)
    return (x * (LEVEL / 255.0) / norm).clamp(0.0, 255.0)


def _norm(filters: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(filters, eps=NORM_EPSILON, momentum=_NORM_MOMENTUM)
