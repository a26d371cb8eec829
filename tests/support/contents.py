"""All that databases, a broker and an S3 server hold: each value with its place."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_COLUMNS = """
    select table_schema, table_name, column_name, data_type
    from information_schema.columns join information_schema.tables using (table_schema, table_name)
    where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')
"""


def sqlite_values(path: Path) -> Iterator[tuple[str, bytes]]:
    """Give every value of every table, as ``table.column``."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)) as connection:
        connection.text_factory = bytes
        tables = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (name,) in tables:
            table = name.decode()
            rows = connection.execute(f'select * from "{table}"')  # noqa: S608
            columns = [column[0] for column in rows.description]
            for row in rows:
                for column, value in zip(columns, row, strict=True):
                    yield f"{table}.{column}", value if isinstance(value, bytes) else str(value).encode()


def postgres_values(url: str) -> Iterator[tuple[str, bytes]]:
    """Give every different value of every column of every table, as ``table.column``.

    :param url: the database's address as SQLAlchemy takes it.
    """
    from sqlalchemy import create_engine, text

    engine = create_engine(url)
    with engine.connect() as connection:
        for schema, table, column, kind in connection.execute(text(_COLUMNS)).all():
            shown = f'"{column}"' if kind == "bytea" else f'cast("{column}" as text)'
            distinct = f'select distinct {shown} from "{schema}"."{table}" where "{column}" is not null'  # noqa: S608
            for (value,) in connection.execute(text(distinct)):
                yield f"{table}.{column}", value.encode() if isinstance(value, str) else bytes(value)
    engine.dispose()


def redis_values(port: int, password: str) -> Iterator[tuple[str, bytes]]:
    """Give every key of every database with its value, as ``redis key``."""
    from redis import Redis

    with Redis(port=port, password=password) as server:
        numbers = [int(name.removeprefix("db")) for name in server.info("keyspace")]
    for number in numbers:
        with Redis(port=port, password=password, db=number) as server:
            readers: dict[bytes, Callable[[bytes], Any]] = {
                b"string": server.get,
                b"list": lambda key, server=server: server.lrange(key, 0, -1),
                b"hash": server.hgetall,
                b"set": server.smembers,
                b"zset": lambda key, server=server: server.zrange(key, 0, -1),
                b"stream": server.xrange,
            }
            for key in server.scan_iter():
                kind = server.type(key)
                if kind != b"none":  # it has gone since
                    yield f"redis {key.decode(errors='replace')}", repr((key, readers[kind](key))).encode()


def s3_objects() -> Iterator[tuple[str, bytes]]:
    """Give every object of every bucket, as ``s3 bucket/key``; server and keys are the environment's."""
    import boto3

    client = boto3.client("s3")
    for bucket in client.list_buckets()["Buckets"]:
        name = bucket["Name"]
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
            for found in page.get("Contents", ()):
                try:
                    body = client.get_object(Bucket=name, Key=found["Key"])["Body"].read()
                except client.exceptions.NoSuchKey:
                    continue  # deleted since
                yield f"s3 {name}/{found['Key']}", body
