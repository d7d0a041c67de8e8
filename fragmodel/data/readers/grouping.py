"""Bring rows of one key together on disk, so that memory does not grow with the file."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any


def grouped(pairs: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Values (plain JSON) under their key; keys and values in the order of their first appearance."""
    database = sqlite3.connect("")  # a temporary file that SQLite deletes itself
    try:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("CREATE TABLE pairs (number INTEGER PRIMARY KEY, key TEXT, value TEXT)")
        database.executemany(
            "INSERT INTO pairs (key, value) VALUES (?, ?)", ((key, json.dumps(value)) for key, value in pairs)
        )
        database.execute("CREATE INDEX by_key ON pairs (key, number)")
        database.execute("CREATE TABLE keys (first INTEGER PRIMARY KEY, key TEXT)")
        database.execute("INSERT INTO keys SELECT MIN(number), key FROM pairs GROUP BY key")
        # The outer loop goes over `keys` in order, the inner one uses the index: nothing needs to be sorted.
        ordered = database.execute(
            "SELECT keys.key, pairs.value FROM keys CROSS JOIN pairs ON pairs.key = keys.key"
            " ORDER BY keys.first, pairs.number"
        )
        for key, members in groupby(ordered, key=lambda pair: pair[0]):
            yield key, [json.loads(value) for _, value in members]
    finally:
        database.close()
