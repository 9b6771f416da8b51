# SPDX-License-Identifier: Apache-2.0
import math
import random
import statistics
from stop_point import stop
dice = random.Random(11)
big = [3 ** (i * 10) for i in range(1, 200)]
factorials = [math.factorial(i) for i in range(20, 120)]
products = [a * b for a, b in zip(big, big[1:])]
walk = [dice.getrandbits(200) for _ in range(500)]
hexes = [hex(n) for n in walk]
primes = [n for n in range(2, 3000) if all(n % d for d in range(2, int(n ** 0.5) + 1))]
shuffled = list(range(1000, 3000))
dice.shuffle(shuffled)
print(len(str(products[-1])), len(hexes), len(primes), statistics.mean(shuffled), sum(factorials) % 1000007)
stop()
