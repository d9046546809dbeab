"""Optimizer surgery: parameters enter and leave a live optimizer, everything else stays untouched.

A grown kernel brings parameters and a fossilised or culled one takes parameters away while the
optimizer keeps momentum for all the others. torch can add a group and can do none of the rest:
nothing removes a parameter, Adagrad forgets to initialise the state of added ones, checkpoints
are keyed by position, and schedulers break on (or move) groups that they did not know.

What is supported: every optimizer whose state belongs to one parameter at a time, that is, whose
state tensors can be laid over their parameter (SGD, Adam, AdamW, RMSprop, Adagrad, Adafactor, …).
What is refused, with :class:`OptimizerError`: optimizers that keep one state for all parameters
together (LBFGS), because there is no way to take one parameter out of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from esper.contracts.errors import OptimizerError

ParameterGroup = dict[str, Any]
Parameters = nn.Module | Mapping[str, nn.Parameter]

# A torch scheduler writes this key into every group that it knows; `isolate_scheduler` does it for
# the ones that do not. A group that carries it is never dropped: positions count for a scheduler.
_SCHEDULED = "initial_lr"
_MEMBERS = ("params", "param_names")


def add_parameters(
    optimizer: Optimizer,
    named: Mapping[str, nn.Parameter],
    *,
    lr: float | None = None,
    **options: Any,
) -> ParameterGroup:
    """Put new parameters into one new group at the end of ``optimizer.param_groups``.

    Args:
        optimizer: the live optimizer; the state of its other parameters is not touched.
        named: the new parameters by their qualified names (used where the optimizer keeps names).
        lr: learning rate of the new group; ``None`` takes the optimizer's default.
        options: any other option of this optimizer (``weight_decay``, ``betas``, …).

    Returns:
        The group, for whoever drives its learning rate. ``load_state_by_name`` makes new groups:
        use :func:`group_of` after that.

    Raises:
        OptimizerError: this optimizer cannot grow, an option is unknown, a parameter is already
            in it, or there is nothing to add. The optimizer is unchanged then.
    """
    _check_growable(optimizer)
    _check_new(optimizer, named)
    _check_options(optimizer, options)
    # A default that is a tensor (``lr=torch.tensor(...)``) would otherwise be one object shared by
    # all groups, and a scheduler that fills it in place would move the new group too.
    group: ParameterGroup = {
        key: value.detach().clone() if isinstance(value, Tensor) else value
        for key, value in optimizer.defaults.items()
    }
    group.update(options)
    if lr is not None:
        default = group.get("lr")
        group["lr"] = torch.full_like(default, lr) if isinstance(default, Tensor) else lr
    keeps_names = any("param_names" in known for known in optimizer.param_groups)
    group["params"] = list(named.items()) if keeps_names else list(named.values())
    optimizer.add_param_group(group)
    added = optimizer.param_groups[-1]
    if isinstance(optimizer, torch.optim.Adagrad):
        _initialise_adagrad(optimizer, added)
    return added


def remove_parameters(optimizer: Optimizer, params: Iterable[nn.Parameter]) -> int:
    """Take parameters and their state out of a live optimizer.

    A group that this empties is dropped, unless a scheduler counts on its position or it is the
    only one. Parameters that the optimizer does not hold are passed over.

    Returns:
        How many parameters were removed.

    Raises:
        OptimizerError: the optimizer's state cannot be taken apart. It is unchanged then.
    """
    leaving = set(params)
    held = [p for group in optimizer.param_groups for p in group["params"] if p in leaving]
    if not held:
        return 0
    _check_growable(optimizer)
    for parameter in leaving:
        optimizer.state.pop(parameter, None)
    for group in list(optimizer.param_groups):
        _drop_members(group, leaving)
        if not group["params"] and _SCHEDULED not in group and len(optimizer.param_groups) > 1:
            _remove_group(optimizer, group)
    return len(held)


def group_of(optimizer: Optimizer, parameter: nn.Parameter) -> ParameterGroup | None:
    """The group that holds ``parameter``, or ``None``."""
    for group in optimizer.param_groups:
        if any(member is parameter for member in group["params"]):
            found: ParameterGroup = group
            return found
    return None


def state_by_name(optimizer: Optimizer, parameters: Parameters) -> dict[str, Any]:
    """The optimizer's state keyed by parameter name, as primitives and cloned tensors.

    Args:
        optimizer: the optimizer to read.
        parameters: the model, or ``{name: parameter}`` where more than one model is optimised.

    Returns:
        ``{"type", "groups": [{"names", "options"}], "state": {name: {...}}}``, which
        ``torch.load(weights_only=True)`` accepts.

    Raises:
        OptimizerError: a parameter of the optimizer has no name in ``parameters``.
    """
    names: dict[Tensor, str] = {p: name for name, p in _named(parameters).items()}
    groups = []
    for index, group in enumerate(optimizer.param_groups):
        for position, parameter in enumerate(group["params"]):
            if parameter not in names:
                raise OptimizerError(
                    f"parameter {position} of optimizer group {index} (shape "
                    f"{tuple(parameter.shape)}) belongs to no module of the model. Build the "
                    "optimizer from the wrapped model's parameters (model.parameters()), or attach "
                    "it with model.attach_optimizer(optimizer) before the model grows."
                )
        options = {key: _cloned(value) for key, value in group.items() if key not in _MEMBERS}
        groups.append({"names": [names[p] for p in group["params"]], "options": options})
    state = {names[p]: _cloned(values) for p, values in optimizer.state.items() if p in names}
    return {"type": type(optimizer).__name__, "groups": groups, "state": state}


def load_state_by_name(
    optimizer: Optimizer, parameters: Parameters, saved: Mapping[str, Any]
) -> None:
    """Give ``optimizer`` the groups and the state that :func:`state_by_name` returned.

    Groups are rebuilt as they were saved, so an optimizer made from a model that had not grown yet
    receives the groups of the kernels too. Group dictionaries are new objects afterwards.

    Raises:
        OptimizerError: another kind of optimizer, or parameters that only one side knows. The
            optimizer is unchanged then.
    """
    if saved["type"] != type(optimizer).__name__:
        raise OptimizerError(
            f"the saved state is of {saved['type']}, this optimizer is "
            f"{type(optimizer).__name__}. Build the optimizer that the run was started with."
        )
    named = _named(parameters)
    _check_same_parameters(optimizer, named, saved)
    order = [name for group in saved["groups"] for name in group["names"]]
    index = {name: position for position, name in enumerate(order)}
    keeps_names = any("param_names" in group for group in optimizer.param_groups)
    members, plain = [], []
    for group in saved["groups"]:
        names = group["names"]
        labels = {"param_names": list(names)} if keeps_names else {}
        members.append({"params": [named[name] for name in names], **labels})
        options = {key: _cloned(value) for key, value in group["options"].items()}
        plain.append({**options, **labels, "params": [index[name] for name in names]})
    optimizer.param_groups[:] = members
    state = {index[name]: _cloned(values) for name, values in saved["state"].items()}
    optimizer.load_state_dict({"state": state, "param_groups": plain})


class ScheduledGroups:
    """The first groups of an optimizer, as the optimizer that a scheduler believes it has.

    It shows the groups by position, not by identity, because ``Optimizer.load_state_dict``
    replaces the group dictionaries. Everything else is the real optimizer's.
    """

    def __init__(self, optimizer: Optimizer, count: int) -> None:
        self._optimizer = optimizer
        self._count = count

    @property
    def param_groups(self) -> list[ParameterGroup]:
        """The groups that the scheduler knew."""
        return self._optimizer.param_groups[: self._count]

    def __getattr__(self, name: str) -> Any:
        if name in ("_optimizer", "_count"):  # not there yet while pickle or copy build the view
            raise AttributeError(name)
        return getattr(self._optimizer, name)


def isolate_scheduler(scheduler: Any, optimizer: Optimizer) -> None:
    """Let a torch scheduler keep driving the groups that it was built with, and only those.

    torch's schedulers zip their per-group lists with ``optimizer.param_groups`` and fail, or move
    the wrong group, as soon as one is added. Afterwards ``scheduler.optimizer`` is a
    :class:`ScheduledGroups`; schedulers inside a scheduler (``SequentialLR``,
    ``ChainedScheduler``) are treated too. Calling it twice does nothing more.

    Raises:
        OptimizerError: ``scheduler`` has no optimizer, or drives another one.
    """
    for inner in getattr(scheduler, "_schedulers", ()):
        isolate_scheduler(inner, optimizer)
    driven = getattr(scheduler, "optimizer", None)
    if isinstance(driven, ScheduledGroups):
        driven = driven._optimizer
        if driven is optimizer:
            return
    if driven is not optimizer:
        raise OptimizerError(
            f"{type(scheduler).__name__} drives {type(driven).__name__}, not the optimizer that "
            "was given. Build the scheduler on the same optimizer object."
        )
    view = ScheduledGroups(optimizer, _known_groups(scheduler, optimizer))
    for group in view.param_groups:
        group.setdefault(_SCHEDULED, group["lr"])
    scheduler.optimizer = view


def _known_groups(scheduler: Any, optimizer: Optimizer) -> int:
    """How many groups the scheduler was built with: growth may have come before isolation."""
    for source in (scheduler, *getattr(scheduler, "_schedulers", ())):
        for per_group in ("base_lrs", "min_lrs"):
            if hasattr(source, per_group):
                return len(getattr(source, per_group))
    return len(optimizer.param_groups)


def _check_growable(optimizer: Optimizer) -> None:
    kind = type(optimizer).__name__
    if not isinstance(optimizer, Optimizer):
        raise OptimizerError(
            f"{kind} is not a torch.optim.Optimizer. Pass the optimizer that it wraps."
        )
    if isinstance(optimizer, torch.optim.LBFGS):
        raise OptimizerError(
            f"{kind} keeps one flat state for all parameters together, so none can be added or "
            "taken away. Use SGD, Adam(W), RMSprop or Adagrad for a model that grows."
        )
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if not _lies_over(value, parameter):
                shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                raise OptimizerError(
                    f"the state '{key}' ({shape}) of {kind} does not belong to its parameter of "
                    f"shape {tuple(parameter.shape)} alone, so parameters cannot be added or taken "
                    "away safely. Use SGD, Adam(W), RMSprop or Adagrad for a model that grows."
                )


def _lies_over(value: object, parameter: Tensor) -> bool:
    """Whether a state entry is a plain value, or a tensor that broadcasts over its parameter."""
    if not isinstance(value, Tensor):
        return value is None or isinstance(value, bool | int | float | str)
    if value.numel() == 1:
        return True
    return value.dim() == parameter.dim() and all(
        have in (1, want) for have, want in zip(value.shape, parameter.shape, strict=True)
    )


def _check_new(optimizer: Optimizer, named: Mapping[str, nn.Parameter]) -> None:
    if not named:
        raise OptimizerError("there is no parameter to add; a kernel without any needs no group.")
    held = {parameter for group in optimizer.param_groups for parameter in group["params"]}
    for name, parameter in named.items():
        if parameter in held:
            raise OptimizerError(f"parameter '{name}' is in the optimizer already.")
        if not parameter.is_leaf:
            raise OptimizerError(f"'{name}' is not a leaf tensor; only nn.Parameter can be added.")
        if isinstance(optimizer, torch.optim.Muon) and parameter.dim() != 2:
            raise OptimizerError(
                f"Muon takes matrices only, '{name}' has shape {tuple(parameter.shape)}. "
                "Attach a second optimizer (AdamW) for what grows."
            )


def _check_options(optimizer: Optimizer, options: Mapping[str, Any]) -> None:
    unknown = sorted(set(options) - set(optimizer.defaults))
    if unknown:
        raise OptimizerError(
            f"{type(optimizer).__name__} has no option {', '.join(unknown)}; it has "
            f"{', '.join(sorted(optimizer.defaults))}."
        )


def _check_same_parameters(
    optimizer: Optimizer, named: Mapping[str, nn.Parameter], saved: Mapping[str, Any]
) -> None:
    wanted = {name for group in saved["groups"] for name in group["names"]}
    names = {parameter: name for name, parameter in named.items()}
    # Parameters that the model no longer has (a dropped host's) leave with the old groups.
    present = {names[p] for group in optimizer.param_groups for p in group["params"] if p in names}
    missing, unexpected = sorted(wanted - set(named)), sorted(present - wanted)
    if missing or unexpected:
        raise OptimizerError(
            "the saved optimizer state is of another model: "
            f"missing here {missing or 'none'}, unknown there {unexpected or 'none'}. "
            "Restore the model from the same checkpoint first."
        )
    for name, state in saved["state"].items():
        for key, value in state.items():
            if not _lies_over(value, named[name]):
                raise OptimizerError(
                    f"the saved state '{key}' of '{name}' does not fit the parameter's shape "
                    f"{tuple(named[name].shape)}: the model was built with other sizes."
                )


def _initialise_adagrad(optimizer: torch.optim.Adagrad, group: ParameterGroup) -> None:
    """Adagrad makes its state in the constructor only, and would fail on a group added later."""
    options = {key: group[key] for key in optimizer.defaults}
    fresh = torch.optim.Adagrad(list(group["params"]), **options)
    for parameter in group["params"]:
        optimizer.state[parameter] = fresh.state[parameter]


def _drop_members(group: ParameterGroup, leaving: set[nn.Parameter]) -> None:
    keep = [index for index, p in enumerate(group["params"]) if p not in leaving]
    for key in _MEMBERS:
        if key in group:
            group[key][:] = [group[key][index] for index in keep]


def _remove_group(optimizer: Optimizer, group: ParameterGroup) -> None:
    # By identity: comparing two groups would compare their tensors.
    position = next(i for i, known in enumerate(optimizer.param_groups) if known is group)
    del optimizer.param_groups[position]


def _named(parameters: Parameters) -> dict[str, nn.Parameter]:
    if isinstance(parameters, nn.Module):
        return dict(parameters.named_parameters())
    return dict(parameters)


def _cloned(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: _cloned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_cloned(item) for item in value)
    return value
