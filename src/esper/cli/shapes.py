"""Shapes and geometries as they are typed on a command line."""

from __future__ import annotations

from esper.blueprints.geometry import Geometry
from esper.cli.requests import GeometryRequest
from esper.contracts.enums import Layout
from esper.contracts.errors import ConfigError
from esper.utils.nearest import did_you_mean

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


def read_geometry(request: GeometryRequest) -> Geometry | None:
    """The place that the options describe; None when they describe none.

    Raises:
        ConfigError: host or input is missing or unknown, or they do not go together.
    """
    if request.host is None and request.input_shape is None:
        return None
    host = request.host or "linear"
    if host not in LAYOUTS:
        raise ConfigError(f"--host {host!r} is no host type. {did_you_mean(host, list(LAYOUTS))}")
    if request.input_shape is None:
        raise ConfigError(f"--host {host} needs --input SHAPE, like --input 40")
    read = parse_shape(request.input_shape, "--input")
    layout = LAYOUTS[host].get(len(read))
    if layout is None:
        axes = " or ".join(str(number) for number in LAYOUTS[host])
        raise ConfigError(
            f"--input {request.input_shape!r} has {len(read)} axes; a {host} layer reads {axes}"
        )
    returned = read
    if request.output_shape is not None:
        returned = parse_shape(request.output_shape, "--output-shape")
    source = None
    if request.source_shape is not None:
        source = known_shape(request.source_shape, "--source")
    linear = host == "linear"
    attributes = {"in_features": read[-1], "out_features": returned[-1], "bias": True}
    return Geometry(
        host=host,
        layout=layout,
        input_shape=read,
        output_shape=returned,
        source_shape=source,
        causal=request.causal,
        vocabulary=request.vocabulary,
        host_attributes=attributes if linear else {},
    )
