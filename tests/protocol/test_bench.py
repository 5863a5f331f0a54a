"""The layer "heavy": does ./bench/run measure what it names? Its figures are for people: here they are only sane."""

import json
import os
import pathlib
import subprocess

import pytest

pytestmark = pytest.mark.heavy

TOP = pathlib.Path(__file__).resolve().parents[2]

# name: (least, most) that any machine could show
ALWAYS = {
    "floor_us": (20, 20_000),
    "line64_rate": (1, 100_000),
    "line64_p99_ms": (0.5, 60_000),
    "line64_cpu_us": (50, 200_000),
    "line64_ratio_floor": (0.3, 100),
}
# absent with a reason where the machine is too slow for the time of --quick, or lacks what they need
MAY_BE_ABSENT = {
    "line64_mb_ratio_floor": (0.2, 100),
    "cfssl_cpu_us": (20, 20_000),
    "ratio_cfssl": (0.2, 100),
    "mb_ratio_cfssl": (0.1, 100),
    "connect_full_cpu_us": (50, 200_000),
    "connect_resumed_cpu_us": (50, 200_000),
    "handshake_ratio_openssl": (-100, 100),  # a difference: a busy machine may turn it round
    "storm_p99_ratio": (0.01, 1000),
    "growth_cpu_ratio": (0.01, 100),
    "growth_rows": (1000, 10_000_000),
    "hsm5ms_32_efficiency": (0.001, 1.05),
    "idle_conn_kib": (-10, 1000),
    "ocsp_get_per_s_core": (100, 1_000_000),
    "ocsp_nonce_per_s_core": (10, 100_000),
    "crl_complete_10k_ms": (0.1, 60_000),
    "crl_complete_10k_cpu_ms": (0.1, 60_000),
    "revoked_ocsp_told_p99_ms": (0, 60_000),
    "revoked_reenrol_other_p99_ms": (0, 60_000),
    "revoked_crl_other_p50_ms": (0, 60_000),
}


def test_quick_run_gives_each_figure_or_the_reason_why_not(tmp_path):
    out = tmp_path / "figures.json"
    done = subprocess.run(
        [TOP / "bench" / "run", "--quick", "--json", out, "--pictures", tmp_path / "pictures"],
        env=os.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(out.read_text())
    assert report["quick"] is True and report["machine"] and report["date"] and "commit" in report
    figures = report["figures"]
    for name, (least, most) in (ALWAYS | MAY_BE_ABSENT).items():
        if name in figures:
            assert least <= figures[name] <= most, (name, figures[name])
        else:
            assert name in MAY_BE_ABSENT and report["absent"][name], name
            assert f"{name:<28}     not measured: " in done.stdout
    assert [point["stations"] for point in report["series"]["line"]] == [1, 8, 64, 256]
    for name in ("throughput.svg", "cost.svg"):
        assert (tmp_path / "pictures" / name).read_text().startswith("<svg ")
