"""The one registry mechanism: handlers register themselves under a key with a decorator.

A duplicate key raises, and so does an unknown one, naming the known keys and the nearest. Keys
are strings or types; types are looked up along the method resolution order, so that a subclass
finds its parent's handler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from esper.contracts.errors import RegistryError
from esper.utils.nearest import did_you_mean

# Not bound to Hashable: type checkers do not take `type[Module]` for hashable, though it is.
K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


def _spell(key: object) -> str:
    return key.__qualname__ if isinstance(key, type) else str(key)


class Registry(Mapping[K, V]):
    """A read-only mapping from keys to handlers that only `register` can add to.

    Args:
        what: What the handlers are, in the singular ("kernel family"); error messages use it.

    Example:
        >>> families: Registry[str, Callable[[], str]] = Registry("kernel family")
        >>> @families.register("bottleneck")
        ... def bottleneck() -> str:
        ...     return "narrow"
        >>> families.lookup("bottleneck")()
        'narrow'
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._entries: dict[K, V] = {}

    def register(self, key: K) -> Callable[[T], T]:
        """Return a decorator that stores the decorated handler under `key` and returns it.

        Raises:
            RegistryError: `key` is taken. The message names its present owner.
        """

        def store(handler: T) -> T:
            self.add(key, handler)  # type: ignore[arg-type]  # T is V or narrower; see `add`
            return handler

        return store

    def add(self, key: K, handler: V) -> None:
        """Store `handler` under `key`.

        Raises:
            RegistryError: `key` is taken. The message names its present owner.
        """
        if key in self._entries:
            raise RegistryError(
                f"The {self.what} {_spell(key)!r} is already registered, "
                f"by {self._entries[key]!r}. Choose another key."
            )
        self._entries[key] = handler

    def lookup(self, key: K) -> V:
        """Return the handler under `key`.

        Raises:
            RegistryError: The key is unknown. The message names the nearest and all known keys.
        """
        try:
            return self._entries[key]
        except KeyError:
            raise self._unknown(key) from None

    def lookup_type(self, kind: type) -> V:
        """Return the handler of `kind` or of its nearest ancestor along the MRO.

        Raises:
            RegistryError: Neither `kind` nor an ancestor is registered.
        """
        for ancestor in kind.__mro__:
            if ancestor in self._entries:
                return self._entries[ancestor]
        raise self._unknown(kind)

    def _unknown(self, key: object) -> RegistryError:
        known = [_spell(entry) for entry in self._entries]
        return RegistryError(
            f"There is no {self.what} {_spell(key)!r}. {did_you_mean(_spell(key), known)}"
        )

    def __getitem__(self, key: K) -> V:
        return self._entries[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
