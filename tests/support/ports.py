"""Ports for what a test or a measurement starts."""

import random
import socket


def free_ports(count=3):
    """The first of so many free ports in a row; anywhere, for two runs may look at the same time."""
    for base in random.sample(range(21000, 32000, 10), 100):
        sockets = []
        try:
            for port in range(base, base + count):
                sockets.append(socket.socket())
                sockets[-1].bind(("127.0.0.1", port))
            return base
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()
    raise RuntimeError(f"no {count} free ports in a row between 21000 and 32000")
