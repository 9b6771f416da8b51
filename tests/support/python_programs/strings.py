# SPDX-License-Identifier: Apache-2.0
import random
from stop_point import stop
dice = random.Random(5)
words = []
for i in range(3000):
    words.append("word%d" % i * dice.randrange(1, 40))
    if i % 7 == 0:
        words.pop(dice.randrange(len(words)))
joined = "".join(words)
index = {}
for word in words:
    index.setdefault(len(word), []).append(word.upper())
parts = joined[:20000].split("1")
numbers = [int(str(n) * 9) for n in range(1, 2000)]
print(len(words), len(joined), len(index), len(parts), sum(numbers))
stop()
