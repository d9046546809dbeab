"""AttachedOptimizers: the optimizers that follow a model's changes of structure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from esper.contracts.errors import OptimizerError
from esper.core.optimizer import add_parameters, remove_parameters


class AttachedOptimizers:
    """Optimizers by identity, each with the options that grown parameters get in it.

    A copy of a model has parameters of its own, so a copied or unpickled one starts empty.
    """

    def __init__(self) -> None:
        self._options: dict[Optimizer, dict[str, Any]] = {}

    def __iter__(self) -> Iterator[Optimizer]:
        return iter(self._options)

    def __len__(self) -> int:
        return len(self._options)

    def __deepcopy__(self, memo: dict[int, Any]) -> AttachedOptimizers:
        return AttachedOptimizers()

    def __reduce__(self) -> tuple[type[AttachedOptimizers], tuple[()]]:
        return (AttachedOptimizers, ())

    def attach(self, optimizer: Optimizer, options: Mapping[str, Any]) -> None:
        """Let `optimizer` follow; attaching it again replaces the options.

        Raises:
            OptimizerError: It is no optimizer, or has no such option.
        """
        if not isinstance(optimizer, Optimizer):
            raise OptimizerError(
                f"{type(optimizer).__name__} is not a torch.optim.Optimizer. Attach the one that "
                f"it wraps."
            )
        unknown = sorted(set(options) - set(optimizer.defaults))
        if unknown:
            raise OptimizerError(
                f"{type(optimizer).__name__} has no option {', '.join(unknown)}; it has "
                f"{', '.join(sorted(optimizer.defaults))}."
            )
        self._options[optimizer] = dict(options)

    def detach(self, optimizer: Optimizer) -> None:
        """Stop following. An optimizer that was not attached is passed over."""
        self._options.pop(optimizer, None)

    def follow(
        self,
        before: Mapping[str, nn.Parameter],
        after: Mapping[str, nn.Parameter],
        *,
        beside: Mapping[str, nn.Parameter],
    ) -> None:
        """Take out parameters that are gone and put in those that are new.

        Args:
            before: All parameters of the model before the change, by name.
            after: All parameters after it.
            beside: Parameters of the layers that changed, before: the new ones go to the optimizer
                that holds one of these, or else to the one attached first.

        Raises:
            OptimizerError: An optimizer cannot follow.
        """
        remaining, known = set(after.values()), set(before.values())
        gone = [parameter for parameter in known if parameter not in remaining]
        new = {
            name: parameter
            for name, parameter in after.items()
            if parameter not in known and parameter.requires_grad
        }
        home = self._home(beside)
        for optimizer in self._options:
            remove_parameters(optimizer, gone)
        if new and home is not None:
            add_parameters(home, new, **self._options[home])

    def _home(self, beside: Mapping[str, nn.Parameter]) -> Optimizer | None:
        if not self._options:
            return None
        neighbours = set(beside.values())
        for optimizer in self._options:
            for group in optimizer.param_groups:
                if any(parameter in neighbours for parameter in group["params"]):
                    return optimizer
        return next(iter(self._options))
