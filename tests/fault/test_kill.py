"""kill -9 at random moments under load: every signature is accounted for, every device gets its one certificate.

Promises 1, 2 and 4. `--kills 200` is the long run; the seed is printed and can be given.
"""

import os
import pathlib
import random
import signal
import subprocess
import time

from plant import BUILD, ROLES, load_pem, wait_until

# Who is killed, and how often: the ca most, since what it holds is what can be lost.
VICTIMS = (("ca",), ("ca",), ("ra",), ("va",), ("admin",), ROLES, ("postgres",))
BUDGET_S = 2.5  # a kill, on average; when time runs out the rest is left


def start_rig(plant, out, *arguments):
    command = [BUILD / "assay-rig", "enrol", "--devices", "1000000", "--stations", "6", "--patience", "120", "--out", out, *arguments]
    return subprocess.Popen(
        [str(c) for c in command], env={**os.environ, **plant.env}, stdout=subprocess.DEVNULL,
        stderr=open(out.parent / "rig.log", "a"), start_new_session=True,
    )  # fmt: skip


def strike(plant, victims):
    for victim in victims:
        if victim == "postgres":
            plant.kill_postgres()
            plant.start_postgres()
        else:
            pid = plant.pid(victim)
            if pid:
                os.kill(pid, signal.SIGKILL)


def certificates(out):
    return list(pathlib.Path(out).glob("*/cert.pem"))


def test_killed_at_random_moments_under_load(plant, request, seed, say, tmp_path):
    kills, dice = request.config.getoption("--kills"), random.Random(seed)
    out = tmp_path / "devices"
    plant.shim.set(delay_us=20_000)  # most of the line stands between intent and record
    rig = start_rig(plant, out)
    wait_until("the first certificates", lambda: len(certificates(out)) > 5)
    start, done, by_role = time.monotonic(), 0, {}
    while done < kills and time.monotonic() - start < kills * BUDGET_S:
        victims = dice.choice(VICTIMS)
        if victims != ("postgres",):
            wait_until(f"one of {victims} runs", lambda: any(plant.pid(v) for v in victims))
        time.sleep(dice.uniform(0, 0.8))  # the random moment itself
        strike(plant, victims)
        name = "all four" if len(victims) > 1 else victims[0]
        by_role[name] = by_role.get(name, 0) + 1
        done += 1
    before = len(certificates(out))
    wait_until("the line goes on by itself", lambda: len(certificates(out)) > before, 20)
    rig.send_signal(signal.SIGINT)  # finishes the boards in hand
    assert rig.wait(150) == 130, (tmp_path / "rig.log").read_text()[-2000:]
    plant.wait_ready()
    plant.shim.set(delay_us=0)
    resume = [BUILD / "assay-rig", "enrol", "--resume", "--out", out, "--patience", "60"]  # boards that Ctrl-C met while they waited
    done_s = subprocess.run([str(c) for c in resume], env={**os.environ, **plant.env}, capture_output=True, text=True)
    assert done_s.returncode == 0, done_s.stderr[-2000:]

    devices = [d for d in out.iterdir() if d.is_dir()]
    without = [d.name for d in devices if not (d / "cert.pem").exists()]
    assert not without, f"{len(without)} devices without a certificate: {without[:3]}"
    plant.check_received(load_pem(c) for c in certificates(out))
    figures = plant.account()
    say(f"{done} kills {by_role} in {time.monotonic() - start:.0f} s, {len(devices)} devices, {figures}")
    assert done >= min(kills, 5)
