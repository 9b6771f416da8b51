# SPDX-License-Identifier: Apache-2.0
"""Results as Markdown tables, printed as they come, and as an SVG picture."""
import html
import math
import os
import statistics

REAL = ("sqlite3", "clang++", "cppcheck", "perl", "git")


def median(values):
    return statistics.median(values)


def spread(values):
    values = sorted(values)
    text = f"{median(values):.2f}"
    return text if len(values) == 1 else f"{text} ({values[0]:.2f} to {values[-1]:.2f})"


def ratios(runs, plain, field="wall"):
    return [getattr(r, field) / max(getattr(p, field), 1e-6) for r, p in zip(runs, plain)]


def share(result, field, of="peer"):
    """Of what the peer, or its recording part, adds; None where it adds nothing, or there is none."""
    runs = getattr(result, of)
    if not runs:
        return None
    base = median([getattr(r, field) for r in result.plain])
    peer = median([getattr(r, field) for r in runs]) - base
    own = median([getattr(r, field) for r in result.traced]) - base
    return own / peer if peer > 0 else None


def text_of(value):
    return "-" if value is None else f"{value:.2f}"


def picture(results):
    """Bars: run time of each program as a ratio to plain, traced and under its peer."""
    height, left, width = 40 * len(results) + 60, 110, 600
    largest = max(max(median(ratios(r.peer or r.traced, r.plain)), median(ratios(r.traced, r.plain))) for r in results)
    scale = width / largest
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 120}" height="{height}" font-family="sans-serif" '
             'font-size="12">', '<text x="10" y="20">Run time as a ratio to the untraced run, median: traced (dark), peer '
             '(light)</text>']
    for i, result in enumerate(results):
        y = 40 + 40 * i
        lines.append(f'<text x="10" y="{y + 17}">{html.escape(result.name)}</text>')
        bars = [("#1f4e79", result.traced, "traced"), ("#b0c4de", result.peer, result.peer_name)]
        for k, (colour, runs, name) in enumerate(bars):
            if not runs:
                continue
            value = median(ratios(runs, result.plain))
            lines.append(f'<rect x="{left}" y="{y + 13 * k}" width="{value * scale:.1f}" height="12" fill="{colour}"/>')
            lines.append(f'<text x="{left + value * scale + 4:.1f}" y="{y + 13 * k + 10}">{value:.2f} {html.escape(name)}'
                         '</text>')
    x = left + scale
    lines.append(f'<line x1="{x:.1f}" y1="32" x2="{x:.1f}" y2="{height - 15}" stroke="black" stroke-dasharray="3"/></svg>')
    return "\n".join(lines) + "\n"


class Report:
    def __init__(self, head):
        self.lines, self.results = [], []
        self.say(head + "\n")

    def say(self, line):
        self.lines.append(line)
        print(line, flush=True)

    def programs(self, results):
        self.results = results
        if not results:
            return
        self.say("| program | plain, s | traced / plain | peer / plain | peer | added run time, of the peer's | of its recording "
                 "alone | added CPU of program and daemon, of the peer's | of its recording alone | CPU of program / plain | daemon "
                 "CPU, s |")
        self.say("|---|---|---|---|---|---|---|---|---|---|---|")
        for r in results:
            whole = r._replace(traced=[t._replace(cpu=t.cpu + t.daemon_cpu) for t in r.traced])
            self.say(f"| {r.name} | {median([p.wall for p in r.plain]):.2f} | {spread(ratios(r.traced, r.plain))} | "
                     f"{spread(ratios(r.peer, r.plain)) if r.peer else '-'} | {r.peer_name if r.peer else '-'} | "
                     f"{text_of(share(r, 'wall'))} | {text_of(share(r, 'wall', 'recording'))} | "
                     f"{text_of(share(whole, 'cpu'))} | {text_of(share(whole, 'cpu', 'recording'))} | "
                     f"{spread(ratios(r.traced, r.plain, 'cpu'))} | {median([t.daemon_cpu for t in r.traced]):.2f} |")
        self.say("")
        self.mean_of(results, "peer", "heaptrack adds, called as a user calls it")
        self.mean_of(results, "recording", "heaptrack's recording part alone adds")
        self.say(f"Programs whose summary names lost events: {sum(t.lost > 0 for r in results for t in r.traced)}\n")

    def mean_of(self, results, of, what):
        real = [share(r, "wall", of) for r in results if r.name in REAL]
        real = [value for value in real if value is not None and value > 0]
        if real:
            mean = math.exp(sum(map(math.log, real)) / len(real))
            self.say(f"Added run time of {len(real)} real programs, of what {what}: geometric mean {mean:.2f}, worst "
                     f"{max(real):.2f}\n")

    def check(self, line):
        self.say(f"- {line}")

    def finish(self, folder):
        if not folder:
            return
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "bench.md"), "w", encoding="utf-8") as f:
            f.write("\n".join(self.lines) + "\n")
        if self.results:
            with open(os.path.join(folder, "bench.svg"), "w", encoding="utf-8") as f:
                f.write(picture(self.results))
