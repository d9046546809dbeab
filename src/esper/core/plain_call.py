"""Whether a module may be run by its `forward`, past `nn.Module.__call__`: nothing would be missed.

The call itself takes three Python frames, which is a third of a percent of a small model's step.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.module import _has_any_global_hook

# As they are before anybody replaces them: `torch.fx` does while it traces.
_CALL, _CALL_IMPL = nn.Module.__call__, nn.Module._call_impl


def call_is_forward(module: nn.Module) -> bool:
    """Whether calling `module` now does nothing but call its `forward`.

    False with any hook on it or on all modules, in a `torch.jit` or `torch.fx` trace, after
    `module.compile()`, and for a class that has a call of its own.
    """
    kind = type(module)
    return not (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or _has_any_global_hook()
        or module._compiled_call_impl is not None
        or torch._C._get_tracing_state() is not None
        or kind.__call__ is not _CALL
        or kind._call_impl is not _CALL_IMPL
    )
