"""Waiting for what comes about in another process, which cannot notify us: looked for again and again, with patience."""

import select
import time

PATIENCE_S = 120  # far more than anything takes on a busy machine: only what never comes uses it up


def wait_until(what, condition, limit_s=PATIENCE_S):
    """Looks until condition() is true, and gives its value. `what`: in words, or a call that gives them at the end."""
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what() if callable(what) else what}"
        time.sleep(0.005)
    return value


def when_fresh(ask, patient):
    """What ask() is answered once the server's views are fresh; who is not patient takes what comes first."""

    def answer():
        reply = ask()
        stale = reply.status == 503 and reply.reason == "view_stale"
        return None if stale and patient else reply

    return wait_until("views are fresh", answer)


def wait_running(process, log_file, ready):
    """Until it is ready; told with its log if it ends before, or never is."""

    def looked():
        assert process.poll() is None, log_file.read_text()
        return ready()

    wait_until(log_file.read_text, looked)


def readable(sockets):
    """How many of them have something to read, or their end; of any number of them, as select() does not take."""
    poll = select.poll()
    for sock in sockets:
        poll.register(sock, select.POLLIN)
    return len(poll.poll(0))
