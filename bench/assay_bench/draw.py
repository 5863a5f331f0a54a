"""The pictures, as SVG written by hand: a chart is a list of shapes inside one pair of axes."""

import html
import math

WIDTH, HEIGHT = 640, 380
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 46, 58
INK, FAINT = "#222", "#ddd"
COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#805ad5", "#718096")
FONT = "font-family='DejaVu Sans, Helvetica, sans-serif'"


def text(x, y, words, size=12, anchor="middle", colour=INK, turn=""):
    return (f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' fill='{colour}' {FONT}{turn}>"
            f"{html.escape(str(words))}</text>")


def nice(top):
    """A round number not below top, and the step of about five marks up to it."""
    step = 10 ** math.floor(math.log10(top / 5)) if top > 0 else 1
    for factor in (1, 2, 5, 10):
        if top / (step * factor) <= 6:
            step *= factor
            break
    return math.ceil(top / step) * step, step


def short(value):
    if value >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value / 1e3:g} k" if value >= 10e3 else f"{value:g}"


class Chart:
    """Axes from zero upwards; x positions are the caller's, from 0 to 1."""

    def __init__(self, title, x_label, y_label, top, left=0, width=WIDTH):
        self.left, self.right = left + LEFT, left + width - RIGHT
        self.top_value, self.step = nice(top)
        self.shapes = [text((self.left + self.right) / 2, 22, title, 14)]
        self.shapes.append(text((self.left + self.right) / 2, HEIGHT - 12, x_label))
        middle = (TOP + HEIGHT - BOTTOM) / 2
        self.shapes.append(text(left + 16, middle, y_label, turn=f" transform='rotate(-90 {left + 16} {middle})'"))
        self.grid()

    def x(self, share):
        return self.left + share * (self.right - self.left)

    def y(self, value):
        return HEIGHT - BOTTOM - value / self.top_value * (HEIGHT - BOTTOM - TOP)

    def grid(self):
        for i in range(round(self.top_value / self.step) + 1):
            y = self.y(i * self.step)
            self.shapes.append(f"<line x1='{self.left}' x2='{self.right}' y1='{y:.1f}' y2='{y:.1f}' "
                               f"stroke='{FAINT if i else INK}'/>")
            self.shapes.append(text(self.left - 6, y + 4, short(i * self.step), 11, "end"))

    def mark(self, share, label):
        self.shapes.append(text(self.x(share), HEIGHT - BOTTOM + 16, label, 11))

    def line(self, points, colour, labels=True):
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        self.shapes.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>")
        for x, y in points:
            self.shapes.append(f"<circle cx='{self.x(x):.1f}' cy='{self.y(y):.1f}' r='3.5' fill='{colour}'/>")
            if labels:
                self.shapes.append(text(self.x(x), self.y(y) - 8, f"{y:.0f}", 11, colour=colour))

    def strip(self, share, values, colour):
        """Each value a dot, and the largest in figures."""
        for i, value in enumerate(values):
            x = self.x(share) + (i % 7 - 3) * 3  # beside each other, so that many of one size can be seen
            self.shapes.append(f"<circle cx='{x:.1f}' cy='{self.y(value):.1f}' r='2' fill='{colour}' fill-opacity='0.5'/>")
        self.shapes.append(text(self.x(share), self.y(max(values)) - 8, f"{max(values):.0f}", 11))

    def stack(self, share, parts, width=46):
        """Parts from below: (value, colour); the sum on top."""
        base, x = 0.0, self.x(share) - width / 2
        for value, colour in parts:
            top = self.y(base + value)
            self.shapes.append(f"<rect x='{x:.1f}' y='{top:.1f}' width='{width}' height='{self.y(base) - top:.1f}' fill='{colour}'/>")
            base += value
        self.shapes.append(text(self.x(share), self.y(base) - 5, f"{base:.0f}", 11))

    def legend(self, entries):
        """From the left, below the title."""
        x = self.left + 4
        for name, colour in entries:
            self.shapes.append(f"<rect x='{x}' y='{TOP - 14}' width='10' height='10' fill='{colour}'/>")
            self.shapes.append(text(x + 14, TOP - 5, name, 11, "start"))
            x += 30 + 6.6 * len(name)


def page(*charts, width=WIDTH):
    shapes = "\n".join(shape for chart in charts for shape in chart.shapes)
    return (f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {HEIGHT}' width='{width}' height='{HEIGHT}'>\n"
            f"<rect width='{width}' height='{HEIGHT}' fill='white'/>\n{shapes}\n</svg>\n")


def spread(n):
    """n places on the axis, none at its ends."""
    return [(i + 0.5) / n for i in range(n)]


