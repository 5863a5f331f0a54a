"""Another ra of a running instance, with a configuration of its own: its listeners stand beside the first one's."""

import contextlib
import json
import os
import pathlib
import subprocess

import est
from instance import TOP
from waiting import wait_running


def status(client):
    try:
        return client.get("nonce", "line").status
    except OSError:
        return None


@contextlib.contextmanager
def another_ra(assay, name, listeners, **changes):
    """`changes` are keys of "est". Ready once a rig has its nonce from the last listener."""
    config = json.loads((assay.home / "assay.json").read_text())
    run_dir, first_run_dir = assay.home / f"run-{name}", assay.home / config["run_dir"]
    run_dir.mkdir()
    (run_dir / "ca-ra.sock").symlink_to(first_run_dir / "ca-ra.sock")
    config["run_dir"] = str(run_dir)
    config["est"] = {**config["est"], "listeners": listeners, **changes}
    file, log_file = assay.home / f"{name}.json", assay.home / "log" / f"{name}.log"
    file.write_text(json.dumps(config))
    program = pathlib.Path(os.environ.get("ASSAY_BUILD", TOP / "build")) / "server" / "assayd"
    with open(log_file, "w") as log, subprocess.Popen(
        [program, "--config", file, "--role", "ra"], stdin=subprocess.DEVNULL, stderr=log
    ) as ra:
        try:
            rig = est.Client(f"https://127.0.0.1:{listeners[-1]['port']}", assay.cacert, assay.rig_identity)
            wait_running(ra, log_file, lambda: status(rig) == 200)
            rig.close()
            yield ra
        finally:
            ra.terminate()
            assert ra.wait(timeout=30) == 0, log_file.read_text()
