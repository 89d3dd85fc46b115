"""Clients of Redis, which write, read, or wait for something that does not come."""
import redis
import work
from redis.backoff import NoBackoff
from redis.retry import Retry


class Client:
    def __init__(self, number, host, port, does):
        self.does = does
        # A command is tried once, so that none is executed twice; what is tried again is the whole operation.
        self.client = redis.Redis(
            host=host, port=port, decode_responses=True, socket_timeout=5, health_check_interval=5, retry=Retry(NoBackoff(), 0)
        )
        self.client.ping()

    def operate(self, number):
        if self.does == "read":
            self.client.llen("operations")
        elif self.does == "write":
            self.client.rpush("operations", number)
            # Confirmed is what at least one replica has, too.
            if self.client.wait(1, 2000) < 1:
                raise TimeoutError("no replica has confirmed it")
        else:
            # A consumer that waits for what does not come.
            self.client.blpop("nothing", 2)

    def close(self):
        self.client.close()


work.run(Client)
