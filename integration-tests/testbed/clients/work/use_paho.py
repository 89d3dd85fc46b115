"""Clients of MQTT with persistent sessions and a will, which publish with QoS 1."""
import threading

import paho.mqtt.client as mqtt
import work


class Client:
    # The library connects again, and sends again what has not been confirmed.
    reconnects = True

    def __init__(self, number, host, port, keep_alive=15):
        self.number, self.connections = number, 0
        self.accepted, self.confirmed, self.changed = threading.Event(), set(), threading.Condition()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"device-{number}", clean_session=False)
        self.client.on_connect, self.client.on_publish = self._connected, self._published
        self.client.reconnect_delay_set(min_delay=1, max_delay=10)
        self.client.will_set(f"wills/{number}", str(number), qos=1)
        self.client.connect(host, port, keepalive=keep_alive)
        self.client.loop_start()
        if not self.accepted.wait(timeout=10):
            self.close()
            raise TimeoutError("the server has not accepted the client")

    def operate(self, number):
        message = self.client.publish(f"operations/{self.number}", str(number), qos=1).mid
        with self.changed:
            if not self.changed.wait_for(lambda: message in self.confirmed, timeout=60):
                raise TimeoutError("not confirmed")
            self.confirmed.discard(message)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()

    def _connected(self, client, data, flags, code, properties):
        if code.is_failure:
            return
        if self.connections:
            work.report(self.number, "connected")
            work.report(self.number, "noted", what="sessions found" if flags.session_present else "new sessions", count=1)
        self.connections += 1
        self.accepted.set()

    def _published(self, client, data, number, code, properties):
        with self.changed:
            self.confirmed.add(number)
            self.changed.notify_all()


work.run(Client)
