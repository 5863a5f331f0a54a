"""A syslogd of datagrams that keeps what it is sent, and can go away and come back."""

import contextlib
import pathlib
import socket
import threading


class Syslogd:
    def __init__(self, path):
        self.path, self.lines = pathlib.Path(path), []
        self.start()

    def start(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        while line := self.socket.recv(1 << 16):
            self.lines.append(line.decode())

    def stop(self):
        self.path.unlink()
        self.socket.shutdown(socket.SHUT_RD)
        self.thread.join()
        self.socket.close()

    @contextlib.contextmanager
    def away(self):
        self.stop()
        try:
            yield
        finally:
            self.start()
