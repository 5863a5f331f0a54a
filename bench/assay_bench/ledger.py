"""The private instance's ledger, by psql."""

import contextlib
import subprocess

from .machine import TOP, Trouble


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


def run(instance, *statements):
    """As the superuser, one after the other, each in a transaction of its own."""
    for statement in statements:
        run_all(instance, "postgres", [statement])


WAL_AHEAD = (24, 64)  # quick, full: segments of 16 MB, 4,100 enrolments each


def wal_ahead(instance, segments):
    """As on a server that has been running: no commit that is measured has to make a file of PostgreSQL's log first."""
    url = instance.env["ASSAY_DATABASE_URL"].replace("assay_read", "postgres")
    done = subprocess.run([TOP / "deploy" / "wal-ahead", url, str(segments)], env=instance.env, capture_output=True, text=True)
    if done.returncode != 0:
        raise Trouble(done.stderr.strip())


def vacuum(instance):
    """What autovacuum would do to what has been loaded does not fall into what is measured next."""
    run(instance, "vacuum (freeze, analyze)")


@contextlib.contextmanager
def checkpoints_by_hand(instance):
    """None comes of itself: the first change of a page after one writes the whole page, and a cycle of 15 minutes spreads
    that thin, while a measurement of seconds would see little else."""
    run(instance, "alter system set max_wal_size = '32GB'", "alter system set checkpoint_timeout = '1h'",
        "select pg_reload_conf()", "checkpoint")
    try:
        yield
    finally:
        run(instance, "alter system reset max_wal_size", "alter system reset checkpoint_timeout", "select pg_reload_conf()",
            "checkpoint")
