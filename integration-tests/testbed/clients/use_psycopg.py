"""Sessions of psycopg, for PostgreSQL."""
import driver
import psycopg
from psycopg_pool import ConnectionPool


def _results(cursor):
    return [list(row) for row in cursor.fetchall()] if cursor.description else cursor.rowcount


class Session:
    def connect(self, host, port, autocommit=True):
        self.connection = psycopg.connect(_where(host, port), autocommit=autocommit)

    def execute(self, sql):
        return _results(self.connection.execute(sql))

    def open_pool(self, host, port, size, check):
        """Opens a pool of a fixed size. With `check` it looks at a connection before it hands it out."""
        checks = {"check": ConnectionPool.check_connection} if check else {}
        self.pool = ConnectionPool(
            _where(host, port), min_size=size, max_size=size, kwargs={"autocommit": True}, open=True, **checks
        )
        self.pool.wait()

    def execute_in_pool(self, sql):
        with self.pool.connection() as connection:
            return _results(connection.execute(sql))

    def close_pool(self):
        self.pool.close()


def _where(host, port):
    return f"host={host} port={port} user=postgres dbname=postgres connect_timeout=20"


driver.run(Session)
