"""Keeps clients busy, each in a thread of its own, and reports what becomes of each operation.

`use_….py HOST PORT CLIENTS PAUSE [OPTIONS]`, where OPTIONS is JSON for the protocol. Standard output has one JSON object a line:

    {"client": 3, "at": 12.3, "is": "connected"}
    {"client": 3, "at": 12.4, "is": "confirmed", "number": 3000001, "waited": 0.02}
    {"client": 3, "at": 12.9, "is": "failed", "number": 3000002, "error": "OperationalError"}
    {"client": 3, "at": 13.1, "is": "noted", "what": "missed messages", "count": 2}

The numbers of the clients begin with the option `first`. `at` is in seconds of a monotonic clock. A number is used for one attempt only. After one that failed the client tries the same
work with the next number until it is confirmed, and `waited` is the time since the first of these attempts. A line on standard
input that says `stop` lets the clients end after their operations; the process exits at the end of its input.
"""
import json
import os
import random
import sys
import threading
import time
from functools import partial

# Pause of a client between two attempts, in seconds: short, as a library does it that is told to reconnect quickly.
RETRY = 0.1
# Numbers of a client begin at its own multiple of this.
NUMBERS = 1_000_000

_output = threading.Lock()
stopping = threading.Event()


def report(client, kind, **more):
    line = json.dumps({"client": client, "at": time.monotonic(), "is": kind} | more)
    with _output:
        print(line, flush=True)


def run(new_client):
    """Runs until the end of the input. `new_client(number, host, port, **options)` connects, and returns an object with the
    methods `operate(number)`, which returns as soon as the operation is confirmed, and `close()`. If it has the attribute
    `reconnects`, it is used again after an error, because its library connects again by itself."""

    def start(host, port, clients, pause, **options):
        threads = []
        first = options.pop("first", 0)
        for client in range(first, first + clients):
            connect = partial(new_client, client, host, port, **options)
            thread = threading.Thread(target=_work, args=(client, pause, connect), daemon=True)
            threads.append(thread)
            thread.start()
            time.sleep(0.005)  # so that not all connect at the same moment
        return threads

    serve(start)


def serve(start):
    """Serves until the end of the input what `start(host, port, clients, pause, **options)` has started. The threads that this
    returns end once `stopping` is set."""
    host, port, clients, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    options = json.loads(sys.argv[5]) if len(sys.argv) > 5 else {}
    threading.stack_size(512 * 1024)
    threads = start(host, port, clients, pause, **options)
    for line in sys.stdin:
        if line.strip() == "stop":
            stopping.set()
            for thread in threads:
                thread.join(30)
            print(json.dumps({"client": 0, "at": time.monotonic(), "is": "stopped"}), flush=True)
    os._exit(0)


def _work(client, pause, connect):
    connection, number, lots = None, client * NUMBERS, random.Random(client)
    while not stopping.is_set():
        began = time.monotonic()
        while True:
            number += 1
            try:
                if connection is None:
                    connection = connect()
                    report(client, "connected")
                connection.operate(number)
            except Exception as error:  # every kind is reported, and judged by whoever reads it
                report(client, "failed", number=number, error=type(error).__name__, text=str(error)[:300])
                if connection is not None and not getattr(connection, "reconnects", False):
                    _close(connection)
                    connection = None
                time.sleep(RETRY)
                continue
            report(client, "confirmed", number=number, waited=time.monotonic() - began)
            break
        stopping.wait(pause * lots.uniform(0.7, 1.3))
    if connection is not None:
        _close(connection)


def _close(connection):
    try:
        connection.close()
    except Exception:  # it is broken anyway
        pass
