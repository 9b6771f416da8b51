# SPDX-License-Identifier: Apache-2.0
import marshal
import os
from stop_point import stop

NAMES = ["", "<string>", " ", "a\nb", ":1", "*?[x]", "caf\xe9", "\u20ac", "\U0001f40d", "\ud800", os.fsdecode(b"\xff\xfe.py"),
         "nul\0nul", "x" * 5000, "a" * 70000]
SOURCE = "kept.append([bytes(200 + i) for i in range(5)])\n\n\ndef f():\n  kept.append(bytes(777))\nf()\n"
kept = []


def named():
    for name in NAMES:
        try:
            code = compile(SOURCE, name, "exec")
        except ValueError:
            kept.append("refused" * 10)
            continue
        exec(code)
        for k in range(5):
            exec(code.replace(co_filename=__file__, co_name="n%d" % k, co_firstlineno=1000 * (k + 1)))


def far_down():
    exec(compile("\n" * 70000 + "kept.append([bytes(100 + i) for i in range(60)])", __file__, "exec"))
    exec(compile("kept.append((" + "\n" * 300 + "bytes(345), " + "\n" * 40000 + "bytes(567)))", __file__, "exec"))
    code = compile("def g(): return bytes(999)\nkept.append(g())", __file__, "exec")
    exec(marshal.loads(marshal.dumps(code)))


def moved():
    kept.append(bytes(1111))


named()
far_down()
for line in (1, 2**31 - 10):
    moved.__code__ = moved.__code__.replace(co_firstlineno=line)
    moved()
kept.append([eval("bytes(%d)" % (300 + i)) for i in range(60)])
print(len(kept))
stop()
