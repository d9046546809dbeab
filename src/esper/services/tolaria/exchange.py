"""Exchange: what a run takes from a library of kernels before it begins.

The kernels lie in the run's folder from then on, so that a resumed run has the same ones whatever
the library holds by then. A library that fails costs the run its kernels, nothing else.

==========================  ==========================================================
`kernels/entered.json`      ids of the kernels that may race, those to try first in front
`kernels/<id>.safetensors`  the kernels
==========================  ==========================================================
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from esper.blueprints.geometry import Geometry
from esper.blueprints.tensor_spec import Shape
from esper.contracts.base import KernelId
from esper.contracts.enums import KernelStatus
from esper.contracts.errors import KernelError, LibraryError, LibraryNotFoundError, RunFolderError
from esper.contracts.library import KernelQuery, KernelRecord
from esper.contracts.ports import KernelLibrary
from esper.contracts.records import KernelsEntered
from esper.core.durable_file import write_durably
from esper.core.morphable_model import MorphableModel
from esper.execution.artifact import KernelArtifact, read_kernel_file
from esper.execution.kernel_cache import KernelCache
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.proven import fitting
from esper.orchestration.strategies import STRATEGIES
from esper.utils.plain_file import read_plain

logger = logging.getLogger(__name__)

KERNELS = "kernels"
_LIST = "entered.json"
_USABLE = (KernelStatus.VALIDATED, KernelStatus.CANDIDATE)
"""What may be entered, in this order: a race tries it, and nothing is installed that does not win."""

_IDS: TypeAdapter[list[KernelId]] = TypeAdapter(list[KernelId])
_LONGEST_LIST = 2**20
"""Bytes of the list of ids."""
_SPARE = 10
"""Records asked for beyond those wanted: some kernels turn out not to fit."""


@dataclass(frozen=True, kw_only=True)
class Entered:
    """A kernel that may race."""

    data: bytes
    """Its file."""
    kernel: KernelArtifact
    """The same, read and checked."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What the library had for a run."""

    entered: tuple[Entered, ...] = ()
    """Those to try first in front."""
    trouble: str | None = None
    """Why there is nothing more, if the library failed."""

    @property
    def kernels(self) -> tuple[KernelArtifact, ...]:
        """As the orchestrator takes them."""
        return tuple(e.kernel for e in self.entered)


def choose(
    library: KernelLibrary,
    model: MorphableModel,
    growth: GrowthConfig,
    *,
    limit: int,
    cache: KernelCache,
) -> Selection:
    """Find kernels for a model's layers, those with the largest proven gain first.

    Args:
        library: asked for every kind of layer that may grow.
        model: as it will be trained.
        growth: whose strategy says which modes are wanted.
        limit: most kernels.
        cache: what their files come through; its policy says whose kernels are taken.
    """
    entered: list[Entered] = []
    geometries = [g for layer in model.kasmina_layers.values() if (g := layer.geometry) is not None]
    modes = STRATEGIES.lookup(growth.strategy)().modes
    try:
        for record in _found(library, geometries, growth, limit):
            if len(entered) == limit:
                break
            one = _fetched(cache, record)
            if one is not None and any(fitting([one.kernel], g, modes) for g in geometries):
                entered.append(one)
    except LibraryError as error:
        logger.warning("the library gives no more kernels, the run goes on without: %s", error)
        return Selection(entered=tuple(entered), trouble=str(error))
    return Selection(entered=tuple(entered))


