# SPDX-License-Identifier: Apache-2.0
import array
import collections
import heapq
import itertools
from stop_point import stop
Pair = collections.namedtuple("Pair", "left right")
pairs = [Pair("l%d" % i, i + 1000) for i in range(500)]
counts = collections.Counter(i * i % 97 for i in range(5000))
queue = collections.deque((bytes(i) for i in range(400)), maxlen=300)
ordered = collections.OrderedDict(("k%d" % i, "v%d" % i) for i in range(300))
for i in range(0, 300, 3):
    del ordered["k%d" % i]
groups = collections.defaultdict(list)
for pair in pairs:
    groups[pair.right % 17].append(pair)
heap = []
for i in range(400):
    heapq.heappush(heap, (i * 7919 % 1009, "entry %d" % i))
smallest = heapq.nsmallest(50, heap)
numbers = array.array("d", range(3000))
numbers.extend(range(500))
sets = [set(range(i, i + 40)) for i in range(50)]
frozen = frozenset(itertools.chain.from_iterable(sets))
products = ["-".join(p) for p in itertools.product("abc", "defg", "hij")]
print(len(counts), len(queue), len(ordered), len(groups), smallest[3], len(numbers), len(frozen), len(products))
stop()
