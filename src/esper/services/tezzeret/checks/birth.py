"""Birth: a residual kernel changes nothing when it is born, a replacing one is not silent."""

from __future__ import annotations

from typing import Final

from esper.services.tezzeret.checks.subject import CheckFailedError, Subject

_DRAWS: Final = 2


def birth(subject: Subject) -> str:
    """Residual: the output is exactly zero, in both modes. Replacing: it is not all zero."""
    for draw in range(_DRAWS):
        kernel, x = subject.fresh(), subject.sample(salt=draw)
        outputs = {"training": kernel(x), "evaluation": kernel.eval()(x)}
        for mode, out in outputs.items():
            speaks = bool(out.ne(0).any())
            if subject.residual and speaks:
                raise CheckFailedError(
                    f"in {mode} the newborn residual kernel returns up to {out.abs().max():.3g}; "
                    "it must return exact zeros, so that installing it changes nothing"
                )
            if not subject.residual and not speaks and mode == "evaluation":
                raise CheckFailedError("the newborn replacing kernel returns nothing but zeros")
    return "exact zeros" if subject.residual else "not silent"
