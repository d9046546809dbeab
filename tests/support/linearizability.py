"""Is a history of concurrent operations linearizable? Wing and Gong's search, with Lowe's cache.

A history is linearizable if its operations can be put in one order in which each lies between its
call and its return, and each returned what a single client would have seen. (Wing and Gong,
"Testing and verifying concurrent objects", 1993; Lowe, "Testing for linearizability", 2017, for
remembering the configurations that led nowhere.) An operation whose outcome is not known, because
the connection broke, may have happened at any time after its call, or never.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

State = Hashable
Step = Callable[[Any, "Operation"], Any]
"""The state after an operation, or `WRONG` if its result does not fit the state before."""

WRONG = object()
UNKNOWN = object()
"""Result of an operation of which nothing was heard."""


@dataclass(frozen=True)
class Operation:
    """What one client did."""

    name: str
    arguments: tuple[Any, ...]
    result: Any
    called: float
    returned: float = inf


def is_linearizable(history: Sequence[Operation], initial: State, step: Step) -> bool:
    """Search for an order that explains the history.

    Args:
        history: Operations on one object, in any order; at most some hundreds.
        initial: State of the object before.
        step: The object, as a single client sees it.
    """
    operations = sorted(history, key=lambda operation: operation.called)
    known = sum(1 << n for n, entry in enumerate(operations) if entry.result is not UNKNOWN)
    seen: set[tuple[int, State]] = set()
    stack: list[tuple[int, State]] = [(0, initial)]
    while stack:
        done, state = stack.pop()
        if done & known == known:
            return True
        if (done, state) in seen:
            continue
        seen.add((done, state))
        following = []
        for number in _possible_next(operations, done):
            after = step(state, operations[number])
            unheard = operations[number].result is UNKNOWN
            # What nothing was heard of is only worth a thought where it would change something,
            # and only after what is known has been tried.
            if after is not WRONG and not (unheard and after == state):
                following.append((not unheard, done | 1 << number, after))
        stack += [(then, after) for _, then, after in sorted(following, key=lambda f: f[0])]
    return False


def _possible_next(operations: Sequence[Operation], done: int) -> list[int]:
    """Operations that were called before every operation that is left had returned."""
    left = [n for n in range(len(operations)) if not done >> n & 1]
    first_return = min((operations[n].returned for n in left), default=inf)
    return [n for n in left if operations[n].called <= first_return]


def alias_step(state: tuple[str | None, int], operation: Operation) -> Any:
    """An alias: where it points (None for nowhere), and the revision of its last change."""
    kernel, revision = state
    if operation.name == "get":
        seen = (kernel, revision) if kernel is not None else None
        return state if operation.result in {seen, UNKNOWN} else WRONG
    present = revision if kernel is not None else None
    expected = operation.arguments[-1]
    if operation.result == "conflict":
        return state if expected != present else WRONG
    if operation.result == "missing":
        return state if kernel is None else WRONG
    if expected != present:
        return state if operation.result is UNKNOWN else WRONG
    after = (operation.arguments[0] if operation.name == "put" else None, revision + 1)
    return after if operation.result in {after[1], UNKNOWN} else WRONG


def status_step(state: tuple[str, int], operation: Operation) -> Any:
    """A kernel's status and the revision of its last change."""
    revision = state[1]
    if operation.name == "get":
        return state if operation.result in {state, UNKNOWN} else WRONG
    after_status, expected = operation.arguments
    if operation.result == "conflict":
        return state if expected != revision else WRONG
    if expected != revision:
        return state if operation.result is UNKNOWN else WRONG
    after = (after_status, revision + 1)
    return after if operation.result in {after, UNKNOWN} else WRONG
