"""Clients of NATS, which send requests to a queue group."""
import asyncio
import threading

import nats
import work

_loop = asyncio.new_event_loop()
threading.Thread(target=_loop.run_forever, daemon=True).start()


def _await(coroutine, limit=30):
    return asyncio.run_coroutine_threadsafe(coroutine, _loop).result(timeout=limit)


class Client:
    # The library connects again.
    reconnects = True

    def __init__(self, number, host, port):
        self.number = number
        self.client = _await(
            nats.connect(
                f"nats://{host}:{port}",
                reconnect_time_wait=0.5,
                max_reconnect_attempts=-1,
                reconnected_cb=self._reconnected,
                error_cb=self._failed,
                ping_interval=5,
                max_outstanding_pings=2,
            )
        )

    def operate(self, number):
        answer = _await(self.client.request("operations", str(number).encode(), timeout=2))
        if answer.data != str(number).encode():
            raise ValueError(f"answered {answer.data}")

    def close(self):
        _await(self.client.close())

    async def _reconnected(self):
        work.report(self.number, "connected")

    async def _failed(self, error):
        pass  # what it means for an operation is reported by that


work.run(Client)
