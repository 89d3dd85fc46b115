"""Sessions of redis-py."""
import threading

import driver
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


class Session:
    def __init__(self):
        self.received, self.errors = [], []

    def connect(self, host, port, retries=True):
        """Connects. Without `retries` it does what older versions of the library do by default: a command is tried once."""
        options = {} if retries else {"retry": Retry(NoBackoff(), 0)}
        self.client = redis.Redis(host=host, port=port, decode_responses=True, **options)
        self.client.ping()

    def command(self, words):
        return self.client.execute_command(*words)

    def subscribe(self, channel):
        """Subscribes, and collects messages and errors from now on."""
        subscriber = self.client.pubsub(ignore_subscribe_messages=True)
        subscriber.subscribe(channel)
        threading.Thread(target=self._collect, args=(subscriber,), daemon=True).start()

    def _collect(self, subscriber):
        while True:
            try:
                message = subscriber.get_message(timeout=None)
            except redis.RedisError as error:
                self.errors.append(type(error).__name__)
                continue
            if message:
                self.received.append(message["data"])

    def state(self):
        return {"received": self.received, "errors": self.errors}


driver.run(Session)
