"""The controlled vocabulary: every closed set of words that two parts of Esper share.

Values are what stands in files, messages and logs; they do not change within an API version.
The seed's own lifecycle (phases, events and moves) is in `lifecycle.py`.
"""

from __future__ import annotations

from enum import StrEnum


class SeedState(StrEnum):
    """What a user calls the stages of a seed; derived from its phase by `lifecycle.seed_state`."""

    DORMANT = "dormant"
    """The slot is empty: the layer computes exactly what it always did."""
    GERMINATED = "germinated"
    """A kernel was chosen for the slot and is being loaded."""
    TRAINING = "training"
    """The kernel learns; it does not yet change what the layer returns."""
    GRAFTING = "grafting"
    """The kernel is being blended into the layer's output."""
    FOSSILIZED = "fossilized"
    """The kernel is part of the model for good."""
    CULLED = "culled"
    """The kernel was rejected and is being removed."""


class BlueprintState(StrEnum):
    """Where a blueprint stands on its way to a kernel that may be used."""

    PROPOSED = "proposed"
    """Described, not yet offered to the forge."""
    UNVALIDATED = "unvalidated"
    """Waits for a worker to build and prove it."""
    COMPILING = "compiling"
    """A worker holds its lease."""
    VALIDATED = "validated"
    """Built and proven: at least one kernel of it is stored."""
    INVALID = "invalid"
    """A check failed; the reason is in its record."""
    ARCHIVED = "archived"
    """Kept, no longer offered. No move leads out."""


class KernelStatus(StrEnum):
    """Where a stored kernel stands."""

    CANDIDATE = "candidate"
    """Stored and well-formed; not measured yet."""
    VALIDATED = "validated"
    """Measured: its cost and behaviour are what its manifest says."""
    REJECTED = "rejected"
    """A check or a measurement failed; it must not be loaded."""
    RETIRED = "retired"
    """Still loadable by id, no longer offered."""


class KernelMode(StrEnum):
    """How a kernel's output joins its host's; `alpha` is the blending coefficient in [0, 1]."""

    REPLACING = "replacing"
    """`host(x) + alpha * (kernel(x) - host(x))`: at alpha 1 the host is not needed any more."""
    RESIDUAL = "residual"
    """`host(x) + alpha * kernel(x)`: the host stays."""


class Layout(StrEnum):
    """What the axes of a layer's input mean; B batch, S sequence, F features, C channels."""

    FLAT = "flat"
    """(B, F): one vector per sample; whether its order means anything is not known."""
    TOKENS = "tokens"
    """(B, S, F): one vector per position."""
    CHANNELS_1D = "channels_1d"
    """(B, C, L): channels over a line."""
    CHANNELS_2D = "channels_2d"
    """(B, C, H, W): channels over an image."""
    IDS = "ids"
    """(B,) or (B, S): integers below a vocabulary size."""


class AdaptationStrategyName(StrEnum):
    """What an adaptation is meant to achieve."""

    DIVERSIFY = "diversify"
    """Try kernel families that the model does not have yet, over many layers."""
    SPECIALIZE = "specialize"
    """Concentrate on the layer that lacks most, with variants of what works there."""
    ENSEMBLE = "ensemble"
    """Keep the host and add residual kernels beside it."""
    REPLACE = "replace"
    """Let a better-suited kernel take over a layer and drop the host."""


class AdaptationAction(StrEnum):
    """What a controller may ask for."""

    GROW = "grow"
    """Open a race for a new kernel."""
    CULL = "cull"
    """Remove a live kernel."""
    FOSSILIZE = "fossilize"
    """Make a live kernel permanent."""


class AdaptationOutcome(StrEnum):
    """How an adaptation ended."""

    FOSSILIZED = "fossilized"
    CULLED = "culled"
    NO_WINNER = "no_winner"
    OUTRACED = "outraced"
    """Another kernel won the race."""
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


class Verdict(StrEnum):
    """What a run decides about a candidate or a kernel."""

    GRAFT = "graft"
    """It won its race, and is blended in."""
    DECLINE = "decline"
    """Nobody won the race, or none was held."""
    FOSSILISE = "fossilise"
    """The kernel stays for good."""
    CULL = "cull"
    """The kernel is removed."""
    ROLL_BACK = "roll back"
    """The run goes back to where it was before the graft."""


