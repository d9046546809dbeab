"""Family: one kind of kernel, its sizes, and the layers that it fits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.ir import GraphIR
from esper.blueprints.library.fitting import JOINED
from esper.contracts.enums import KernelMode, Layout
from esper.contracts.errors import GeometryError
from esper.utils.nearest import did_you_mean
from esper.utils.registry import Registry

BOTH = (KernelMode.REPLACING, KernelMode.RESIDUAL)


class Family(ABC):
    """One kind of kernel. Subclasses are stateless; `FAMILIES` holds one instance each."""

    name: ClassVar[str]
    """What users and reports call it."""
    summary: ClassVar[str]
    """One line for the documentation."""
    sizes: ClassVar[Mapping[str, Any]]
    """Settings by size, those to try first in front."""
    order: ClassVar[int] = 50
    """Place among the families that fit a layer: lower ones race first."""
    step: ClassVar[int] = 10
    """How many places later each further size stands."""

    @abstractmethod
    def fits(self, geometry: Geometry) -> bool:
        """Whether the family can stand at such a layer."""

    def modes(self, geometry: Geometry) -> tuple[KernelMode, ...]:
        """Return the modes that make sense there.

        A norm is only replaced by another norm, and behind a module there is nothing to replace.
        """
        return (KernelMode.RESIDUAL,) if geometry.host in JOINED else BOTH

    @abstractmethod
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        """Write the kernel into `g` and return the name of its output.

        Args:
            g: A builder whose input "x" has the geometry's input shape.
            geometry: A geometry that the family fits.
            size: The settings of one size.
            mode: In residual mode the kernel's output must be zero at birth.
        """

    def ir(self, geometry: Geometry, size: str, mode: KernelMode) -> GraphIR:
        """Return the kernel for a layer.

        Raises:
            GeometryError: The size is unknown, or size or mode do not fit the layer.
        """
        if size not in self.sizes:
            raise GeometryError(
                f"The family {self.name!r} has no size {size!r}. "
                f"{did_you_mean(size, list(self.sizes))}"
            )
        if not self.fits(geometry) or mode not in self.modes(geometry):
            raise GeometryError(
                f"The family {self.name!r} does not fit a {geometry.host} layer that maps "
                f"{geometry.layout} {geometry.input_shape} to {geometry.output_shape} in "
                f"{mode} mode; candidates(geometry) lists what does."
            )
        dtype = "int64" if geometry.layout is Layout.IDS else "float32"
        g = GraphBuilder(geometry.input_shape, dtype)
        ir = g.finish(self.write(g, geometry, self.sizes[size], mode))
        if not _same(ir.output_spec.shape, geometry.output_shape):
            raise GeometryError(
                f"The family {self.name!r} in size {size!r} returns {ir.output_spec}, where "
                f"{geometry.output_shape} is needed."
            )
        return ir


def _same(left: tuple[int | None, ...], right: tuple[int | None, ...]) -> bool:
    return len(left) == len(right) and all(
        a == b or None in (a, b) for a, b in zip(left, right, strict=True)
    )


def sizes(**settings: Any) -> Mapping[str, Any]:
    """Return a family's settings by size, those to try first in front."""
    return settings


FAMILIES: Registry[str, Family] = Registry("kernel family")
"""Every family by its name; filled by importing `catalog.py`."""


def family(name: str, summary: str) -> Callable[[type[Family]], type[Family]]:
    """Return a decorator that adds a family to the library.

    Example:
        >>> @family("identity", "A linear map")
        ... class Identity(Family): ...  # doctest: +SKIP
    """

    def add(kind: type[Family]) -> type[Family]:
        kind.name, kind.summary = name, summary
        FAMILIES.add(name, kind())
        return kind

    return add
