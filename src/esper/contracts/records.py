"""Records: the lines of a training run's log, and how they travel.

The log in the run's folder is the truth; whatever the bus or a run store holds is a copy that can
be made again from it. A line is known by its position, the byte at which it begins: a run that is
resumed cuts its log back, so that an attempt says how many bytes of the attempts before it stand.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from esper.contracts.base import (
    MOST_SLOTS,
    Body,
    ByName,
    Contract,
    Count,
    Fraction,
    JsonObject,
    KernelId,
    Name,
    Named,
    Place,
    RunId,
    Several,
    Step,
    Text,
    Whole,
    bounded,
)
from esper.contracts.events import AnyEvent, Event, parse_event
from esper.contracts.growth import CostAccount, GrowthReport, LayerRecord


class Record(Contract):
    """Base of the lines that are no growth event; `type` says which."""

    step: Step
    """Training step."""


class HostRecord(Contract):
    """The model as it was given."""

    parameters: Count
    """Its trainable scalars."""
    training_flops: float | None = None
    """FLOPs of its training over the whole run; None where growth is off."""
    layers: Several[LayerRecord] = ()
    """Its layers that hold parameters, in the order in which the model names them."""
    slots: ByName[Annotated[int, Field(ge=0, le=MOST_SLOTS)]] = Field(default_factory=dict)
    """Seed slots of every layer that may grow, by qualified name."""


class RunStarted(Record):
    """The first line of a run."""

    type: Literal["start"] = "start"
    """Kind of line."""
    name: Name
    """`data model`."""
    config: JsonObject
    """The settings, complete."""
    environment: JsonObject
    """Versions and machine."""
    total_steps: Step
    """Steps planned."""
    batch_size: Count
    """Samples in one batch."""
    learning_rate: float
    """Peak learning rate."""
    data: Text
    """What the data is."""
    source: Text
    """Where the data is from."""
    metric: Name
    """Name of the metric."""
    higher_is_better: bool = True
    """Direction of the metric."""
    split: ByName[Count]
    """Samples of `train`, `growth` and `test`."""
    host: HostRecord
    """The model as it was given."""


class RunResumed(Record):
    """A run goes on from a checkpoint."""

    type: Literal["resume"] = "resume"
    """Kind of line."""
    attempt: Count | None = None
    """Which attempt at the run begins here; None in logs that do not have it."""
    environment: JsonObject
    """Versions and machine."""


class KernelsEntered(Record):
    """What the library had for the run."""

    type: Literal["library"] = "library"
    """Kind of line."""
    entered: Several[KernelId]
    """Kernels that may race."""
    trouble: Text | None = None
    """Why there are no more, if the library failed."""


class StepLogged(Record):
    """A point of the training curve."""

    type: Literal["step"] = "step"
    """Kind of line."""
    train_loss: float | None
    """Mean since the point before; None where it was not finite."""
    lr: float
    """Learning rate."""
    alpha: ByName[Fraction] = Field(default_factory=dict)
    """Blending coefficient of every live seed, by `layer#slot`."""
    step_seconds: float | None = None
    """Mean time of a step since the point before, in seconds; None in logs that do not have it."""


class Evaluated(Record):
    """The model was evaluated on the growth split."""

    type: Literal["eval"] = "eval"
    """Kind of line."""
    train_loss: float | None
    """Mean since the evaluation before; None where it was not finite."""
    growth_loss: float | None
    """On the growth split."""
    growth_metric: float | None
    """On the growth split."""
    cost: CostAccount | None = None
    """Compute so far; None where growth is off."""


class CheckpointFailed(Record):
    """A checkpoint could not be written; training goes on."""

    type: Literal["checkpoint_failed"] = "checkpoint_failed"
    """Kind of line."""
    error: Text
    """Why."""


class RunInterrupted(Record):
    """A signal or a command asked the run to stop; it can be resumed."""

    type: Literal["interrupted"] = "interrupted"
    """Kind of line."""
    signal: Whole | None = None
    """The signal; None for a command."""
    reason: Text | None = None
    """The command's reason; None for a signal."""


