# SPDX-License-Identifier: Apache-2.0
import asyncio
from stop_point import stop
kept = []


async def worker(number, queue):
    while True:
        item = await queue.get()
        kept.append(b"%d:" % number + bytes(item + 200))
        queue.task_done()


async def produce(queue):
    for i in range(200):
        await queue.put(i)
    await queue.join()


async def numbers(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield "n" * (i + 100)


async def main():
    queue = asyncio.Queue(10)
    workers = [asyncio.ensure_future(worker(i, queue)) for i in range(4)]
    await produce(queue)
    texts = [text async for text in numbers(60)]
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    return texts


loop = asyncio.new_event_loop()
texts = loop.run_until_complete(main())
print(len(kept), len(texts))
stop()
