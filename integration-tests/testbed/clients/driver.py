"""Runs commands on sessions of a client library.

Standard input has one command a line, `{"id": 1, "session": "a", "do": "execute", "with": {"sql": "SELECT 1"}}`, which calls
a method of the session `a`. The commands of a session run one after the other, those of several sessions side by side.
Standard output has one reply for each: `{"id": 1, "returned": ...}` or `{"id": 1, "raised": "OperationalError", "message":
"..."}`. The process exits at the end of its input.
"""
import json
import os
import queue
import sys
import threading

_output = threading.Lock()


def run(new_session):
    """Serves until the end of the input; `new_session()` returns an object whose methods are the commands."""
    sessions = {}
    for line in sys.stdin:
        command = json.loads(line)
        name = command["session"]
        if name not in sessions:
            sessions[name] = queue.SimpleQueue()
            threading.Thread(target=_serve, args=(new_session(), sessions[name]), daemon=True).start()
        sessions[name].put(command)
    os._exit(0)  # also while a command is blocked


def _serve(session, commands):
    while True:
        command = commands.get()
        try:
            reply = {"returned": getattr(session, command["do"])(**command["with"])}
        except Exception as error:  # reported to the test, which knows whether it is expected
            reply = {"raised": type(error).__name__, "message": str(error)}
        with _output:
            print(json.dumps({"id": command["id"]} | reply), flush=True)
