"""Sessions of nats-py."""
import asyncio
import threading

import driver
import nats


class Session:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.received, self.errors, self.disconnections, self.reconnections = [], [], 0, 0
        self.may_return = asyncio.Event()

    def connect(self, host, port, wait=0.5, hold=False):
        """Connects. After a disconnection it connects again after `wait` seconds; with `hold` these begin at `release`."""
        if not hold:
            self.release()
        self.client = self._await(
            nats.connect(
                f"nats://{host}:{port}",
                reconnect_time_wait=wait,
                max_reconnect_attempts=-1,
                disconnected_cb=self._disconnected,
                reconnected_cb=self._reconnected,
                error_cb=self._failed,
            )
        )

    def release(self):
        self.loop.call_soon_threadsafe(self.may_return.set)

    def subscribe(self, subject):
        async def collect(message):
            self.received.append(message.data.decode())

        self._await(self.client.subscribe(subject, cb=collect))
        self._await(self.client.flush())

    def publish(self, subject, payload):
        self._await(self.client.publish(subject, payload.encode()))

    def flush(self):
        """Waits until the server has processed all that was published."""
        self._await(self.client.flush())

    def answer(self, subject, after, queue=""):
        """Subscribes, in a queue group if one is named, and answers each message with itself, `after` seconds later."""

        async def collect(message):
            self.received.append(message.data.decode())
            await asyncio.sleep(after)
            await message.respond(message.data)

        self._await(self.client.subscribe(subject, queue=queue, cb=collect))
        self._await(self.client.flush())

    def ask(self, subject, payload):
        """Publishes, and returns whether somebody has answered."""
        try:
            self._await(self.client.request(subject, payload.encode(), timeout=5))
        except nats.errors.Error:
            return False
        return True

    def state(self):
        return {
            "received": self.received,
            "errors": self.errors,
            "disconnections": self.disconnections,
            "reconnections": self.reconnections,
        }

    def _await(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout=50)

    async def _disconnected(self):
        self.disconnections += 1
        await self.may_return.wait()  # the library connects again afterwards

    async def _reconnected(self):
        self.reconnections += 1

    async def _failed(self, error):
        self.errors.append(type(error).__name__)


driver.run(Session)
