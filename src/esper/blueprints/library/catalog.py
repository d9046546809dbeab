"""The catalog: which kernels fit a layer. Importing this file fills the library.

A new family is one file beside this one and one line in `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from esper.blueprints.cost import Cost, cost
from esper.blueprints.geometry import Geometry
from esper.blueprints.ir import GraphIR
from esper.blueprints.library import (
    attention,
    causal_conv,
    conv1d,
    conv2d,
    conv_same,
    embedding,
    fourier,
    glu,
    host_copy,
    low_rank,
    mixture,
    mlp,
    norm,
    recurrent,
    residual_conv,
    separable,
    squeeze_excite,
    wavelet,
)
from esper.blueprints.library.family import FAMILIES, Family
from esper.blueprints.library.host_copy import CONTROLS
from esper.contracts.enums import KernelMode
from esper.contracts.errors import GeometryError

SOURCES = (
    attention,
    causal_conv,
    conv1d,
    conv2d,
    conv_same,
    embedding,
    fourier,
    glu,
    low_rank,
    mixture,
    mlp,
    norm,
    recurrent,
    residual_conv,
    separable,
    squeeze_excite,
    wavelet,
    host_copy,
)
"""The files that register families."""

CONTROL = "control"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A kernel that fits a certain layer.

    Args:
        family: Name of its family.
        size: Name of its size.
        mode: How it joins the host.
        ir: The kernel.
        cost: Its parameters and forward operations per sample, at the example's shape; where that
            is unknown, open axes count as 1.
    """

    family: str
    size: str
    mode: KernelMode
    ir: GraphIR
    cost: Cost

    @property
    def label(self) -> str:
        """Family and size, as reports show them."""
        return f"{self.family}/{self.size}"


def families() -> dict[str, Family]:
    """Return every family by name, in the order in which they race."""
    return dict(sorted(FAMILIES.items(), key=lambda item: (item[1].order, item[0])))


def family_named(name: str) -> Family:
    """Return a family.

    Raises:
        RegistryError: There is none of that name; names the nearest.
    """
    return FAMILIES.lookup(name)


def candidate(geometry: Geometry, family: str, size: str, mode: KernelMode) -> Candidate:
    """Return one kernel for a layer.

    Raises:
        RegistryError: There is no such family.
        GeometryError: The family, in that size and mode, does not fit.
    """
    ir = FAMILIES.lookup(family).ir(geometry, size, mode)
    price = cost(ir, geometry.cost_shape)
    return Candidate(family=family, size=size, mode=mode, ir=ir, cost=price)


def candidates(
    geometry: Geometry,
    *,
    families: Sequence[str] | None = None,
    modes: Sequence[KernelMode] | None = None,
) -> list[Candidate]:
    """Return the kernels that fit a layer, those to try first in front; the control is not one.

    Args:
        geometry: The layer's.
        families: Names to choose from; None means all.
        modes: Modes to choose from; None means both.

    Raises:
        RegistryError: A name is unknown.
    """
    names = FAMILIES if families is None else families
    chosen = [FAMILIES.lookup(name) for name in names if name != CONTROL]
    ranked = sorted(
        (entry for member in chosen for entry in _entries(member, geometry)),
        key=lambda entry: entry[:2],
    )
    return [
        candidate(geometry, member.name, size, mode)
        for _, _, member, size, mode in ranked
        if modes is None or mode in modes
    ]


def _entries(
    member: Family, geometry: Geometry
) -> Iterator[tuple[int, str, Family, str, KernelMode]]:
    """Yield a family's sizes and modes with their rank, residual ones five places later."""
    if not member.fits(geometry):
        return
    for mode in member.modes(geometry):
        for place, size in enumerate(member.sizes):
            later = 5 if mode is KernelMode.RESIDUAL else 0
            yield member.order + member.step * place + later, member.name, member, size, mode


def control(geometry: Geometry) -> Candidate:
    """Return a fresh copy of the host, replacing it.

    Raises:
        GeometryError: The host's type has no control.
    """
    if geometry.host not in CONTROLS:
        raise GeometryError(
            f"A {geometry.host!r} layer has no control. Write one and register it with "
            "@CONTROLS.register(host) in esper.blueprints.library.host_copy."
        )
    return candidate(geometry, CONTROL, "host", KernelMode.REPLACING)


def catalog_table() -> str:
    """Return the library as a Markdown table: each family, its sizes and what it is."""
    lines = ["| Family | Sizes | What it is |", "|---|---|---|"]
    for name, member in families().items():
        lines.append(f"| `{name}` | {', '.join(member.sizes)} | {member.summary} |")
    return "\n".join(lines) + "\n"
