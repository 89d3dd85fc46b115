"""Players of a game over WebSocket, whose moves the server confirms."""
from contextlib import ExitStack

import work
from websockets.sync.client import connect


class Client:
    def __init__(self, number, host, port):
        self.stack = ExitStack()
        self.socket = self.stack.enter_context(connect(f"ws://{host}:{port}/", open_timeout=5, close_timeout=1))

    def operate(self, number):
        self.socket.send(str(number))
        answer = self.socket.recv(timeout=5)
        if answer != str(number):
            raise ValueError(f"answered {answer}")

    def close(self):
        self.stack.close()


work.run(Client)
