# SPDX-License-Identifier: Apache-2.0
import copy
import pickle
from stop_point import stop


class Point:
    def __init__(self, x, y):
        self.x, self.y, self.note = x, y, "point at %d and %d" % (x, y)


points = [Point(i + 1000, i * i) for i in range(500)]
pickles = [pickle.dumps(points[:100], protocol) for protocol in (2, 3, 4)]
loaded = [pickle.loads(p) for p in pickles]
copies = copy.deepcopy(points[:60])
print(sum(len(p) for p in pickles), len(loaded), len(copies), copies[3].note)
stop()
