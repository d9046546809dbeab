"""LoggerFeed: hands a run to a logger without ever holding the training up.

The training thread only appends to a queue; a thread of the feed's own calls the logger. A logger
that is slow makes the queue full, and what does not fit is dropped and counted; one that raises is
reported once, counted, and called again for the next record. The run's log has everything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from types import TracebackType
from typing import Final, Self

from pydantic import BaseModel

from esper.contracts.errors import ConfigError
from esper.contracts.records import LogEntry, Record, RunFailed, RunInterrupted, RunStarted
from esper.integrations.loggers.figures import figures, hyperparameters
from esper.integrations.loggers.logger import Logger
from esper.utils.logging import get_logger

_LOG = get_logger(__name__)

CAPACITY: Final = 10_000
"""Records that may wait for a logger."""
DRAIN_SECONDS: Final = 30.0
"""How long the end of a run waits for a logger that is behind."""

Item = BaseModel | tuple[dict[str, float], int | None]


class LoggerFeed:
    """Feeds one logger. Takes records of a run's log (`feed(record)`) and events (`feed.emit(event)`).

    It is what `bootstrap.train(on_record=...)` and `SeedOrchestrator(sinks=[...])` take. Use it as
    a context manager, or call `close`; an exception on the way out tells the logger that the run
    has failed.

    Args:
        logger: Any object with the methods of `Logger`. From now on only the feed's thread
            calls it.
        capacity: Records that may wait; what comes when so many do is dropped.

    Raises:
        ConfigError: The object lacks one of the methods.

    Example:
        >>> with LoggerFeed(logger) as feed:  # doctest: +SKIP
        ...     grow = SeedOrchestrator(model, optimizer, sinks=[feed], ...)
        ...     for step, (x, y) in enumerate(batches, start=1):
        ...         feed.log_metrics({"train_loss": train(x, y)}, step)
    """

    def __init__(self, logger: Logger, *, capacity: int = CAPACITY) -> None:
        required = ("log_metrics", "log_hyperparams", "finalize")
        missing = [name for name in required if not callable(getattr(logger, name, None))]
        if missing:
            raise ConfigError(
                f"{type(logger).__name__} is no logger: it has no {', '.join(missing)}; a logger "
                f"has {', '.join(required)}, as those of Lightning do"
            )
        self._logger = logger
        self._capacity = capacity
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self.dropped = 0
        """Records that the logger never saw because it was too slow."""
        self.failures = 0
        """Calls of the logger that raised."""
        self._used = False
        self._status = "success"
        self._thread = threading.Thread(
            target=self._work, name=f"logger-{type(logger).__name__}", daemon=True
        )
        self._thread.start()

    def __call__(self, record: LogEntry) -> None:
        """Take what a line of a run's log says."""
        self._put(record)

    def emit(self, event: BaseModel) -> None:
        """Take an event. Implements the port `TelemetrySink`."""
        self._put(event)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Take figures of a loop's own."""
        self._put((dict(metrics), step))

    def close(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Let the logger catch up, finalize it, and end the thread; calling it again does nothing.

        Args:
            drain_seconds: A logger that needs longer is left to itself, with a warning.
        """
        if not self._thread.is_alive():
            return
        self._queue.put(None)
        self._thread.join(drain_seconds)
        name = type(self._logger).__name__
        if self._thread.is_alive():
            _LOG.warning("logger does not answer, records are lost", logger=name)
        if self.dropped or self.failures:
            _LOG.warning(
                "logger did not see the whole run",
                logger=name,
                dropped=self.dropped,
                failures=self.failures,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._put(RunFailed(step=0, error=str(error)))
        self.close()

    def _put(self, item: Item) -> None:
        if self._queue.qsize() >= self._capacity:
            self.dropped += 1
        else:
            self._queue.put(item)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            self._guarded(self._log, item)
            if self._queue.empty():
                self._guarded(getattr(self._logger, "save", _nothing))
        if self._used:
            self._guarded(self._logger.finalize, self._status)

    def _log(self, item: Item) -> None:
        if isinstance(item, tuple):
            self._hand_over(*item)
            return
        if isinstance(item, Record):
            broken_off = isinstance(item, RunInterrupted | RunFailed)
            self._status = "failed" if broken_off else "success"
        if isinstance(item, RunStarted):
            self._describe(item)
        self._hand_over(figures(item), getattr(item, "step", None))

    def _describe(self, record: RunStarted) -> None:
        self._used = True
        try:
            self._logger.log_hyperparams(hyperparameters(record))
        except NotImplementedError:  # Lightning's loggers for CSV files say so; it is no fault
            _LOG.debug("logger takes no settings", logger=type(self._logger).__name__)

    def _hand_over(self, metrics: dict[str, float], step: int | None) -> None:
        if metrics:
            self._used = True
            self._logger.log_metrics(metrics, step)

    def _guarded(self, call: Callable[..., None], *arguments: object) -> None:
        try:
            call(*arguments)
        except Exception as error:  # noqa: BLE001 somebody else's code: it must not end the feed
            self.failures += 1
            if self.failures == 1:
                name = type(self._logger).__name__
                _LOG.warning("logger failed, training goes on", logger=name, error=repr(error))


def _nothing() -> None:
    """Stand in for the `save` of a logger that has none."""
