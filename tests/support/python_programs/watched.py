# SPDX-License-Identifier: Apache-2.0
import sys
from stop_point import stop

kept, seen = [], []


def work(n):
    data = [bytes(300 + i)
            for i in range(n)]
    kept.append(
        data)
    return {
        "a": bytes(400),
        "b": [n] * 30,
    }


def trace(frame, event, argument):
    if event == "line" and frame.f_code is work.__code__:
        seen.append((frame.f_lineno, bytes(100 + len(seen) % 9)))
    return trace


def profile(frame, event, argument):
    seen.append(event + "x" * 50)


def skip(frame, event, argument):
    if event == "line" and frame.f_lineno == frame.f_code.co_firstlineno + 2:
        frame.f_lineno += 1
        sys.settrace(None)
        frame.f_trace = None
    return skip


def skipped():
    kept.append(bytes(1111))
    kept.append(bytes(2222))
    kept.append(bytes(3333))


def keep(n):
    kept.extend(bytes(n) for _ in range(4))


def unwatched():
    sys._getframe().f_trace = trace
    keep(700)
    sys.settrace(None)
    forgets()
    keep(701)


def forgets():
    keep(702)
    del sys._getframe(1).f_trace
    keep(702)


def generator():
    kept.append(bytes(800))
    yield


def closing(frame, event, argument):
    kept.append(bytes(801))
    return closing


def closed_while_watched():
    one = generator()
    next(one)
    sys.settrace(closing)
    one.close()
    sys.settrace(None)


def monitored():
    monitoring = sys.monitoring
    events = monitoring.events
    monitoring.use_tool_id(1, "test")
    monitoring.register_callback(1, events.LINE, lambda code, line: seen.append(bytes(150)))
    monitoring.register_callback(1, events.PY_START, lambda code, offset: seen.append(bytes(170)))
    monitoring.register_callback(1, events.INSTRUCTION, lambda code, offset: None)
    monitoring.set_events(1, events.LINE | events.PY_START)
    works(10)
    monitoring.set_local_events(1, work.__code__, events.INSTRUCTION | events.LINE)
    works(10)
    monitoring.set_events(1, 0)
    monitoring.free_tool_id(1)


def works(n):
    for i in range(n):
        work(i)


sys.settrace(trace)
works(20)
sys.settrace(None)
sys.setprofile(profile)
works(20)
sys.setprofile(None)
if sys.version_info >= (3, 12):
    monitored()
    works(10)
sys.settrace(skip)
skipped()
sys.settrace(trace)
unwatched()
closed_while_watched()
print(len(kept))
stop()
