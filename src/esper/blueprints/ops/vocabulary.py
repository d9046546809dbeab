"""The whole vocabulary: importing this file fills the registry. A new op is one class in one file."""

from __future__ import annotations

from esper.blueprints.ops import (
    attention,
    convolution,
    dense,
    elementwise,
    normalization,
    pooling,
    recurrent,
    shape,
)
from esper.blueprints.ops.op import OPS

SOURCES = (
    attention,
    convolution,
    dense,
    elementwise,
    normalization,
    pooling,
    recurrent,
    shape,
)
"""The files that register ops."""

VOCABULARY = OPS
"""Every op by its name."""