def throughput(series):
    points = series["line"]
    places = spread(len(points))
    rate = Chart("Attested enrolments a second", "stations, closed loop", "enrolments/s", max(p["rate"] for p in points) * 1.05)
    p99 = Chart("99th percentile, nonce to certificate", "stations, closed loop", "ms",
                max(p["whole_ms"]["p99"] for p in points) * 1.05, left=WIDTH)
    for chart, value, colour in ((rate, lambda p: p["rate"], COLOURS[0]), (p99, lambda p: p["whole_ms"]["p99"], COLOURS[1])):
        chart.line([(x, value(p)) for x, p in zip(places, points)], colour)
        for x, p in zip(places, points):
            chart.mark(x, p["stations"])
    return page(rate, p99, width=2 * WIDTH)


def cost(series):
    """By process, as the operating system accounts it; the floor and the peer beside it."""
    bars = [(f"{p['stations']}", p["parts_us"]) for p in series["line"]]
    if "multi_buffer" in series:
        bars.append(("64, multi-buffer", series["multi_buffer"]["parts_us"]))
    names = list(bars[0][1])
    floor = series["floor"]
    bars.append(("floor", {"floor": floor["floor_us"]}))
    if "cfssl" in series:
        bars.append(("cfssl, bare", {"cfssl": series["cfssl"]["cpu_us"]}))
    colours = dict(zip(names, COLOURS)) | {"floor": "#a0aec0", "cfssl": "#a0aec0"}
    chart = Chart("CPU of one attested enrolment", "stations", "microseconds",
                  max(sum(parts.values()) for _, parts in bars) * 1.05)
    chart.legend([(name, colours[name]) for name in names])
    for x, (label, parts) in zip(spread(len(bars)), bars):
        chart.stack(x, [(value, colours[name]) for name, value in parts.items()])
        chart.mark(x, label)
    return page(chart)


def rows_axis(chart, most):
    _, step = nice(most)
    for i in range(int(most / step) + 1):
        chart.mark(i * step / most, short(i * step))


def growth(series):
    points = series["growth"]
    most = max(p["rows"] for p in points) * 1.03
    chart = Chart("CPU of one attested enrolment as the ledger grows", "issuances in the ledger", "microseconds",
                  max(p["total_us"] for p in points) * 1.1)
    chart.legend([("assayd and PostgreSQL", COLOURS[0]), ("PostgreSQL", COLOURS[1])])
    for value, colour in ((lambda p: p["total_us"], COLOURS[0]), (lambda p: p["cpu_us"]["postgres"], COLOURS[1])):
        chart.line([(p["rows"] / most, value(p)) for p in points], colour)
    rows_axis(chart, most)
    return page(chart)


def bite(series):
    strips = series["bite"]
    chart = Chart("From the API's answer to a revocation's effects", f"{len(strips[0]['ms'])} revocations, the slowest in figures",
                  "ms", max(max(s["ms"]) for s in strips) * 1.1)
    colours = dict(zip(("told", "other"), COLOURS))
    chart.legend([("the node that took the call", colours["told"]), ("another node", colours["other"])])
    names = {"ocsp": "OCSP: revoked", "reenrol": "re-enrolment refused", "crl": "CRL"}
    strips = sorted(strips, key=lambda s: list(names).index(s["effect"]))
    for x, s in zip(spread(len(strips)), strips):
        chart.strip(x, s["ms"], colours[s["where"]])
    for x, name in zip(spread(len(names)), names.values()):
        chart.mark(x, name)
    return page(chart)


def crl(series):
    points = series["crl"]
    places = spread(len(points))
    chart = Chart("Signing a list: from question to signature", "revoked: complete / shard", "ms",
                  max(p["complete"]["ms"] for p in points) * 1.1)
    chart.legend([("complete list", COLOURS[0]), ("one shard of 64", COLOURS[1])])
    for kind, colour in (("complete", COLOURS[0]), ("shard", COLOURS[1])):
        chart.line([(x, p[kind]["ms"]) for x, p in zip(places, points)], colour, labels=False)
    for x, p in zip(places, points):
        chart.mark(x, f"{p['revoked']:,}: {p['complete']['ms']:.0f} / {p['shard']['ms']:.0f}")
    return page(chart)


PICTURES = (  # file, the series it needs, drawing
    ("throughput.svg", "line", throughput),
    ("cost.svg", "line", cost),
    ("growth.svg", "growth", growth),
    ("bite.svg", "bite", bite),
    ("crl.svg", "crl", crl),
)


def draw(series, folder):
    """Draws what was measured; returns the files' names."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, needs, drawing in PICTURES:
        if series.get(needs):
            (folder / name).write_text(drawing(series))
            drawn.append(name)
    return drawn
