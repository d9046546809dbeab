"""One data set, ready for training: tensors in memory, its task, its default host and recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.utils.data import TensorDataset

from esper.contracts.errors import DataError
from esper.data.task import LOSSES, METRICS, LossFn, Metric, Task


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the data set's default host is trained when nobody says otherwise."""

    steps: int | None = None
    """Optimizer steps; ``None`` means that ``epochs`` decides."""
    epochs: int | None = None
    """Passes over the training split, used when ``steps`` is ``None``."""
    batch_size: int = 100
    """Samples a step."""
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW with a cosine schedule."""
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            message = f"a Recipe gives either steps or epochs, not {self.steps} and {self.epochs}"
            raise DataError(message)


@dataclass(frozen=True, kw_only=True)
class DataBundle:
    """A data set with everything that a run needs to know about it.

    ``train`` and ``test`` hold two tensors each, inputs and targets, sample axis first.

    Raises:
        DataError: tensors and labels do not match, or a split is empty.
    """

    name: str
    train: TensorDataset
    """What may be learned from; the trainer carves the growth split out of it."""
    test: TensorDataset
    """Measured once, at the end of a run."""
    task: Task
    model: Callable[[], nn.Module]
    """Builds the default host, freshly initialised from torch's global generator."""
    recipe: Recipe
    description: str
    """One line: what a sample is, and how many there are."""
    source: str
    """Where the data came from: a package, a file, a URL."""
    classes: tuple[str, ...] = ()
    """Names of the classes, or the vocabulary's characters; empty for regression."""
    overlap: int = 1
    """Samples ``i`` and ``i + overlap`` of ``train`` share no content. 1 for independent samples;
    more for windows cut from one sequence, whose splits are by position."""
    loss: LossFn | None = None
    """Training loss; ``None`` takes the task's."""
    metric: Metric | None = None
    """Reported metric; ``None`` takes the task's."""
    geometry: dict[str, int] = field(default_factory=dict)
    """What a model factory may want to know, for example ``vocabulary`` and ``context``."""

    def __post_init__(self) -> None:
        for split, data in (("train", self.train), ("test", self.test)):
            if len(data.tensors) != 2:
                message = (
                    f"{self.name}: {split} holds {len(data.tensors)} tensors; it must hold two, "
                    "inputs and targets: TensorDataset(x, y)"
                )
                raise DataError(message)
            if len(data) == 0:
                message = f"{self.name}: the {split} split holds no sample"
                raise DataError(message)
        if self.overlap < 1:
            message = f"{self.name}: overlap is {self.overlap}; it must be at least 1"
            raise DataError(message)

    @property
    def loss_fn(self) -> LossFn:
        """The training loss, a mean over the batch."""
        return self.loss if self.loss is not None else LOSSES[self.task]

    @property
    def measure(self) -> Metric:
        """The reported metric."""
        return self.metric if self.metric is not None else METRICS[self.task]

    @property
    def example(self) -> Tensor:
        """Two training inputs, for tracing a model's geometry."""
        example: Tensor = self.train.tensors[0][:2]
        return example
