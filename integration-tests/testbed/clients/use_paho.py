"""Sessions of paho-mqtt."""
import threading

import driver
import paho.mqtt.client as mqtt


class Session:
    def __init__(self):
        # Whether the server had kept the session, at each time that the client has connected.
        self.kept = []
        self.received, self.ends = [], []
        self.may_return = threading.Event()

    def connect(self, host, port, name, persistent, will=None, hold=False):
        """Connects with a session that the server keeps or not, and with the topic of a will.

        With `hold` it does not connect again after a disconnection until `release`.
        """
        if not hold:
            self.release()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, clean_session=not persistent)
        self.client.on_connect = lambda client, data, flags, code, properties: self.kept.append(flags.session_present)
        self.client.on_disconnect = self._disconnected
        self.client.on_message = lambda client, data, message: self.received.append(message.payload.decode())
        if will:
            self.client.will_set(will, name, qos=1)
        self.client.connect(host, port)
        self.client.loop_start()

    def release(self):
        self.may_return.set()

    def subscribe(self, topic, qos=1):
        return self._done(self.client.subscribe(topic, qos)[0])

    def publish(self, topic, payload, qos=1, wait=True):
        """Publishes, and by default waits until the server has confirmed it."""
        message = self.client.publish(topic, payload, qos)
        if wait:
            message.wait_for_publish(timeout=30)
            return message.is_published()

    def state(self):
        return {"kept": self.kept, "ends": self.ends, "received": self.received}

    def _disconnected(self, client, data, flags, code, properties):
        self.ends.append(str(code))
        self.may_return.wait()  # the library connects again afterwards

    @staticmethod
    def _done(code):
        if code != mqtt.MQTT_ERR_SUCCESS:
            raise RuntimeError(mqtt.error_string(code))


driver.run(Session)
