# SPDX-License-Identifier: Apache-2.0
import traceback
from stop_point import stop
caught, texts = [], []


class Custom(Exception):
    def __init__(self, number):
        super().__init__("custom %d" % number)
        self.payload = bytes(number + 400)


def fail(depth):
    if depth == 0:
        raise Custom(len(caught))
    try:
        fail(depth - 1)
    finally:
        texts.append("unwound %d of %d" % (depth, len(caught)))


for i in range(100):
    try:
        fail(i % 5)
    except Custom as error:
        caught.append(error.payload)
        if i % 10 == 0:
            texts.append("".join(traceback.format_exception_only(type(error), error)))
print(len(caught), len(texts))
stop()
