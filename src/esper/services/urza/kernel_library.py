"""Library: the store behind everything that Urza answers, opened from its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from esper.contracts.errors import LibraryUnavailableError, SubmissionError
from esper.contracts.ports import Clock
from esper.execution.trust import TrustPolicy
from esper.services.urza import migrations
from esper.services.urza.aliases import Aliases
from esper.services.urza.audit import Audit
from esper.services.urza.blobs import Blobs
from esper.services.urza.blueprints import Blueprints
from esper.services.urza.change import Store
from esper.services.urza.field_outcomes import Outcomes
from esper.services.urza.garbage import Garbage
from esper.services.urza.idempotency import Idempotency
from esper.services.urza.kernels import Kernels
from esper.services.urza.leases import Leases
from esper.services.urza.library_tables import METADATA
from esper.services.urza.tokens import Tokens
from esper.services.urza.urza_config import S3Access, UrzaConfig
from esper.storage.database import Database, Keeping
from esper.storage.schema import Schema
from esper.utils.object_store import ObjectStore

KEEPING: Final = Keeping(
    if_damaged="put a copy of it back, or move it away and push the kernels again",
    is_public=True,
    name="the library's database",
    unavailable=LibraryUnavailableError,
    bad_value=SubmissionError,
)
"""How Urza keeps its records."""

SCHEMA: Final = Schema(metadata=METADATA, migrations=migrations)
"""Its tables."""


async def require_latest(database: Database) -> None:
    """Refuse a database that this version does not fit; an empty SQLite file is filled first.

    Raises:
        LibraryUnavailableError: The database is at another revision, or cannot be reached.
    """
    revision = await SCHEMA.current(database)
    if database.is_sqlite and await SCHEMA.is_empty(database):
        await SCHEMA.upgrade(database)
        return
    if revision != SCHEMA.latest():
        raise LibraryUnavailableError(
            f"the library's database is at revision {revision or 'none'}, this version needs "
            f"{SCHEMA.latest()}; make a backup and run `esper urza migrate`"
        )


_ALIVE: Final = "SELECT id FROM audit_head WHERE CAST(id AS VARCHAR(8)) = $1"


@dataclass(frozen=True, kw_only=True)
class Library:
    """The parts of an open library. Each of their methods is one transaction.

    Methods that change something take the actor first, for the audit log, and their change and its
    entry are committed together. All raise LibraryUnavailableError where database or object store
    cannot serve.
    """

    database: Database
    blueprints: Blueprints
    leases: Leases
    kernels: Kernels
    blobs: Blobs
    aliases: Aliases
    outcomes: Outcomes
    audit: Audit
    tokens: Tokens
    idempotency: Idempotency
    garbage: Garbage

    @staticmethod
    async def open(config: UrzaConfig, clock: Clock) -> Library:
        """Open a library; an embedded one is made if there is none.

        Args:
            config: Where it is.
            clock: Tells the time of changes, leases and tokens.

        Raises:
            LibraryUnavailableError: The database cannot be reached, or needs a migration.
        """
        database = open_database(config)
        try:
            await database.look()
            await require_latest(database)
        except BaseException:
            await database.close()
            raise
        store = Store(database, clock)
        objects, spool = _open_objects(config)
        blobs = Blobs(store, objects, max_bytes=config.max_body_bytes, spool=spool)
        kernels = Kernels(store, blobs, _trust(config))
        idempotency = Idempotency(store, config.idempotency_seconds)
        return Library(
            database=database,
            blueprints=Blueprints(store),
            leases=Leases(store, kernels, config.max_attempts),
            kernels=kernels,
            blobs=blobs,
            aliases=Aliases(store),
            outcomes=Outcomes(store),
            audit=Audit(store),
            tokens=Tokens(store),
            idempotency=idempotency,
            garbage=Garbage(store, objects, idempotency),
        )

    async def close(self) -> None:
        """Release all connections."""
        await self.database.close()

    async def check(self) -> None:
        """Find out whether the library can serve.

        Raises:
            LibraryUnavailableError: It cannot.
        """
        await self.database.point(_ALIVE, "1")


def open_database(config: UrzaConfig) -> Database:
    """Return the database of a library, whatever its revision; for migrations and `open`."""
    database = Database(config.database_url, KEEPING)
    if database.is_sqlite:
        database.file.parent.mkdir(parents=True, exist_ok=True)
    return database


def _open_objects(config: UrzaConfig) -> tuple[ObjectStore, Path | None]:
    """Return where blobs lie, and the folder for large uploads under way (None for the system's)."""
    place = urlsplit(config.blobs)
    if place.scheme == "file":
        root = Path(place.path)
        # On the same disk: what fits there while it is spooled fits there for good.
        spool = root / ".spool"
        objects = ObjectStore.local(root, durable=True)
        spool.mkdir(exist_ok=True)
        return objects, spool
    access = vars(config.s3 or S3Access())
    return ObjectStore.s3(place.netloc, place.path.strip("/"), **access), None


def _trust(config: UrzaConfig) -> TrustPolicy | None:
    if config.trusted_keys is None:
        return None
    folder = Path(config.trusted_keys)
    # `esper kernel sign --new-key` writes me.pem and me.pem.pub.
    keys = sorted([*folder.glob("*.pem"), *folder.glob("*.pub")])
    return TrustPolicy.from_files(keys, required=config.require_signatures)
