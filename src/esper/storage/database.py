"""Database: SQLite in a file or PostgreSQL, with the same transactions and the same failures.

A reading transaction sees one state of everything. A writing one is alone on SQLite, which has one
writer at a time anyway; on PostgreSQL writers that must not overlap first take a row that all of
them need.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncpg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from esper.contracts.errors import EsperError

WAIT_SECONDS: Final = 10.0
"""How long a transaction waits for another, a connection for the server."""

_SQLITE: Final = "sqlite:///"
_POOL: Final = {"pool_size": 4, "max_overflow": 4, "pool_timeout": WAIT_SECONDS}
_WRITING: Final = "esper_writing"
_OURS: Final = (IntegrityError, ProgrammingError)
_TROUBLES: Final = {
    "SQLITE_CORRUPT": "",
    "SQLITE_NOTADB": "",
    "SQLITE_BUSY": "is held by another process: end it, or wait until it is done",
    "SQLITE_LOCKED": "is held by another process: end it, or wait until it is done",
    "SQLITE_READONLY": "cannot be written: it must be a file that this user may write to",
    "SQLITE_PERM": "cannot be written: it must be a file that this user may write to",
    "SQLITE_CANTOPEN": "cannot be opened: it must be a file in a folder that this user may write to",
    "SQLITE_FULL": "cannot grow, the disk is full: make room",
    "SQLITE_IOERR": "cannot be read or written, the disk fails: name a file on another one",
}
"""What SQLite's errors mean, by how their names begin; empty means that the file is damaged."""
Result = TypeVar("Result")

_BROKEN: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # A connection that was cut in the middle of an operation, and has not noticed.
    asyncpg.InternalClientError,
    OSError,
)


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """How a service keeps its records, and how it says that it cannot."""

    name: str
    """What messages call the database: `the library's database`."""
    unavailable: type[EsperError]
    """Raised where the database cannot be reached or is too busy."""
    bad_value: type[EsperError]
    """Raised where a value cannot be kept, such as a text with NUL in it."""
    if_damaged: str
    """What to do where the file of an SQLite database is damaged."""
    is_public: bool = False
    """Whether callers from outside read its messages, which then name no file."""
    survives_power_loss: bool = True
    """Whether a commit on SQLite waits for the disk. Without, a loss of power may take the newest
    commits, but spoils nothing; the end of the process takes nothing either way."""


class Database:
    """One database, open in one event loop.

    Args:
        url: `sqlite:///<absolute path>` or `postgresql://…`.
        keeping: Whose it is.
    """

    def __init__(self, url: str, keeping: Keeping) -> None:
        self._url = url
        self.keeping = keeping
        self._writer = asyncio.Lock()
        if self.is_sqlite:
            self._engine = create_async_engine(f"sqlite+aiosqlite:///{self.file}", **_POOL)
            self._threaded = create_engine(f"sqlite:///{self.file}", **_POOL)
            _prepare(self._engine.sync_engine, keeping)
            _prepare(self._threaded, keeping)
        else:
            self._engine = _postgres_engine(url)
        self._points: _SqlitePoints | _PostgresPoints = (
            _SqlitePoints(self.file) if self.is_sqlite else _PostgresPoints(url)
        )

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of our own."""
        return self._url.startswith(_SQLITE)

    @property
    def file(self) -> Path:
        """The file of an SQLite database."""
        return Path(self._url.removeprefix(_SQLITE))

    async def close(self) -> None:
        """Release all connections."""
        await self._points.close()
        await self._engine.dispose()
        if self.is_sqlite:
            self._threaded.dispose()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection whose statements all see the same state.

        Raises:
            EsperError: `keeping.unavailable`: the database cannot be reached or is too busy.
        """
        with self._translated():
            async with self._engine.connect() as connection:
                if not self.is_sqlite:
                    # Else every statement would see a state of its own.
                    await connection.execution_options(isolation_level="REPEATABLE READ")
                yield connection

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection that may write; committed by the caller, else rolled back.

        Raises:
            EsperError: `keeping.unavailable`: the database cannot be reached or is too busy. If it was lost
                during the commit, the change may or may not have happened.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(self._translated())
            if self.is_sqlite:
                # In turn within this process; SQLite's own waiting is neither fair nor cheap.
                await stack.enter_async_context(self._writer)
            connection = await stack.enter_async_context(self._engine.connect())
            await connection.execution_options(**{_WRITING: True})
            yield connection

    async def transact(self, work: Callable[[Connection], Result], *, writes: bool) -> Result:
        """Do `work` in one transaction, commit if it `writes`, and return what it returned.

        On SQLite all of it happens in one other thread: of several statements, each costs a tenth
        of what it does over `reading` or `writing`.

        Raises:
            EsperError: `keeping.unavailable`: the database cannot be reached or is too busy. If it
                was lost during the commit, the change may or may not have happened.
        """
        if not self.is_sqlite:
            async with self.writing() if writes else self.reading() as connection:
                result = await connection.run_sync(work)
                if writes:
                    await connection.commit()
            return result
        with self._translated():
            if not writes:
                return await asyncio.to_thread(self._work, work, writes=False)
            async with self._writer:
                return await asyncio.to_thread(self._work, work, writes=True)

    def _work(self, work: Callable[[Connection], Result], *, writes: bool) -> Result:
        with self._threaded.connect() as connection:
            connection.execution_options(**{_WRITING: writes})
            result = work(connection)
            if writes:
                connection.commit()
        return result

    async def point(self, query: str, key: str) -> tuple[Any, ...] | None:
        """Return the row that `query` finds for `key` (`$1` in it), or None: the fast way.

        The layers above cost ten times what such a read does.

        Raises:
            EsperError: `keeping.unavailable`: the database cannot be reached.
        """
        with self._translated():
            return await self._points.read(query, key)

    @contextlib.contextmanager
    def _translated(self, *, named: bool = False) -> Iterator[None]:
        """Turn what a driver says into what it means: the value is bad, or the database is away.

        A message names the file where it is `named`, or the service is not public.
        """
        try:
            yield
        except _OURS:
            raise
        except (
            DBAPIError,
            PoolTimeoutError,
            asyncpg.PostgresError,
            sqlite3.DatabaseError,
            *_BROKEN,
        ) as problem:
            if _is_bad_value(problem):
                raise self.keeping.bad_value(
                    "a text holds a character that the database cannot keep, such as NUL; leave it "
                    "out"
                ) from problem
            named = named or not self.keeping.is_public
            raise self.keeping.unavailable(self._trouble(problem, named=named)) from problem

    def _trouble(self, problem: BaseException, *, named: bool) -> str:
        """Say what is wrong with which file, and what to do about it."""
        cause = getattr(problem, "orig", None) or problem
        error = getattr(cause, "sqlite_errorname", "")
        for kind, words in _TROUBLES.items():
            if named and error.startswith(kind):
                remedy = words or f"is damaged, or no database of SQLite: {self.keeping.if_damaged}"
                return f"{self.keeping.name} {self.file} {remedy}"
        return f"{self.keeping.name} cannot serve now ({type(cause).__name__}); try again later"

    async def look(self) -> None:
        """Use the file of an SQLite database once, so that what is wrong with it is told by name.

        Raises:
            EsperError: `keeping.unavailable`: it cannot be used; says which file, why, what to do.
        """
        if self.is_sqlite:
            with self._translated(named=True):
                await asyncio.to_thread(self._work, _tables, writes=False)


