# SPDX-License-Identifier: Apache-2.0
import sys
from stop_point import stop

kept = []

MATCHED = """
def match_it(x):
    match x:
        case [a, *rest]:
            return [bytes(300 + a), rest]
        case {"k": v, **rest}:
            return {"v": bytes(v), **rest}
        case int(n) if n > 3:
            return bytes(n + 200)
        case _:
            return str(x) * 40

for i in range(30):
    kept.append([match_it([i, i, i]), match_it({"k": i, "z": 1}), match_it(i)])
"""

GROUPED = """
def raise_group(i):
    try:
        raise ExceptionGroup("group" * 30, [ValueError(bytes(300 + i)), ExceptionGroup("inner", [KeyError(i)])])
    except* ValueError as group:
        kept.append(group.exceptions)
    except* KeyError as group:
        kept.append(group)
        group.add_note("note" * 30)

for i in range(30):
    raise_group(i)
"""

GENERIC = """
class Box[T]:
    def __init__(self, value: T):
        self.value = value
    def get[U](self, other: U) -> list[T | U]:
        return [self.value, other]

type Boxes[X] = list[Box[X]]
kept += [Box[int](bytes(i + 300)).get(bytes(i + 400)) for i in range(30)]
kept += [Boxes[int].__origin__ for i in range(20)]
"""

TEMPLATED = """
def annotated(a: bytes(1100), b: kept[0]) -> [bytes(i + 300) for i in range(20)]:
    try:
        raise KeyError(bytes(a + 300))
    except KeyError, ValueError:
        return t"{bytes(a + 400)!r:>{500 + a}} and {b}" t"{a}"

kept += [annotated(i, i) for i in range(30)]
kept += [template.interpolations for template in kept[-5:]]
kept.append(annotated.__annotations__)
"""


def comprehended(n):
    return ([bytes(i + 500) for i in range(n)],
            {i: bytes(i + 600) for i in range(n)},
            sorted({bytes(i + 700) for i in range(n)}),
            [[bytes(j + 800) for j in range(i)] for i in range(n)],
            list(bytes(i + 70) for i in range(n)),
            (lambda: [bytes(900) for _ in range(n)])(),
            (made := bytes(1000)))


for source, version in ((MATCHED, (3, 10)), (GROUPED, (3, 11)), (GENERIC, (3, 12)), (TEMPLATED, (3, 14))):
    if sys.version_info >= version:
        exec(compile(source, __file__, "exec"))
kept += [comprehended(i) for i in range(12)]
print(len(kept) > 10)
stop()
