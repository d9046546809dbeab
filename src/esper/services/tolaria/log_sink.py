"""LogSink: growth events on their way into the run log."""

from __future__ import annotations

from pydantic import BaseModel

from esper.services.tolaria.telemetry import OnEvent


class LogSink:
    """Turns events into records. Implements the port `TelemetrySink`.

    The orchestrator looks at the data before the log is open: those events are of step 0, and a
    resumed run has them already. What happens as a run is resumed waits until the log is open.
    """

    def __init__(self) -> None:
        self.early: list[BaseModel] = []
        """Events from before the log was open."""
        self._write: OnEvent | None = None

    def open(self, write: OnEvent) -> None:
        """Write what has waited, and from now on everything."""
        self._write = write
        for event in self.early:
            self.emit(event)
        self.early.clear()

    def emit(self, event: BaseModel) -> None:
        """Write the event as a record of type ``event``."""
        if self._write is None:
            self.early.append(event)
        else:
            self._write({"type": "event", **event.model_dump(mode="json")})
