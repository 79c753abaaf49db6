"""Roles of a PostgreSQL that a test makes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

__all__ = ["login_role"]


@contextmanager
def login_role(admin: psycopg.Connection[Any], password: str) -> Iterator[str]:
    """Make a role that may log in and nothing else; at the end it goes, with what it has and was given."""
    name = f"role_{uuid.uuid4().hex[:12]}"
    admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'".encode())
    yield name
    admin.execute(f"DROP OWNED BY {name} CASCADE".encode())
    admin.execute(f"DROP ROLE {name}".encode())
