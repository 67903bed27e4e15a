"""The clients of a run: answers in pieces, and no wait that is not counted."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

from twisted.trial.unittest import TestCase

from bench.registry.client import Client, light_load

ANSWER = b"HTTP/1.1 %s\r\nContent-Length: 4\r\nX-Instance: 127.1.0.1\r\n\r\nbody"


@contextlib.contextmanager
def gateway(*pieces: bytes, pause: float = 0.0) -> Iterator[int]:
    """Answers every request with these pieces, the rest of them after `pause` seconds. Its port."""

    def serve(sock: socket.socket) -> None:
        with sock:
            while sock.recv(65536):
                for number, piece in enumerate(pieces):
                    time.sleep(pause if number else 0.001)
                    sock.sendall(piece)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(door.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=accept, daemon=True).start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)


class Asking(TestCase):
    def client(self, port: int) -> Client:
        client = Client(port, "/x/")
        self.addCleanup(client.close)
        return client

    def test_in_pieces(self) -> None:
        whole = ANSWER % b"200 OK"
        with gateway(whole[:9], whole[9:50], whole[50:], pause=0.001) as port:
            client = self.client(port)
            for _ in range(2):
                answer = client.ask()
                self.assertEqual((answer.status, answer.instance), (200, "127.1.0.1"))
                self.assertLess(answer.asked, answer.came)
            self.assertEqual((client.asked, client.wrong), (2, 0))

    def test_errors_are_counted(self) -> None:
        with gateway(ANSWER % b"503 Service Unavailable") as port:
            client = self.client(port)
            self.assertEqual(client.ask().status, 503)
            self.assertEqual((client.asked, client.wrong), (1, 1))

    def test_waits_are_counted(self) -> None:
        """Two clients who should each ask every 20 ms, of whom the gateway answers one request in 100 ms."""
        whole = ANSWER % b"200 OK"
        with gateway(whole[:9], whole[9:], pause=0.1) as port:
            clients = [self.client(port) for _ in range(2)]
            begun = time.monotonic()
            latencies = light_load(clients, 0.01, lambda: time.monotonic() > begun + 0.095)
        self.assertEqual(len(latencies), sum(client.asked for client in clients))
        # The fifth request of each has waited for four answers.
        self.assertGreater(max(latencies), 300.0)
