# SPDX-License-Identifier: Apache-2.0
"""Results as Markdown tables, printed as they come."""
import math
import os
import statistics

from bench_picture import picture

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
