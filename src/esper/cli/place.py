"""Where a kernel is to stand, as it is typed: options, shapes, geometries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from esper.cli.lazy import later
from esper.contracts.enums import Layout
from esper.contracts.errors import ConfigError
from esper.utils.nearest import did_you_mean

with later():
    from esper.blueprints import geometry as geometries

ANY = "?"
Shape = tuple[int | None, ...]

_VECTORS = {1: Layout.FLAT, 2: Layout.TOKENS}
_CHANNELS = {2: Layout.CHANNELS_1D, 3: Layout.CHANNELS_2D}
LAYOUTS: dict[str, dict[int, Layout]] = {
    "linear": _VECTORS,
    "layer_norm": _VECTORS,
    "rms_norm": _VECTORS,
    "conv1d": {2: Layout.CHANNELS_1D},
    "conv2d": {3: Layout.CHANNELS_2D},
    "group_norm": _CHANNELS,
    "batch_norm1d": {1: Layout.FLAT, 2: Layout.CHANNELS_1D},
    "batch_norm2d": {3: Layout.CHANNELS_2D},
    "multihead_attention": {2: Layout.TOKENS},
    "lstm": {2: Layout.TOKENS},
    "gru": {2: Layout.TOKENS},
    "embedding": {0: Layout.IDS, 1: Layout.IDS},
}
"""For each host type: what the axes of its input mean, by their number."""

_option = partial(typer.Option, rich_help_panel="Where it is to stand")

Host = Annotated[
    str | None,
    _option(
        metavar="TYPE",
        help="Type of the host layer: linear, conv1d, conv2d, layer_norm, embedding, ...",
    ),
]
InputShape = Annotated[
    str | None,
    _option(
        "--input",
        metavar="SHAPE",
        help="Input of one sample: 40, 16x32, 3x32x32; ? is an axis of any size, as in ?x64.",
    ),
]
OutputShape = Annotated[
    str | None, _option(metavar="SHAPE", help="Output of one sample; default: the input's.")
]


@dataclass(frozen=True, kw_only=True)
class Place:
    """The options of every command that is told where a kernel is to stand.

    Options:
        source_shape: What a flat input was before it was flattened, like 1x28x28.
        causal: No position may see a later one.
        vocabulary: Number of ids, for embeddings.
    """

    host: Host = None
    input_shape: InputShape = None
    output_shape: OutputShape = None
    source_shape: Annotated[str | None, _option("--source", metavar="SHAPE")] = None
    causal: Annotated[bool, _option("--causal")] = False
    vocabulary: Annotated[int | None, _option(min=1)] = None

    @property
    def is_given(self) -> bool:
        """Whether anything was said about it."""
        return self != Place()

    def geometry(self) -> geometries.Geometry | None:
        """What the options describe; None when nothing was said.

        Raises:
            ConfigError: host or input is missing or unknown, or they do not go together.
        """
        if not self.is_given:
            return None
        host = self.host or "linear"
        if host not in LAYOUTS:
            raise ConfigError(
                f"--host {host!r} is no host type. {did_you_mean(host, list(LAYOUTS))}"
            )
        if self.input_shape is None:
            raise ConfigError(f"--host {host} needs --input SHAPE, like --input 40")
        read = parse_shape(self.input_shape, "--input")
        layout = LAYOUTS[host].get(len(read))
        if layout is None:
            axes = " or ".join(str(number) for number in LAYOUTS[host])
            raise ConfigError(
                f"--input {self.input_shape!r} has {len(read)} axes; a {host} layer reads {axes}"
            )
        given, source = self.output_shape, self.source_shape
        returned = read if given is None else parse_shape(given, "--output-shape")
        return geometries.Geometry(
            host=host,
            layout=layout,
            input_shape=read,
            output_shape=returned,
            source_shape=None if source is None else known_shape(source, "--source"),
            causal=self.causal,
            vocabulary=self.vocabulary,
            host_attributes={"in_features": read[-1], "out_features": returned[-1], "bias": True}
            if host == "linear"
            else {},
        )


def parse_shape(text: str, option: str) -> Shape:
    """Read `3x32x32`, `?x64` or `40`; an empty text is the shape of a single number.

    Raises:
        ConfigError: a part is neither a positive number nor `?`.
    """
    sizes: list[int | None] = []
    for part in text.replace(",", "x").split("x") if text else []:
        if part.strip() == ANY:
            sizes.append(None)
        elif part.strip().isdigit() and int(part) > 0:
            sizes.append(int(part))
        else:
            raise ConfigError(
                f"{option} {text!r}: {part!r} is no size; write sizes of one sample, without the "
                "batch, like 40, 3x32x32 or ?x64"
            )
    return tuple(sizes)


def known_shape(text: str, option: str) -> tuple[int, ...]:
    """Read a shape in which every size is known.

    Raises:
        ConfigError: it is no shape, or a size is left open.
    """
    sizes = parse_shape(text, option)
    if None in sizes:
        raise ConfigError(f"{option} {text!r}: every size must be a number here")
    return tuple(size for size in sizes if size is not None)
