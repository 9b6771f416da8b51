# SPDX-License-Identifier: Apache-2.0
import threading
from stop_point import stop
kept, lock = {}, threading.Lock()


def work(number):
    mine = [bytes(1000 + number) for _ in range(50)]
    with lock:
        kept[number] = mine


def one_after_the_other():
    for number in range(20):
        thread = threading.Thread(target=work, args=(number,))
        thread.start()
        thread.join()


one_after_the_other()
print(sum(len(block) for mine in kept.values() for block in mine))
stop()
