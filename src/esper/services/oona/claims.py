"""Claim checks: large payloads lie in an object store, and only their claims go over the bus.

A payload lies under its topic and the SHA-256 of its JSON. It is written anew each time that it is
sent, so that its age is that of the newest message that needs it, and can be removed when all
messages of its topic are younger.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError

from esper.contracts.errors import BusError, BusUnavailableError, ConfigError
from esper.contracts.messages import Claim
from esper.services.oona.bus_config import OonaConfig, default_claims
from esper.utils.object_store import ObjectStore

_SKEW_SECONDS: Final = 300.0
"""How far the clocks of the object store and of the bus may be apart."""


class UnreadableError(BusError):
    """An entry is no message that can be read, or its payload is gone or damaged."""


def open_store(url: str) -> ObjectStore:
    """Return the object store at `url`.

    Args:
        url: `file:///<absolute folder>`, or `s3://bucket/prefix` with endpoint, region and keys in
            the provider's environment variables (`AWS_ENDPOINT_URL`, `AWS_REGION`, ...).

    Raises:
        ConfigError: It is neither.
        BusUnavailableError: The folder cannot be made.
    """
    place = urlsplit(url)
    if place.scheme == "s3" and place.netloc:
        return ObjectStore.s3(
            place.netloc,
            place.path.strip("/"),
            endpoint=os.environ.get("AWS_ENDPOINT_URL"),
            region=os.environ.get("AWS_REGION", "us-east-1"),
        )
    if place.scheme == "file" and not place.netloc and len(place.path) > 1:
        with _troubles():
            return ObjectStore.local(Path(unquote(place.path)))
    raise ConfigError(
        f"OonaConfig.claims is {url!r}; give file:///<absolute folder> or s3://bucket/prefix"
    )


class Claims:
    """Lays payloads down and picks them up.

    Args:
        config: Where they lie, and how large they may be.
    """

    def __init__(self, config: OonaConfig) -> None:
        self._config = config
        self._opened: ObjectStore | None = None

    @property
    def _store(self) -> ObjectStore:
        # Opened with the first large payload: most processes never see one.
        if self._opened is None:
            self._opened = open_store(self._config.claims or default_claims())
        return self._opened

    async def lay_down(self, place: str, payload: bytes) -> Claim:
        """Store a payload and return the claim to it.

        Args:
            place: What its key begins with: a topic, or the dead letters of one.
            payload: Its JSON.

        Raises:
            BusUnavailableError: The object store cannot be reached, or refuses.
        """
        digest = hashlib.sha256(payload).hexdigest()
        claim = Claim(key=f"{place}/{digest}", digest=digest, size=len(payload))
        with _troubles():
            await self._store.areplace(claim.key, payload)
        return claim

    async def pick_up(self, place: str, claim: Claim) -> bytes:
        """Return the payload that was laid down in `place`.

        Raises:
            UnreadableError: It is gone, too large, or not what the claim says.
            BusUnavailableError: The object store cannot be reached.
        """
        # The key is made here: a claim must not reach for other objects.
        key = f"{place}/{claim.digest}"
        with _troubles():
            size = self._store.size(key)
            if size is None:
                raise UnreadableError(f"the payload {key} is gone from the object store")
            if size != claim.size or size > self._config.largest_bytes:
                raise UnreadableError(
                    f"the payload {key} has {size} bytes, its claim says {claim.size}"
                )
            data = await self._store.aget(key)
        if data is None or hashlib.sha256(data).hexdigest() != claim.digest:
            raise UnreadableError(f"the payload {key} is damaged")
        return data

    async def clear(self, oldest: Mapping[str, float]) -> int:
        """Remove the payloads that no message can need any more; return how many.

        Args:
            oldest: For each place, when the oldest message that is still there came, in seconds
                since the epoch; places that are not named are left alone.
        """
        if self._opened is None and not self._exists():
            return 0
        with _troubles():
            old = [
                entry.key
                async for entry in self._store.alist()
                if entry.modified.timestamp()
                < oldest.get(entry.key.rpartition("/")[0], 0.0) - _SKEW_SECONDS
            ]
            for key in old:
                await self._store.adelete(key)
        return len(old)

    def _exists(self) -> bool:
        place = urlsplit(self._config.claims or default_claims())
        return place.scheme != "file" or Path(unquote(place.path)).exists()


@contextmanager
def _troubles() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        raise BusUnavailableError(
            f"the object store for large payloads does not serve ({error}); see OonaConfig.claims"
        ) from error
