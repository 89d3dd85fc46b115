"""Sessions of paho-mqtt."""
import threading

import driver
import paho.mqtt.client as mqtt


class Session:
    def __init__(self):
        # Whether the server had kept the session, at each time that the client has connected.
        self.kept = []
        self.received, self.ends = [], []
        self.is_connected, self.may_return = threading.Event(), threading.Event()
        self.confirmed, self.is_confirmed = set(), threading.Condition()

    def connect(self, host, port, name, persistent, will=None, hold=False):
        """Connects with a session that the server keeps or not, and with the topic of a will; waits until it is accepted.

        With `hold` it does not connect again after a disconnection until `release`.
        """
        if not hold:
            self.release()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, clean_session=not persistent)
        self.client.on_connect = self._connected
        self.client.on_disconnect = self._disconnected
        self.client.on_publish = self._published
        self.client.on_message = lambda client, data, message: self.received.append(message.payload.decode())
        if will:
            self.client.will_set(will, name, qos=1)
        self.client.connect(host, port)
        self.client.loop_start()
        if not self.is_connected.wait(timeout=30):
            raise TimeoutError("the server has not accepted the client")

    def release(self):
        self.may_return.set()

    def answer(self, topic, after):
        """Subscribes to what is below `topic`, and answers each message below `answers`, `after` seconds later."""

        def received(client, data, message):
            self.received.append(message.payload.decode())
            target = f"answers/{message.topic.rpartition('/')[2]}"
            threading.Timer(after, client.publish, (target, "", 0)).start()

        self.client.on_message = received
        self.subscribe(f"{topic}/#")

    def subscribe(self, topic, qos=1):
        return self._done(self.client.subscribe(topic, qos)[0])

    def publish(self, topic, payload, qos=1, wait=True):
        """Publishes, and by default waits until the server has confirmed it, over as many connections as that takes."""
        number = self.client.publish(topic, payload, qos).mid
        if not wait:
            return None
        with self.is_confirmed:
            return self.is_confirmed.wait_for(lambda: number in self.confirmed, timeout=30)

    def state(self):
        return {"kept": self.kept, "ends": self.ends, "received": self.received}

    def _connected(self, client, data, flags, code, properties):
        self.kept.append(flags.session_present)
        self.is_connected.set()

    def _disconnected(self, client, data, flags, code, properties):
        self.ends.append(str(code))
        self.may_return.wait()  # the library connects again afterwards

    def _published(self, client, data, number, code, properties):
        with self.is_confirmed:
            self.confirmed.add(number)
            self.is_confirmed.notify_all()

    @staticmethod
    def _done(code):
        if code != mqtt.MQTT_ERR_SUCCESS:
            raise RuntimeError(mqtt.error_string(code))


driver.run(Session)
