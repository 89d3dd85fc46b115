"""Clients of RabbitMQ: publishers, which wait for the confirmation of each message, and consumers, which acknowledge each."""
import os
import time

import pika
import work

# Time after which a consumer that receives nothing gives up its connection, in seconds.
SILENCE = 20


class Client:
    def __init__(self, number, host, port, does, queue, folder):
        self.does, self.queue, self.received = does, queue, []
        self.connection = pika.BlockingConnection(
            pika.ConnectionParameters(host, port, heartbeat=15, blocked_connection_timeout=30, socket_timeout=5)
        )
        self.channel = self.connection.channel()
        if does == "publish":
            self.channel.confirm_delivery()
            return
        self.file = os.path.join(folder, str(number))
        self.channel.basic_qos(prefetch_count=5)
        self.channel.basic_consume(queue, self._receive)

    def operate(self, number):
        if self.does == "publish":
            properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
            self.channel.basic_publish("", self.queue, str(number), properties, mandatory=True)
            return
        limit = time.monotonic() + SILENCE
        while not self.received:
            self.connection.process_data_events(time_limit=1)
            if time.monotonic() > limit:
                raise TimeoutError("nothing is delivered")
        tag, body = self.received.pop(0)
        # Written before it is acknowledged, so that a message may be there twice, and none is lost.
        with open(self.file, "a", encoding="ascii") as file:
            file.write(body + "\n")
        self.channel.basic_ack(tag)

    def close(self):
        self.connection.close()

    def _receive(self, channel, method, properties, body):
        self.received.append((method.delivery_tag, body.decode()))


work.run(Client)
