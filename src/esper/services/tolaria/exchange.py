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
from itertools import product
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
from esper.orchestration.proven import fitting
from esper.orchestration.strategies import STRATEGIES
from esper.services.tolaria.training_config import TolariaConfig
from esper.utils.plain_file import read_plain

logger = logging.getLogger(__name__)

_USABLE = (KernelStatus.VALIDATED, KernelStatus.CANDIDATE)
"""What may be entered, in this order: a race tries it, and nothing is installed that does not win."""

_IDS: TypeAdapter[list[KernelId]] = TypeAdapter(list[KernelId])
_LONGEST_LIST = 2**20
"""Bytes of the list of ids."""
_SPARE = 10
"""Records asked for beyond those wanted: some kernels turn out not to fit."""


class KernelChoice:
    """The kernels of one run: asked of the library when it begins, read from its folder after.

    Args:
        folder: of the run.
        config: says how many may enter, and by its growth's strategy, of which modes.
        library: asked for every kind of layer that may grow; None where the run has been begun
            already, or asks none.
        cache: what their files come through; its policy says whose kernels are taken.
    """

    def __init__(
        self,
        folder: Path,
        config: TolariaConfig,
        library: KernelLibrary | None,
        cache: KernelCache,
    ) -> None:
        self._list = folder / "kernels" / "entered.json"
        self._modes = STRATEGIES.lookup(config.growth.strategy)().modes
        self._library = library
        self._limit = config.library.enter
        self._cache = cache
        self.files: dict[str, bytes] = {}
        """What the library had, by the kernels' ids, those to try first in front."""
        self.trouble: str | None = None
        """Why there is nothing more, if the library failed."""

    def __call__(self, model: MorphableModel) -> tuple[KernelArtifact, ...]:
        """The kernels for a model's layers, those with the largest proven gain first.

        Raises:
            ArtifactError: one that the run began with was changed since.
            RunFolderError: one of them is missing.
        """
        if self._library is None:
            return self._kept()
        layers = model.kasmina_layers.values()
        geometries = [g for layer in layers if (g := layer.geometry) is not None]
        entered: list[KernelArtifact] = []
        try:
            for kernel_id in self._found(self._library, geometries) if self._limit else ():
                kernel = self._fetched(kernel_id, geometries)
                entered += [] if kernel is None else [kernel]
                if len(entered) == self._limit:
                    break
        except LibraryError as error:
            logger.warning("the library gives no more kernels, the run goes on without: %s", error)
            self.trouble = str(error)
        return tuple(entered)

    def keep(self) -> None:
        """Put what was found into the folder; nothing where there is none.

        Raises:
            CheckpointError: a file cannot be written.
        """
        if not self.files:
            return
        for kernel_id, data in self.files.items():
            write_durably(self._file(kernel_id), data)
        write_durably(self._list, json.dumps(list(self.files), indent=1).encode())

    def found(self) -> list[KernelsEntered]:
        """What to write into the run log; nothing where nobody asked the library."""
        if self._library is None:
            return []
        return [KernelsEntered(step=0, entered=tuple(self.files), trouble=self.trouble)]

    def _found(self, library: KernelLibrary, geometries: Sequence[Geometry]) -> list[str]:
        """Ids of kernels that may fit, the best first."""
        found: dict[str, KernelRecord] = {}
        for query in self._queries(geometries):
            for record in library.search(query, limit=self._limit + _SPARE):
                if record.metadata.kernel_id is not None:
                    found.setdefault(record.metadata.kernel_id, record)
        return sorted(found, key=lambda kernel_id: (*_rank(found[kernel_id]), kernel_id))

    def _queries(self, geometries: Sequence[Geometry]) -> Iterator[KernelQuery]:
        kinds = dict.fromkeys((g.host, g.input_shape, g.output_shape) for g in geometries)
        for (host, read, returned), mode, status in product(kinds, self._modes, _USABLE):
            yield KernelQuery(
                host=host,
                mode=mode,
                input_shape=_spelled(read),
                output_shape=_spelled(returned),
                status=status,
            )

    def _fetched(self, kernel_id: str, geometries: Sequence[Geometry]) -> KernelArtifact | None:
        """A kernel, and its file into `files`; None if it fits nowhere, or is not taken."""
        try:
            data, kernel = self._cache.fetch(kernel_id), self._cache.load_sync(kernel_id)
        except (KernelError, LibraryNotFoundError) as error:
            logger.warning("kernel %s does not enter any race: %s", kernel_id, error)
            return None
        if not any(fitting([kernel], geometry, self._modes) for geometry in geometries):
            return None
        self.files[kernel_id] = data
        return kernel

    def _kept(self) -> tuple[KernelArtifact, ...]:
        """The kernels that the run began with."""
        path = self._list
        if not path.exists():
            return ()
        try:
            ids = _IDS.validate_json(read_plain(path, _LONGEST_LIST))
            return tuple(read_kernel_file(self._file(one), expected_id=one) for one in ids)
        except OSError as error:
            raise RunFolderError(
                f"a kernel that this run began with cannot be read: {error}. Put the file back "
                f"into {path.parent}, or begin a new run"
            ) from error
        except ValidationError as error:
            raise RunFolderError(f"{path} is damaged; put it back, or begin a new run") from error

    def _file(self, kernel_id: str) -> Path:
        return self._list.with_name(f"{kernel_id}.safetensors")


def _rank(record: KernelRecord) -> tuple[int, float]:
    gain = record.proven_gain
    known = _USABLE.index(record.status) if record.status in _USABLE else len(_USABLE)
    return known, float("inf") if gain is None else -gain


def _spelled(shape: Shape) -> str:
    return ",".join("*" if size is None else str(size) for size in shape)
