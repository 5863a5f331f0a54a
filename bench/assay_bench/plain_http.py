"""Requests over plain HTTP on kept-alive connections, closed loop: what is measured beside the line."""

import contextlib
import selectors
import socket

from .machine import Trouble


def head_and_body(reply):
    """Once the reply is all there, else None."""
    head, found, body = reply.partition(b"\r\n\r\n")
    if not found:
        return None
    if not head.startswith(b"HTTP/1.1 200 "):
        raise Trouble(f"not the answer that was hoped for: {bytes(reply[:200])!r}")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return (head, body) if len(body) >= length else None


@contextlib.contextmanager
def connections(port, count):
    opened = []
    try:
        for _ in range(count):
            opened.append(socket.create_connection(("127.0.0.1", port), 60))
            opened[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield opened
    finally:
        for s in opened:
            s.close()


def drive(port, requests, n_connections, check=lambda request, body: None):
    """Sends each request once; check(request, body of its answer) raises Trouble. Returns the last body."""
    left, last = iter(requests), b""
    with selectors.DefaultSelector() as selector, connections(port, n_connections) as opened:

        def send_next(s, got):
            request = next(left, None)
            if request is not None:
                s.sendall(request)
            selector.modify(s, selectors.EVENT_READ, (request, got))
            return request is not None

        for s in opened:
            selector.register(s, selectors.EVENT_READ)
        under_way = sum(send_next(s, bytearray()) for s in opened)
        while under_way:
            for key, _ in selector.select(60):
                s, (request, got) = key.fileobj, key.data
                data = s.recv(65536)
                if not data:
                    raise Trouble("the server closed a connection")
                got += data
                whole = head_and_body(got)
                if whole is None:
                    continue
                last = bytes(whole[1])
                check(request, last)
                got.clear()
                under_way -= not send_next(s, got)
    return last
