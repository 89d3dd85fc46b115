"""Clients of PostgreSQL: each is a pool of one connection, which is checked before it is handed out, or a visitor, who opens
a connection for each operation."""
import logging

import psycopg
import work
from psycopg_pool import ConnectionPool

# Attempts of the pool that fail; what that means for an operation is reported by it.
logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)


class Visitor:
    def __init__(self, where, options):
        self.where, self.options = where, options

    def operate(self, number):
        with psycopg.connect(self.where, autocommit=True, **self.options) as connection:
            connection.execute("SELECT count(*) FROM operations, pg_sleep(0.02)")

    def close(self):
        pass


class Client:
    # The pool replaces broken connections.
    reconnects = True

    def __init__(self, number, where, does, options):
        self.number, self.does, self.connections = number, does, 0
        self.pool = ConnectionPool(
            where,
            kwargs=options,
            min_size=1,
            max_size=1,
            timeout=15,
            # So that a connection which cannot be opened is tried again soon: by default the pauses double up to minutes.
            reconnect_timeout=15,
            check=ConnectionPool.check_connection,
            configure=self._connected,
            open=True,
        )

    def _connected(self, connection):
        if self.connections:
            work.report(self.number, "connected")
        self.connections += 1

    def operate(self, number):
        with self.pool.connection() as connection:  # a transaction, which is committed at its end
            if self.does == "write":
                connection.execute("INSERT INTO operations SELECT %s FROM pg_sleep(0.02)", (number,))
            else:
                connection.execute("SELECT count(*) FROM operations, pg_sleep(0.02)")

    def close(self):
        self.pool.close(timeout=1)


def new_client(number, host, port, does, authority, prepares):
    where = (
        f"host={host} port={port} user=postgres dbname=postgres connect_timeout=5 sslmode=verify-full "
        f"sslrootcert={authority} application_name=client-{number}"
    )
    # By default the library prepares what it has executed five times.
    options = {} if prepares else {"prepare_threshold": None}
    return Visitor(where, options) if does == "visit" else Client(number, where, does, options)


work.run(new_client)
