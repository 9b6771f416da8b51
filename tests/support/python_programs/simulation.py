# SPDX-License-Identifier: Apache-2.0
import random
from stop_point import stop


class Animal:
    def __init__(self, world, energy):
        self.world, self.energy, self.history = world, energy, []

    def step(self):
        self.energy -= 1
        self.history.append("energy %d" % self.energy)
        if self.energy > 30:
            self.energy //= 2
            self.world.born.append(type(self)(self.world, self.energy))


class Grazer(Animal):
    def step(self):
        super().step()
        self.energy += self.world.dice.randrange(4)


class Hunter(Animal):
    def step(self):
        super().step()
        if self.world.prey and self.world.dice.random() < 0.3:
            self.energy += self.world.prey.pop().energy


class World:
    def __init__(self, seed):
        self.dice, self.born, self.log = random.Random(seed), [], {}
        self.animals = [Grazer(self, 20) for _ in range(100)] + [Hunter(self, 25) for _ in range(10)]
        self.prey = []

    def run(self, n):
        for day in range(n):
            self.prey = [a for a in self.animals if isinstance(a, Grazer)]
            for animal in self.animals:
                animal.step()
            self.animals = [a for a in self.animals + self.born if a.energy > 0]
            self.born = []
            self.log["day %d" % day] = len(self.animals)


world = World(7)
world.run(40)
print(len(world.animals), sum(world.log.values()))
stop()
