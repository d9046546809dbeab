"""Checkpoints: one file with the architecture, the weights and everything a run needs to go on.

A file is a `torch.save`d dictionary of tensors and plain values, read with `weights_only=True`: it
cannot run code. The manifest in it is replayed before the weights are loaded, so a freshly wrapped
model becomes the grown one.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections import Counter, OrderedDict
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from esper.contracts.errors import CheckpointError
from esper.core.durable_file import write_durably
from esper.core.manifest import kasmina_layers, manifest, replay
from esper.core.morphable_model import MorphableModel
from esper.core.optimizer import load_state_by_name, state_by_name
from esper.core.random_state import random_state, set_random_state
from esper.core.transaction import transaction
from esper.utils.plain_file import open_plain

FORMAT = "esper.checkpoint"
SCHEMA = 1

# By exact type: an enum is a str and a numpy number a float, but neither is loaded without code.
_PLAIN = {type(None), bool, int, float, str, bytes, Tensor, nn.Parameter, torch.Size}
_MAPPINGS = {dict, OrderedDict, Counter}
_SEQUENCES = {list, tuple, set}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A run at one step boundary."""

    manifest: dict[str, Any]
    """What the model has grown."""
    model: dict[str, Tensor]
    """The model's `state_dict`, under the plain model's names."""
    optimizer: dict[str, Any] | None = None
    """The optimizer's state by parameter name."""
    scheduler: dict[str, Any] | None = None
    """The scheduler's `state_dict`."""
    orchestrator: dict[str, Any] | None = None
    """The orchestrator's `state_dict`."""
    random: dict[str, Any] | None = None
    """States of the global random generators."""
    extra: dict[str, Any] | None = None
    """Whatever the caller gave: tensors and plain values."""


def capture(
    *,
    model: nn.Module,
    optimizer: Optimizer | None = None,
    scheduler: Any = None,
    orchestrator: Any = None,
    extra: dict[str, Any] | None = None,
) -> Checkpoint:
    """Return the state of a run, in copies that training does not change.

    Raises:
        CheckpointError: A kernel has no graph.
        OptimizerError: The optimizer holds parameters that are not the model's.
    """
    return Checkpoint(
        manifest=manifest(model),
        model=_copied(model.state_dict()),
        optimizer=None if optimizer is None else state_by_name(optimizer, model),
        scheduler=None if scheduler is None else _copied(scheduler.state_dict()),
        orchestrator=None if orchestrator is None else _copied(orchestrator.state_dict()),
        random=random_state(),
        extra=None if extra is None else _copied(extra),
    )


def save(
    path: Path | str,
    *,
    model: nn.Module,
    optimizer: Optimizer | None = None,
    scheduler: Any = None,
    orchestrator: Any = None,
    extra: dict[str, Any] | None = None,
) -> None:
    """Write the state of a run to one file, whole or not at all.

    Call it at a step boundary.

    Args:
        path: The file. It is replaced only when the new one is complete and on the disk.
        model: A `MorphableModel`, or any module.
        optimizer: Its state is kept by parameter name.
        scheduler: Anything with `state_dict`.
        orchestrator: Anything with `state_dict`.
        extra: Tensors and plain values of your own.

    Raises:
        CheckpointError: The disk is full, or something to be saved is no plain value. The file
            that was there before is intact.
        OptimizerError: The optimizer holds parameters that are not the model's.
    """
    state = capture(
        model=model,
        optimizer=optimizer,
        scheduler=scheduler,
        orchestrator=orchestrator,
        extra=extra,
    )
    content = {field.name: getattr(state, field.name) for field in fields(state)}
    for name, value in content.items():
        _check_plain(value, name)
    content["manifest"] = json.dumps(state.manifest, sort_keys=False)
    # Through memory: torch's own file writer aborts the process when the disk is full.
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "schema": SCHEMA, **content}, buffer)
    write_durably(Path(path), buffer.getbuffer())


def load(path: Path | str) -> Checkpoint:
    """Read a checkpoint, with all tensors on the CPU. No code in the file is run.

    Raises:
        CheckpointError: There is no such file, it is damaged, or it is something else.
    """
    path = Path(path)
    try:
        with open_plain(path) as file:
            # Torch itself does not look at the checksums that it writes; and what is no archive it
            # would read in its format of before 2020, whose reader fails in any way it can.
            with zipfile.ZipFile(file) as archive:
                spoilt = archive.testzip()
            if spoilt is not None:
                raise _damaged(path, f"the checksum of its part '{spoilt}' is wrong")
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(
            f"there is no checkpoint '{path}'. Give the file that checkpoint.save wrote."
        ) from None
    except zipfile.BadZipFile as error:
        raise _damaged(path, f"it is no archive, or its end is missing ({error})") from error
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error
    except pickle.PickleError:
        # Not torch's own words, nor as the cause: they advise to load it by running its code.
        raise _damaged(path, "it holds other things than tensors and plain values") from None
    except (EOFError, ArithmeticError, RuntimeError, ValueError, LookupError, TypeError) as error:
        raise _damaged(path, str(error).partition("\n")[0][:200]) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"'{path}' is not a checkpoint of Esper; for a model file use torch.")
    if content.get("schema") != SCHEMA:
        raise CheckpointError(
            f"'{path}' has schema {content.get('schema')!r}, this version reads {SCHEMA}. Use the "
            f"version of esper that wrote it."
        )
    try:
        content["manifest"] = json.loads(content["manifest"])
        return Checkpoint(**{field.name: content[field.name] for field in fields(Checkpoint)})
    except (LookupError, ValueError, TypeError) as error:
        raise _damaged(path, f"a part is missing or not what it should be ({error})") from error


