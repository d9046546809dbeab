"""The servers that the contract tests run against are there, and keep their data over a kill."""

from __future__ import annotations

import asyncio

import asyncpg
import obstore

from support.servers.postgres import PostgresServer, postgres
from support.servers.s3 import S3Server
from support.servers.valkey import ValkeyServer


async def _ask(url: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


def test_every_test_gets_an_empty_database_of_its_own(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    asyncio.run(_ask(postgres_url, "create table mine (id int)"))
    other = postgres_server.create_database()
    tables = asyncio.run(_ask(other, "select 1 from pg_tables where tablename = 'mine'"))
    postgres_server.drop_database(other)
    assert tables == []


def test_a_database_server_keeps_committed_rows_over_a_kill() -> None:
    with postgres() as server:
        url = server.create_database()
        asyncio.run(_ask(url, "create table kept as select 7 as seven"))
        server.kill()
        server.start()
        assert asyncio.run(_ask(url, "select seven from kept"))[0]["seven"] == 7


def test_the_object_store_answers(s3_server: S3Server) -> None:
    store = s3_server.store()
    obstore.put(store, "a/b", b"bytes")
    assert bytes(obstore.get(store, "a/b").bytes()) == b"bytes"


def test_the_keyspace_is_empty(valkey_server: ValkeyServer, valkey_place: str) -> None:
    assert valkey_server.ask("DBSIZE") == ":0"