class KasminaAction(StrEnum):
    """What a `KasminaControlCommand` tells a layer to do."""

    LOAD_KERNEL = "load_kernel"
    UNLOAD_KERNEL = "unload_kernel"
    SET_ALPHA = "set_alpha"
    CULL = "cull"
    """Remove the seed's kernel, and leave the slot alone for a while."""
    FREEZE = "freeze"
    """Train the seed's kernel no further; it goes on taking part."""
    FOSSILIZE = "fossilize"


class ComponentStatus(StrEnum):
    """The condition of a layer, a service or the whole."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"
    """Nothing was measured; never to be read as healthy."""


class TopicNames(StrEnum):
    """Topics of the message bus, as `plane.subject`."""

    TELEMETRY_SEED_HEALTH = "telemetry.seed_health"
    TELEMETRY_TRAINING = "telemetry.training"
    CONTROL_KASMINA_COMMANDS = "control.kasmina_commands"
    CONTROL_ADAPTATION_DECISIONS = "control.adaptation_decisions"
    CONTROL_RESULTS = "control.results"
    HEALTH_COMPONENTS = "health.components"
    HEALTH_ALERTS = "health.alerts"
    EVENTS_SEED = "events.seed"
    EVENTS_RACE = "events.race"
    EVENTS_TRAINING = "events.training"
    EVENTS_COMPILATION = "events.compilation"
    INNOVATION_BLUEPRINT_REQUESTS = "innovation.blueprint_requests"
    INNOVATION_FIELD_REPORTS = "innovation.field_reports"


class Role(StrEnum):
    """What the bearer of a token may do in the library; every role may read."""

    READER = "reader"
    """Reads."""
    TRAINER = "trainer"
    """Submits blueprints and kernels, and reports what became of them."""
    COMPILER = "compiler"
    """Leases blueprints, and uploads kernels with their reports."""
    PROMOTER = "promoter"
    """Moves states, signs, and sets aliases."""
    ADMIN = "admin"
    """Everything, tokens and the audit log included."""


class AlertRule(StrEnum):
    """What an observer raises an alert for; the runbook has a line for each."""

    LOSS_SPIKE = "loss_spike"
    """The train loss jumped far above its recent values."""
    PLATEAU = "plateau"
    """The growth loss has not fallen for long, and nothing grows."""
    NOT_FINITE = "not_finite"
    """A loss or a health measurement is NaN or infinite."""
    DEAD_UNITS = "dead_units"
    """Most units of a layer no longer vary."""
    GRADIENT_EXPLOSION = "gradient_explosion"
    """A layer's gradient grew far above its recent values."""
    STALLED_RACE = "stalled_race"
    """A race is open long after it should have been decided."""
    WORKER_LOST = "worker_lost"
    """A service or trainer has not been heard of for too long."""
    BUS_LAG = "bus_lag"
    """A group of the bus falls behind, or its messages are dropped."""
    CACHE_MISS_STORM = "cache_miss_storm"
    """Most loads of a kernel cache find nothing."""

    @property
    def runbook(self) -> str:
        """Where the runbook says what to do about it."""
        return f"docs/runbook.md#{self.value}"


class Severity(StrEnum):
    """How much an alert matters."""

    WARNING = "warning"
    """Somebody should look."""
    CRITICAL = "critical"
    """The run, or the platform, is about to lose its work."""


class RunState(StrEnum):
    """Where a training run is, as far as is known."""

    RUNNING = "running"
    """It was heard of lately."""
    FINISHED = "finished"
    """All steps were trained."""
    STOPPED_EARLY = "stopped_early"
    """The growth loss no longer fell."""
    INTERRUPTED = "interrupted"
    """It was asked to stop; it can be resumed."""
    FAILED = "failed"
    """It ended with an error."""
    LOST = "lost"
    """It said nothing for too long: killed, or cut off."""


class ComponentName(StrEnum):
    """The services of the platform."""

    TOLARIA = "tolaria"
    """Trains."""
    TAMIYO = "tamiyo"
    """Decides."""
    TEZZERET = "tezzeret"
    """Builds kernels."""
    URZA = "urza"
    """Keeps blueprints and kernels."""
    OONA = "oona"
    """Carries messages."""
    NISSA = "nissa"
    """Watches."""