def _damaged(path: Path, problem: str) -> CheckpointError:
    return CheckpointError(
        f"'{path}' is not a checkpoint, or it is damaged: {problem}. Go back to an earlier one."
    )


def restore(
    checkpoint: Checkpoint,
    *,
    model: nn.Module,
    optimizer: Optimizer | None = None,
    scheduler: Any = None,
    orchestrator: Any = None,
    restore_random: bool = True,
) -> None:
    """Put a run into the state of a checkpoint.

    The model may be fresh from `wrap`, or have grown otherwise in the meantime: kernels that the
    checkpoint does not know go, those that it knows come, and a dropped host comes back. What is
    None in the checkpoint or not given is left alone.

    Args:
        checkpoint: From `load` or `capture`.
        model: Wrapped with the same targets and number of seeds.
        optimizer: Of the same kind, built from this model's parameters.
        scheduler: Of the same kind.
        orchestrator: Of the same kind.
        restore_random: Whether to restore the global random generators too.

    Raises:
        CheckpointError: The checkpoint is of another model; the message names the layers. Model
            and optimizer are unchanged then.
        OptimizerError: It is of another optimizer. Model and optimizer are unchanged then.
    """
    attached = list(model._optimizers) if isinstance(model, MorphableModel) else []
    optimizers = {*attached, *([] if optimizer is None else [optimizer])}
    with transaction(kasmina_layers(model).values(), optimizers, values=True):
        before = dict(model.named_parameters())
        replay(model, checkpoint.manifest)
        _check_weights(model, checkpoint.model)
        if isinstance(model, MorphableModel):
            model._optimizers.follow(before, dict(model.named_parameters()), beside=before)
        if optimizer is not None and checkpoint.optimizer is not None:
            load_state_by_name(optimizer, model, checkpoint.optimizer)
        model.load_state_dict(checkpoint.model)
    for part, state in (
        (scheduler, checkpoint.scheduler),
        (orchestrator, checkpoint.orchestrator),
    ):
        if part is not None and state is not None:
            part.load_state_dict(_copied(state))
    if restore_random and checkpoint.random is not None:
        set_random_state(checkpoint.random)


def _check_weights(model: nn.Module, saved: dict[str, Tensor]) -> None:
    here = model.state_dict()
    missing, unexpected = sorted(set(saved) - set(here)), sorted(set(here) - set(saved))
    shapes = [
        f"{name}: {tuple(saved[name].shape)} there, {tuple(here[name].shape)} here"
        for name in sorted(set(saved) & set(here))
        if saved[name].shape != here[name].shape
    ]
    if missing or unexpected or shapes:
        raise CheckpointError(
            f"the checkpoint is of another model: weights missing here {missing or 'none'}, "
            f"unexpected here {unexpected or 'none'}, of another shape {shapes or 'none'}. Build "
            f"the model with the sizes that the run was started with."
        )


def _check_plain(value: Any, where: str) -> None:
    """Refuse what `torch.load(weights_only=True)` would refuse, while it can still be named."""
    kind = type(value)
    if kind in _PLAIN:
        return
    if kind in _MAPPINGS:
        for key, item in value.items():
            _check_plain(key, f"{where} key {key!r}")
            _check_plain(item, f"{where}[{key!r}]")
    elif kind in _SEQUENCES:
        for index, item in enumerate(value):
            _check_plain(item, f"{where}[{index}]")
    else:
        raise CheckpointError(
            f"{where} is a {kind.__module__}.{kind.__qualname__}, which a checkpoint cannot hold. Give tensors, "
            f"numbers, strings, and lists, tuples and dictionaries of them."
        )


def _copied(value: Any) -> Any:
    """Return nested containers anew with cloned tensors; tensors that share memory go on sharing."""
    return _copy(value, {})


def _copy(value: Any, known: dict[Any, Tensor]) -> Any:
    if isinstance(value, Tensor):
        place = (value.data_ptr(), value.dtype, tuple(value.shape), value.stride(), value.device)
        key = place if value.numel() else id(value)
        if key not in known:
            known[key] = value.detach().clone()
        return known[key]
    if isinstance(value, dict):
        copied: Any = value.copy()
        if hasattr(value, "_metadata"):  # versions, which layers look up when they load
            copied._metadata = value._metadata
        for name, item in value.items():
            copied[name] = _copy(item, known)
        return copied
    if type(value) in (list, tuple):
        return type(value)(_copy(item, known) for item in value)
    return value
