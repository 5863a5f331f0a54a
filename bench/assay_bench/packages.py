"""What only some measurements need: Debian packages, installed as quickstart installs what is missing, and the tests'
clients."""

import importlib
import shlex
import subprocess
import sys

from .machine import TOP, Trouble

SCRIPT = """set -euo pipefail
ASSAY_TOP={top}
. "$ASSAY_TOP/deploy/lib/say.sh"
. "$ASSAY_TOP/deploy/lib/packages.sh"
packages_install {groups}"""


def install(*groups):
    """Groups of deploy/packages; a mirror that lacks one of them is no fault of ours."""
    script = SCRIPT.format(top=shlex.quote(str(TOP)), groups=" ".join(groups))
    done = subprocess.run(["bash", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip() or "no word why").splitlines()[-1]
        raise Trouble(f"packages of {' and '.join(groups)} (deploy/packages) are missing: {words}")


def of_the_tests(*names):
    """Modules of tests/support."""
    folder = str(TOP / "tests" / "support")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError:
        install("test")
        return [importlib.import_module(name) for name in names]


def free_ports(count=3):
    (ports,) = of_the_tests("ports")
    return ports.free_ports(count)
