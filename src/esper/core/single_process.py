"""Growth stays in one process: with several, whatever cannot be kept in step is refused in words."""

from __future__ import annotations

from torch import distributed

from esper.contracts.errors import ConfigError


def check_single_process(what: str) -> None:
    """Refuse to go on where `torch.distributed` runs with more than one process.

    Each rank would grow by itself, and DistributedDataParallel, which knows the parameters that it
    was built with, would never average the gradients of those that came later: the ranks' models
    would drift apart without a word.

    Args:
        what: What is refused, as the start of a sentence.

    Raises:
        ConfigError: There is a process group of more than one process.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return
    processes = distributed.get_world_size()
    if processes > 1:
        raise ConfigError(
            f"{what} works in one process only, and torch.distributed runs with {processes}: the "
            "gradients of grown parameters would not be averaged, and the ranks' models would drift "
            "apart. Train in one process (python train.py, not torchrun), or grow the model in one, "
            "take esper.export(model), and train that plain model with as many as you like."
        )
