"""The private instance's ledger, by psql."""

import subprocess

from .machine import Trouble


def run_all(instance, role, statements):
    """Each in a session of its own, all at once; what the last one printed."""
    url = instance.env["ASSAY_DATABASE_URL"].replace("assay_read", role)
    command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    sessions = [subprocess.Popen(command, env=instance.env, text=True, **pipes) for _ in statements]
    for session, statement in zip(sessions, statements):
        session.stdin.write(statement)
        session.stdin.close()
    output = ""
    for session in sessions:
        output, error = session.stdout.read(), session.stderr.read()
        if session.wait() != 0:
            raise Trouble(f"psql: {error.strip()}")
    return output


def ask(instance, statement):
    return run_all(instance, "assay_read", [statement]).split()


def issuances(instance):
    return int(ask(instance, "select count(*) from issuance")[0])


def settle(instance):
    """Neither autovacuum nor a checkpoint of what has been loaded falls into what is measured next."""
    run_all(instance, "postgres", ["vacuum (freeze, analyze); checkpoint;"])
