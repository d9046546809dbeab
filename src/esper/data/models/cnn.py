"""Two small convolutional networks: a plain stack, and one with residual blocks."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


def plain_cnn(channels: int, classes: int, *, width: int = 16) -> nn.Sequential:
    """Three strided convolutions with batch norm, global average pooling, one linear layer.

    Takes ``(B, channels, H, W)`` with H, W >= 8; gives logits ``(B, classes)``.
    """
    layers: list[nn.Module] = []
    for fan_in, fan_out in ((channels, width), (width, 2 * width), (2 * width, 4 * width)):
        layers += [
            nn.Conv2d(fan_in, fan_out, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(fan_out),
            nn.ReLU(),
        ]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes)
    )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, fig. 2)."""

    def __init__(self, fan_in: int, fan_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(fan_in, fan_out, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(fan_out)
        self.conv2 = nn.Conv2d(fan_out, fan_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(fan_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or fan_in != fan_out:
            self.shortcut = nn.Conv2d(fan_in, fan_out, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, fan_in, H, W)`` to ``(B, fan_out, H / stride, W / stride)``."""
        out = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


def residual_cnn(channels: int, classes: int, *, width: int = 16) -> nn.Sequential:
    """A stem, three residual blocks of growing width, pooling, one linear layer.

    Takes ``(B, channels, H, W)`` with H, W >= 8; gives logits ``(B, classes)``.
    """
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        ResidualBlock(width, width, 1),
        ResidualBlock(width, 2 * width, 2),
        ResidualBlock(2 * width, 4 * width, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, classes),
    )
