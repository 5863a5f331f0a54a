"""What a person reads while it runs."""

HEAD = f"{'':<22}{'rate/s':>8}{'p50 ms':>8}{'p99 ms':>8}{'assayd':>8}{'postgres':>9}{'us each':>8}{'driver':>7}{'MiB':>6}"


def heading(text):
    print(f"\n{text}", flush=True)


def head():
    print(HEAD, flush=True)


def row(what, result):
    cpu, times = result["cpu_us"], result["whole_ms"]
    print(
        f"{what:<22}{result['rate']:>8.0f}{times['p50']:>8.1f}{times['p99']:>8.1f}{cpu['assayd']:>8.0f}"
        f"{cpu['postgres']:>9.0f}{result['total_us']:>8.0f}{result['driver_cpu_us']:>7.0f}{result['memory_kib'] / 1024:>6.0f}",
        flush=True,
    )


def note(text):
    print(f"  {text}", flush=True)


def figures(figures, absent):
    heading("figures")
    for name, value in figures.items():
        print(f"  {name:<28}{value:>12.3f}" if isinstance(value, float) else f"  {name:<28}{value:>12}")
    for name, why in absent.items():
        print(f"  {name:<28}     not measured: {why}")
