"""Clients of Redis, which write, read, publish, subscribe, or wait for something that does not come."""
import redis
import work
from redis.backoff import NoBackoff
from redis.retry import Retry


# Number of the last message that was published, and of the last one that each subscriber has: they outlive connections.
_published, _received = {"last": 0}, {}


class Client:
    def __init__(self, number, host, port, does):
        self.number, self.does = number, does
        # A command is tried once, so that none is executed twice; what is tried again is the whole operation.
        self.client = redis.Redis(
            host=host, port=port, decode_responses=True, socket_timeout=5, health_check_interval=5, retry=Retry(NoBackoff(), 0)
        )
        self.client.ping()
        if does == "subscribe":
            self.messages = self.client.pubsub(ignore_subscribe_messages=True)
            self.messages.subscribe("messages")

    def operate(self, number):
        if self.does == "read":
            self.client.llen("operations")
        elif self.does == "write":
            self.client.rpush("operations", number)
            # Confirmed is what at least one replica has, too.
            if self.client.wait(1, 2000) < 1:
                raise TimeoutError("no replica has confirmed it")
        elif self.does == "publish":
            # A number is used again until it is confirmed, so that one that is missing was missed.
            self.client.publish("messages", _published["last"] + 1)
            _published["last"] += 1
        elif self.does == "subscribe":
            self._receive()
        else:
            # A consumer that waits for what does not come.
            self.client.blpop("nothing", 2)

    def _receive(self):
        """Waits for a message, and reports those that have come before it to others only."""
        message = None
        while message is None:
            message = self.messages.get_message(timeout=5)
        new, old = int(message["data"]), _received.get(self.number)
        _received[self.number] = new
        if old is not None and new > old + 1:
            work.report(self.number, "noted", what="missed messages", count=new - old - 1)

    def close(self):
        self.client.close()


work.run(Client)