def _tables(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one())


class _SqlitePoints:
    """Reads rows by key in the event loop's own thread: 10 us, less than handing it to another."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._connection: sqlite3.Connection | None = None

    async def read(self, query: str, key: str) -> tuple[Any, ...] | None:
        if self._connection is None:
            self._connection = sqlite3.connect(
                self._file, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA query_only = ON")
        # All rows, so that the statement ends and the next one sees what was committed since.
        rows = self._connection.execute(query.replace("$", "?"), (key,)).fetchall()
        return rows[0] if rows else None

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class _PostgresPoints:
    """Reads rows by key over prepared statements, without a transaction around each."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opening = asyncio.Lock()
        self._pool: asyncpg.Pool | None = None

    async def read(self, query: str, key: str) -> tuple[Any, ...] | None:
        pool = self._pool or await self._open()
        try:
            row = await self._fetch(pool, query, key)
        except _BROKEN:
            # The server was restarted, and the other connections are no better: once more, anew.
            await pool.expire_connections()
            row = await self._fetch(pool, query, key)
        return None if row is None else tuple(row)

    @staticmethod
    async def _fetch(pool: asyncpg.Pool, query: str, key: str) -> Any:
        async with pool.acquire() as connection:
            try:
                return await connection.fetchrow(query, key)
            except _BROKEN:
                connection.terminate()
                raise

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=8,
                    timeout=WAIT_SECONDS,
                    command_timeout=WAIT_SECONDS,
                    # Nothing that is done on these connections leaves a trace to be reset.
                    reset=_leave,
                    server_settings={"default_transaction_read_only": "on"},
                )
            return self._pool

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()


async def _leave(_connection: Any) -> None:
    """Do nothing."""


def _prepare(engine: Engine, keeping: Keeping) -> None:
    """Set every connection to SQLite up."""

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        # Transactions begin where we say so, not where the driver guesses.
        connection.isolation_level = None
        cursor = connection.cursor()
        for setting in (
            f"busy_timeout = {int(WAIT_SECONDS * 1000)}",
            "journal_mode = WAL",
            f"synchronous = {'FULL' if keeping.survives_power_loss else 'NORMAL'}",
            "foreign_keys = ON",
        ):
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        writing = connection.get_execution_options().get(_WRITING, False)
        # At once, not at the first write: a transaction that began by reading cannot be upgraded.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _postgres_engine(url: str) -> AsyncEngine:
    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            url,
            timeout=WAIT_SECONDS,
            command_timeout=3 * WAIT_SECONDS,
            server_settings={
                "lock_timeout": f"{int(WAIT_SECONDS)}s",
                # A process that stopped in the middle must not hold up all others.
                "idle_in_transaction_session_timeout": f"{int(WAIT_SECONDS)}s",
            },
        )

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=8,
        max_overflow=8,
        pool_timeout=WAIT_SECONDS,
        pool_pre_ping=True,
    )


def _is_bad_value(problem: BaseException) -> bool:
    """Return whether it is one of PostgreSQL's data exceptions, which are class 22."""
    state = getattr(getattr(problem, "orig", None) or problem, "sqlstate", None)
    return str(state or "").startswith("22")
