"""Publishers of RabbitMQ, which wait for the confirmation of each message."""
import pika
import work


class Client:
    def __init__(self, number, host, port):
        self.connection = pika.BlockingConnection(
            pika.ConnectionParameters(host, port, heartbeat=15, blocked_connection_timeout=30, socket_timeout=5)
        )
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()

    def operate(self, number):
        properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        self.channel.basic_publish("", "operations", str(number), properties, mandatory=True)

    def close(self):
        self.connection.close()


work.run(Client)
