# SPDX-License-Identifier: Apache-2.0
from stop_point import stop


class Meta(type):
    def __new__(mcs, name, bases, namespace):
        namespace["made"] = "by the metaclass of " + name
        return super().__new__(mcs, name, bases, namespace)


class Shape(metaclass=Meta):
    registry = {}

    def __init__(self, name, sides):
        self.name, self.sides = name, sides
        self.registry[name] = self

    @property
    def perimeter(self):
        return sum(self.sides)


class Square(Shape):
    def __init__(self, side):
        super().__init__("square %d" % side, [side + 1000] * 4)


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, i):
        self.a, self.b = "slot %d" % i, bytes(300 + i)


shapes = [Square(i) for i in range(500)]
slotted = [Slotted(i) for i in range(500)]
made = [Meta("Made%d" % i, (Shape,), {"number": "n%d" % i}) for i in range(30)]
print(sum(s.perimeter for s in shapes), len(slotted), len(Shape.registry), made[3].made)
stop()
