"""pgbench, as a client of PostgreSQL: run after run, each of a few transactions of all clients, as it counts them itself.

A client whose connection ends is dropped by pgbench ("aborted") until its next run. A transaction is confirmed once it is in the
log of pgbench, of which each line is compared with what pgbench reports at its end.
"""
import glob
import os
import re
import subprocess
import tempfile
import threading
import time

import work

# Transactions of each client in a run.
TRANSACTIONS = 3
# Numbers begin here, so that they are others than those of the clients of a library.
FIRST = 1_000 * work.NUMBERS
SCRIPT = f"""\\set turn :turn + 1
INSERT INTO operations SELECT {FIRST} + :client_id * {work.NUMBERS} + :first + :turn FROM pg_sleep(0.02);
"""


class Runs:
    def __init__(self, host, port, clients, pause, pgbench, authority):
        self.clients, self.first, self.began = clients, 0, {}
        self.folder = tempfile.TemporaryDirectory(prefix="ilb-pgbench-")
        script = os.path.join(self.folder.name, "script.sql")
        with open(script, "w", encoding="ascii") as file:
            file.write(SCRIPT)
        self.command = ["setpriv", "--pdeathsig", "KILL", "--", pgbench, "--no-vacuum", f"--client={clients}"]
        self.command += [f"--transactions={TRANSACTIONS}", f"--rate={clients / pause}", f"--file={script}", "--log"]
        self.command += [f"--log-prefix={self.folder.name}/log", "--define=turn=0"]
        self.environment = os.environ | {"PGHOST": host, "PGPORT": str(port), "PGUSER": "postgres", "PGDATABASE": "postgres"}
        self.environment |= {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": authority, "PGCONNECT_TIMEOUT": "5"}

    def run(self):
        """Runs pgbench once, and reports what has become of each transaction."""
        done, dropped, started = {client: 0 for client in range(self.clients)}, {}, time.time()
        command = self.command + [f"--define=first={self.first}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment) as run:
            errors = []
            for line in run.stderr:
                errors.append(line.strip())
                if match := re.search(r"client (\d+) (aborted|script)", line):
                    dropped[int(match[1])] = time.time()
            report = run.stdout.read()
        for client, number, end, waited in sorted(self._logged(), key=lambda line: line[2]):
            done[client] += 1
            begun = self.began.pop(client, None)
            work.report(client, "confirmed", number=number, waited=end - begun if begun else waited)
        text = " / ".join(errors)[-300:]
        for client, number in done.items():
            if number < TRANSACTIONS:
                self.began.setdefault(client, dropped.get(client, started))
                work.report(client, "failed", number=self._number(client, number + 1), error="Aborted", text=text)
        counted = re.search(r"transactions actually processed: (\d+)", report)
        failed = re.search(r"number of failed transactions: (\d+)", report)
        counts = (int(counted[1]), int(failed[1])) if counted and failed else (0, 0)
        if counts != (sum(done.values()), 0):
            work.report(0, "failed", number=self._number(0, TRANSACTIONS), error="Counts", text=f"{counts}, logged {done}")
        self.first += TRANSACTIONS
        return run.returncode == 0

    def _number(self, client, turn):
        return FIRST + client * work.NUMBERS + self.first + turn

    def _logged(self):
        """Yields client, number, end and duration of each transaction that was committed, and removes the log."""
        for path in glob.glob(f"{self.folder.name}/log*"):
            with open(path, encoding="ascii") as file:
                for line in file:
                    client, turn, took, _, seconds, micros = line.split()[:6]
                    if not took.isdigit():
                        continue  # it says why the transaction failed
                    end = int(seconds) + int(micros) / 1e6
                    yield int(client), self._number(int(client), int(turn)), end, int(took) / 1e6
            os.remove(path)


def new_runs(host, port, clients, pause, **options):
    runs = Runs(host, port, clients, pause, **options)

    def repeat():
        while not work.stopping.is_set():
            if not runs.run():
                work.stopping.wait(work.RETRY)

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    return [thread]


work.serve(new_runs)
