"""Puts a run's table into bench/README.md, between two marks; the words around it are people's."""

import pathlib

README = pathlib.Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- figures: written by bench/run --publish -->", "<!-- end of figures -->"

# name in the JSON file, what it is, what is aimed at, how to print it
ROWS = (
    ("floor_us", "floor: the cryptography of an enrolment, one at a time", "", "{:.0f} us"),
    ("line64_rate", "line, 64 stations: rate", "", "{:.0f}/s"),
    ("line64_p99_ms", "line, 64 stations: p99, nonce to certificate", "", "{:.1f} ms"),
    ("line64_cpu_us", "line, 64 stations: CPU of assayd and PostgreSQL", "", "{:.0f} us"),
    ("line64_ratio_floor", "the same / floor", "1.3", "{:.2f}"),
    ("line64_mb_ratio_floor", "the same with multi-buffer verification / floor", "0.75", "{:.2f}"),
    ("cfssl_cpu_us", "cfssl: CPU of a bare certificate", "", "{:.0f} us"),
    ("ratio_cfssl", "an attested enrolment / cfssl's bare certificate", "1.4", "{:.2f}"),
    ("mb_ratio_cfssl", "the same with multi-buffer", "0.75", "{:.2f}"),
    ("connect_full_cpu_us", "with a fresh mutual handshake each", "", "{:.0f} us"),
    ("connect_resumed_cpu_us", "with a resumed one each", "", "{:.0f} us"),
    ("handshake_ratio_openssl", "our handshake / `openssl s_server`'s", "0.6", "{:.2f}"),
    ("takt2s_stations", "stations at a 2 s takt with p99 under 50 ms", "", "{}"),
    ("storm_p99_ratio", "16 stations' p99 in a storm of devices / alone", "2", "{:.2f}"),
    ("growth_rows", "growth: issuances in the ledger", "2,000,000", "{:,}"),
    ("growth_cpu_ratio", "growth: CPU then / empty", "1.15", "{:.2f}"),
    ("hsm5ms_32_efficiency", "5 ms token: the sign station's rate / (32 / 5 ms)", "at least 0.8", "{:.2f}"),
    ("idle_conn_kib", "memory of an idle TLS connection", "64 KiB", "{:.1f} KiB"),
    ("ocsp_get_per_s_core", "OCSP answers from the cache (GET), per second of a core of the `va`", "", "{:,.0f}/s"),
    ("ocsp_nonce_per_s_core", "OCSP answers with nonce through the token (POST), per second of a core", "", "{:,.0f}/s"),
    ("flood_p99_ratio", "16 stations' p99 in a flood of OCSP questions with nonces / alone", "", "{:.2f}"),
    ("flood_signed_per_s", "of these questions, signed by the token, per second (ration 500)", "", "{:.0f}/s"),
    ("crl_complete_1k_ms", "complete CRL, 1,000 revoked: from question to signed list", "", "{:.1f} ms"),
    ("crl_complete_1k_cpu_ms", "the same, CPU", "", "{:.1f} ms"),
    ("crl_complete_10k_ms", "complete CRL, 10,000 revoked", "", "{:.0f} ms"),
    ("crl_complete_10k_cpu_ms", "the same, CPU", "", "{:.0f} ms"),
    ("crl_complete_100k_ms", "complete CRL, 100,000 revoked", "", "{:.0f} ms"),
    ("crl_complete_100k_cpu_ms", "the same, CPU", "", "{:.0f} ms"),
    ("crl_shard_1m_ms", "one CRL shard of 64, 1,000,000 revoked", "", "{:.0f} ms"),
    ("crl_shard_1m_cpu_ms", "the same, CPU", "", "{:.0f} ms"),
    *((f"revoked_{effect}_{where}_{name}_ms", f"from the API's answer to {what}, {node}: {name}", aim, "{:.0f} ms")
      for effect, what in (("ocsp", "`revoked` in OCSP"), ("reenrol", "a refused re-enrolment on an open connection"),
                           ("crl", "the new CRL"))
      for where, node in (("told", "node that took the call"), ("other", "another node"))
      for name, aim in (("p50", ""), ("p99", "1,000 ms"))),
    ("overload_growth_kib", "four times what fits: memory, later against before", "none", "{:+} KiB"),
)


def table(report):
    lines = [
        f"Machine: {report['machine']}; commit {report['commit'][:12]}, {report['date']}"
        + (", `--quick`" if report["quick"] else "")
        + f"; load average {report['load_average']:.1f} (2 is the bench's own).", "",
        "| figure | measured | aim | name |", "|---|---|---|---|",
    ]
    for name, what, aim, form in ROWS:
        value = report["figures"].get(name)
        shown = form.format(value) if value is not None else "not measured: " + report["absent"].get(name, "not in this run")
        lines.append(f"| {what} | {shown} | {aim} | `{name}` |")
    return "\n".join(lines)


def publish(report):
    text = README.read_text()
    before, found, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not found or not end:
        raise SystemExit(f"bench/run: {README} has not the two marks between which the table goes")
    README.write_text(f"{before}{BEGIN}\n{table(report)}\n{END}{after}")