class KernelChoice:
    """The kernels of one run: asked of the library when it begins, read from its folder after.

    Args:
        folder: of the run.
        growth: the growth cycle's settings.
        library: None where the run has been begun already, or asks none.
        limit: most kernels.
        cache: what their files come through.
    """

    def __init__(
        self,
        folder: Path,
        growth: GrowthConfig,
        library: KernelLibrary | None,
        limit: int,
        cache: KernelCache,
    ) -> None:
        self._folder = folder
        self._growth = growth
        self._library = library
        self._limit = limit
        self._cache = cache
        self._selection = Selection()

    def __call__(self, model: MorphableModel) -> tuple[KernelArtifact, ...]:
        """The kernels, as the orchestrator takes them."""
        if self._library is None:
            return kept(self._folder)
        if self._limit:
            self._selection = choose(
                self._library, model, self._growth, limit=self._limit, cache=self._cache
            )
        return self._selection.kernels

    def keep(self) -> None:
        """Put what was found into the folder."""
        keep(self._folder, self._selection)

    def found(self) -> list[KernelsEntered]:
        """What to write into the run log; nothing where nobody asked the library."""
        if self._library is None:
            return []
        ids = tuple(kernel.kernel_id for kernel in self._selection.kernels)
        return [KernelsEntered(step=0, entered=ids, trouble=self._selection.trouble)]


def _found(
    library: KernelLibrary, geometries: Sequence[Geometry], growth: GrowthConfig, limit: int
) -> list[KernelRecord]:
    """Records of kernels that may fit, the best first."""
    found: dict[str, KernelRecord] = {}
    for query in _queries(geometries, growth):
        for record in library.search(query, limit=limit + _SPARE):
            if record.metadata.kernel_id is not None:
                found.setdefault(record.metadata.kernel_id, record)
    return sorted(found.values(), key=_rank)


def _rank(record: KernelRecord) -> tuple[int, float, str]:
    gain = record.proven_gain
    known = _USABLE.index(record.status) if record.status in _USABLE else len(_USABLE)
    return known, float("inf") if gain is None else -gain, record.metadata.kernel_id or ""


def _queries(geometries: Sequence[Geometry], growth: GrowthConfig) -> Iterator[KernelQuery]:
    modes = STRATEGIES.lookup(growth.strategy)().modes
    kinds = dict.fromkeys((g.host, g.input_shape, g.output_shape) for g in geometries)
    for host, read, returned in kinds:
        for mode in modes:
            for status in _USABLE:
                yield KernelQuery(
                    host=host,
                    mode=mode,
                    input_shape=_spelled(read),
                    output_shape=_spelled(returned),
                    status=status,
                )


def _spelled(shape: Shape) -> str:
    return ",".join("*" if size is None else str(size) for size in shape)


def _fetched(cache: KernelCache, record: KernelRecord) -> Entered | None:
    kernel_id = record.metadata.kernel_id
    assert kernel_id is not None  # _found keeps no others
    try:
        return Entered(data=cache.fetch(kernel_id), kernel=cache.load_sync(kernel_id))
    except (KernelError, LibraryNotFoundError) as error:
        logger.warning("kernel %s does not enter any race: %s", kernel_id, error)
        return None


def keep(folder: Path, selection: Selection) -> None:
    """Put the kernels of a run into its folder; nothing where there are none.

    Raises:
        CheckpointError: a file cannot be written.
    """
    if not selection.entered:
        return
    for one in selection.entered:
        write_durably(_file(folder, one.kernel.kernel_id), one.data)
    ids = [one.kernel.kernel_id for one in selection.entered]
    write_durably(folder / KERNELS / _LIST, json.dumps(ids, indent=1).encode())


def kept(folder: Path) -> tuple[KernelArtifact, ...]:
    """The kernels that a run began with.

    Raises:
        ArtifactError: one of them was changed since.
        RunFolderError: one of them is missing.
    """
    path = folder / KERNELS / _LIST
    if not path.exists():
        return ()
    try:
        ids = _IDS.validate_json(read_plain(path, _LONGEST_LIST))
        return tuple(read_kernel_file(_file(folder, one), expected_id=one) for one in ids)
    except OSError as error:
        raise RunFolderError(
            f"a kernel that this run began with cannot be read: {error}. Put the file back into "
            f"{folder / KERNELS}, or begin a new run"
        ) from error
    except ValidationError as error:
        raise RunFolderError(f"{path} is damaged; put it back, or begin a new run") from error


def _file(folder: Path, kernel_id: str) -> Path:
    return folder / KERNELS / f"{kernel_id}.safetensors"
