# SPDX-License-Identifier: Apache-2.0
import functools
from stop_point import stop


def logged(function):
    calls = []

    @functools.wraps(function)
    def wrapper(*arguments, **named):
        calls.append("call of %s with %r" % (function.__name__, arguments))
        return function(*arguments, **named)

    wrapper.calls = calls
    return wrapper


@logged
def add(a, b=5):
    return bytes(a + b)


@functools.lru_cache(maxsize=100)
def cached(n):
    return "cached %d" % n * 10


def adders(n):
    return [lambda x, i=i: x + i for i in range(n)]


kept = [add(i + 300) for i in range(200)] + [add(i, b=700) for i in range(100)]
texts = [cached(i % 150) for i in range(400)]
functions = adders(100)
partials = [functools.partial(add, i, b=i) for i in range(100)]
print(len(kept), len(texts), functions[5](3), len(partials[7]()), len(add.calls))
stop()
