"""What an op is in torch, said as data: one stock module, one call, or one learned value.

The vocabulary names torch's parts and never imports them, so whatever only reads, prices or checks
graphs (the registry, a command) works without torch. `build.py` turns these into the real ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

INITIAL: Final = ("default", "zero", "xavier", "dct", "fourier", "haar")
"""Names of the rules for first weights; `initial.py` holds the rules."""

TAKEN: Final = frozenset(
    [
        "add_module",
        "add_submodule",
        "apply",
        "bfloat16",
        "buffers",
        "call_super_init",
        "children",
        "code",
        "compile",
        "cpu",
        "cuda",
        "delete_all_unused_submodules",
        "delete_submodule",
        "double",
        "dump_patches",
        "eval",
        "extra_repr",
        "float",
        "forward",
        "get_buffer",
        "get_extra_state",
        "get_parameter",
        "get_submodule",
        "graph",
        "half",
        "ipu",
        "load_state_dict",
        "modules",
        "mtia",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "parameters",
        "print_readable",
        "recompile",
        "register_backward_hook",
        "register_buffer",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_module",
        "register_parameter",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "requires_grad_",
        "set_extra_state",
        "set_submodule",
        "share_memory",
        "state_dict",
        "to",
        "to_empty",
        "to_folder",
        "train",
        "training",
        "type",
        "xpu",
        "zero_grad",
    ]
)
"""Names that a `torch.fx.GraphModule` needs for itself: no node may have one."""


@dataclass(frozen=True)
class Weight:
    """One entry of a built module's `state_dict`.

    Args:
        shape: Its axes.
        dtype: "float32" (any floating dtype once the kernel is cast), or "int64".
        is_parameter: Whether it is trained; buffers are not.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    is_parameter: bool = True


@dataclass(frozen=True)
class StockModule:
    """A module of `torch.nn`.

    Args:
        kind: Its class's name there.
        arguments: What its constructor is called with.
        initial: The rule for its first weights, one of `INITIAL`.
        part: Which of its results is meant, where it returns several.
    """

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    initial: str = "default"
    part: int | None = None


@dataclass(frozen=True)
class StockCall:
    """A call of a function, with the op's inputs first.

    Args:
        function: Module and name: "torch.flatten", "functional.pad", "operator.add".
        rest: The arguments that follow the inputs.
        keywords: The arguments by name.
        as_list: Whether the inputs are one list.
    """

    function: str
    rest: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    as_list: bool = False


@dataclass(frozen=True)
class LearnedValue:
    """A bare parameter `weight` that meets the op's input elementwise.

    Args:
        join: The function, as in `StockCall`.
        shape: The parameter's axes.
        mean: Its first value.
        deviation: Standard deviation around it; None fills with the mean and draws nothing.
    """

    join: str
    shape: tuple[int, ...]
    mean: float = 0.0
    deviation: float | None = None


Stock = StockModule | StockCall | LearnedValue