class GrowthClosed(Record):
    """Growth has ended: the record of all of it."""

    type: Literal["growth"] = "growth"
    """Kind of line."""
    report: GrowthReport
    """As in the run's `report.json`."""
    kernels: ByName[KernelId] = Field(default_factory=dict)
    """Files of the kernels that the run kept and has for a library, by the layer they grew in."""


class RunEnded(Record):
    """The last line of a run."""

    type: Literal["end"] = "end"
    """Kind of line."""
    result: JsonObject
    """The closing figures, as in the run's `result.json`."""


class KernelsDelivered(Record):
    """How a delivery to the library went. The log has no line for it: the run is over by then."""

    type: Literal["delivery"] = "delivery"
    """Kind of line."""
    step: Step = 0
    """Steps that the run had."""
    kernels: Count = 0
    """Kernels that the library took."""
    reports: Count = 0
    """Reports that it took."""
    refused: Count = 0
    """What it will never take."""
    left: Count = 0
    """What is still in the outbox."""
    trouble: Text | None = None
    """Why something is left."""


class RunFailed(Record):
    """The run ended with an error. Sent over the bus only: the log ends where the error struck."""

    type: Literal["failed"] = "failed"
    """Kind of line."""
    error: Text
    """The error, as a person saw it."""


AnyRecord = Annotated[
    RunStarted
    | RunResumed
    | KernelsEntered
    | StepLogged
    | Evaluated
    | CheckpointFailed
    | RunInterrupted
    | GrowthClosed
    | RunEnded
    | RunFailed,
    Field(discriminator="type"),
]
"""Any line but a growth event's, told apart by `type`."""

LogEntry = Record | Event
"""What a line of a run's log says."""

_ADAPTER: TypeAdapter[AnyRecord] = TypeAdapter(AnyRecord)


def parse_record(line: dict[str, Any]) -> AnyRecord | AnyEvent:
    """Read a line of a run's log; one of type `event` comes back as that event.

    Raises:
        pydantic.ValidationError: The type is unknown or a field is not as it should be.
    """
    if line.get("type") == "event":
        return parse_event({key: value for key, value in line.items() if key != "type"})
    return _ADAPTER.validate_python(line)


class LineRefusedError(ValueError):
    """A line of a log is not within the bounds of its kind; the message names the field."""


_OUT_OF_BOUNDS: Final = frozenset(
    {
        "finite_number",
        "greater_than",
        "greater_than_equal",
        "int_parsing_size",
        "less_than",
        "less_than_equal",
        "recursion_loop",
        "string_pattern_mismatch",
        "string_too_long",
        "too_long",
        "value_error",
    }
)
"""Faults of a line that are refused; a line with any other fault may be of another version."""


def checked_record(line: dict[str, Any]) -> AnyRecord | AnyEvent | None:
    """Read a line that came from outside; None where its kind or shape is not known here.

    A log may be of another version of Esper, whose lines are kept as they are; then only depth and
    lengths are looked at.

    Raises:
        LineRefusedError: The line breaks the bounds of its kind; says in which field.
    """
    try:
        return parse_record(line)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False, include_context=False):
            if fault["type"] in _OUT_OF_BOUNDS:
                field = ".".join(str(part) for part in fault["loc"][1:]) or "the whole"
                raise LineRefusedError(f"{field}: {fault['msg']}") from error
    try:
        bounded(line)
    except ValueError as error:
        raise LineRefusedError(f"the whole: {error}") from error
    return None


class RunLine(Contract):
    """One line of a log, and where it stands."""

    position: Count
    """Byte of the log at which it begins."""
    body: Body
    """The line; `parse_record` reads it."""


class RunRecords(Named):
    """Lines of one run's log, on their way over the bus."""

    version: Literal[1] = 1
    """Version of its fields."""
    run_id: RunId
    """Which run."""
    attempt: Count
    """How often the run had been resumed when it wrote them."""
    kept: Count = 0
    """Bytes of the earlier attempts' log that this attempt began with: what stood behind them
    is void."""
    folder: Place = ""
    """Where the run's folder is, on its own machine."""
    lines: Several[RunLine]
    """In the order in which they were written."""
