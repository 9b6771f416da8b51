# SPDX-License-Identifier: Apache-2.0
"""Results as an SVG picture: run time of each program as a ratio to plain, traced and under its peer.

On a card of its own, so that it can be read on a page of any colour. The axis is logarithmic: a peer's ratio may be 50
where ours is 1.05.
"""
import html
import math
import statistics

LEFT, WIDTH, RIGHT = 100, 520, 190  # names, plot, what is written behind the longest bar
TOP, ROW, BAR = 92, 46, 14
GOALS, GOAL = {"8 threads": 8}, 4  # of what the peer adds, one part in so many at most; of a mean of real programs, 8
INK, FAINT, GRID, CARD = "#1f2328", "#59636e", "#e4e7eb", "#ffffff"
OWN, PEER, MARK = "#1f5fa8", "#b9cbe0", "#d1480f"
TICKS = (1, 1.5, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1000)


def ratios(runs, plain):
    return sorted(r.wall / max(p.wall, 1e-6) for r, p in zip(runs, plain))


class Axis:
    def __init__(self, largest):
        self.end = next((t for t in TICKS if t >= largest and t >= 2), largest)

    def x(self, ratio):
        return LEFT + WIDTH * math.log(min(max(ratio, 1), self.end)) / math.log(self.end)

    def ticks(self):
        """Those that leave room for their numbers."""
        last = -math.inf
        for tick in TICKS:
            if tick <= self.end and self.x(tick) - last >= 36:
                last = self.x(tick)
                yield tick, last


def text(x, y, words, colour=INK, anchor="start", size=12, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="{size}" '
            f'font-weight="{weight}" paint-order="stroke" stroke="{CARD}" stroke-width="3">{html.escape(words)}</text>')


def box(x, y, width, height, colour):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" rx="1.5" fill="{colour}"/>'


def line(x1, y1, x2, y2, colour, width=1.0):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def bar(axis, y, values, colour, name, mark=0):
    """Its length is the median; a thin line goes from the least to the most of the rounds. @mark: which the number must
    not touch."""
    middle, end = statistics.median(values), axis.x(values[-1])
    yield box(LEFT, y, max(axis.x(middle) - LEFT, 1), BAR, colour)
    if len(values) > 1:
        yield line(axis.x(values[0]), y + BAR / 2, end, y + BAR / 2, FAINT)
    behind = max(axis.x(middle), end) + 6
    if behind - 6 < mark < behind + 36:
        behind = mark + 6
    yield text(behind, y + BAR - 3, f"{middle:.2f} {name}".strip(), FAINT if name else INK)


def row(axis, y, result):
    own, peer = ratios(result.traced, result.plain), ratios(result.peer, result.plain) if result.peer else None
    yield text(LEFT - 10, y + (BAR + 5 if peer else BAR - 3), result.name, anchor="end")
    goal = axis.x(1 + (statistics.median(peer) - 1) / GOALS.get(result.name, GOAL)) if peer else 0
    yield from bar(axis, y, own, OWN, "", goal)
    if peer:
        yield from bar(axis, y + BAR + 1, peer, PEER, result.peer_name)
        yield line(goal, y - 3, goal, y + BAR + 1, MARK, 2)


def legend(y):
    yield box(LEFT, y - 10, 12, 12, OWN)
    yield text(LEFT + 18, y, "traced by tracemallocd")
    yield box(LEFT + 170, y - 10, 12, 12, PEER)
    yield text(LEFT + 188, y, "under its peer, named at the bar")
    yield line(LEFT + 400, y - 11, LEFT + 400, y + 3, MARK, 2)
    yield text(LEFT + 408, y, "goal: no further than this")


def picture(results):
    largest = max(max(ratios(runs, r.plain)) for r in results for runs in (r.traced, r.peer) if runs)
    axis, bottom, width = Axis(largest), TOP + ROW * len(results), LEFT + WIDTH + RIGHT
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 52}" width="{width}" '
             f'height="{bottom + 52}" font-family="system-ui, Helvetica, Arial, sans-serif">',
             f'<rect width="{width}" height="{bottom + 52}" rx="6" fill="{CARD}"/>',
             text(LEFT, 32, "What tracing costs: run time, as a multiple of the untraced run's", size=15, weight="bold")]
    lines += legend(58)
    for tick, x in axis.ticks():
        lines.append(line(x, TOP - 12, x, bottom, FAINT if tick == 1 else GRID))
        lines.append(text(x, bottom + 16, f"{tick:g}×", FAINT, "middle", 11))
    lines.append(text(LEFT + WIDTH / 2, bottom + 38, "run time / run time untraced: median of the rounds (thin line: least to "
                      "most), logarithmic", FAINT, "middle", 11))
    for i, result in enumerate(results):
        lines += row(axis, TOP + ROW * i, result)
    return "\n".join(lines) + "\n</svg>\n"
