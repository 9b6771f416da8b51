# SPDX-License-Identifier: Apache-2.0
"""Run under a CPython of 3.8 to 3.14: prints its line tables and what it takes them for itself.

usage: line_tables.py SEED COUNT

For COUNT files of its standard library and generated functions, two lines for each code object:
"FORMAT FIRST_LINE BYTES TABLE" and the lines of the instructions at 0, 2, 4 ... as PyCode_Addr2Line() has them (as
co_lines() or dis has them where there is no ctypes), those that have none being 0.
"""
import glob
import os
import random
import sys
import types

FORMAT = 309 if sys.version_info < (3, 10) else 310 if sys.version_info < (3, 11) else 311


def by_ctypes():
    import ctypes
    call = ctypes.pythonapi.PyCode_Addr2Line
    call.argtypes, call.restype = [ctypes.py_object, ctypes.c_int], ctypes.c_int
    return lambda code: [call(code, offset) for offset in range(0, len(code.co_code), 2)]


def by_itself(code):
    lines = [0] * (len(code.co_code) // 2)
    if FORMAT == 309:
        import dis
        starts = dict(dis.findlinestarts(code))
        line = code.co_firstlineno
        for i in range(len(lines)):
            line = starts.get(2 * i, line)
            lines[i] = line
    else:
        for start, end, line in code.co_lines():
            lines[start // 2:end // 2] = [line or 0] * (end // 2 - start // 2)
    return lines


def walk(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from walk(constant)


def generated(dice):
    """Functions with long distances between lines, both ways, statements over many lines, and long lines."""
    for _ in range(40):
        text = []
        for i in range(dice.randrange(1, 30)):
            kind = dice.randrange(6)
            gap = "\n" * dice.choice([0, 1, 2, 100, 127, 128, 129, 200, 255, 300, 5000])
            if kind == 0:
                text.append("x = %d" % i + gap)
            elif kind == 1:
                text.append("x = (a" + gap.replace("\n", "\\\n") + " + [\n" + gap + "b for b in c(%d)\n])" % i)
            elif kind == 2:
                text.append("try:\n  f(%d)%s\n  g()\nexcept E as e:\n  h()\nfinally:\n  with p() as q: r()" % (i, gap))
            elif kind == 3:
                text.append("y = [" + ", ".join("f%d(z)" % k for k in range(dice.choice([3, 50, 300]))) + "]" + gap)
            elif kind == 4:
                text.append("class C%d:\n  %s\n  def m(self): return lambda: %d" % (i, "v = 1" + gap, i))
            else:
                text.append("if a:%s\n  for i in b:\n    if c: continue\n    while d: break\n    yield_ = 1" % gap)
        yield compile("\n".join(text), "generated.py", "exec")


def codes(seed, count):
    dice = random.Random(seed)
    library = os.path.dirname(os.__file__)
    files = sorted(glob.glob(library + "/*.py") + glob.glob(library + "/*/*.py"))
    for path in dice.sample(files, min(count, len(files))):
        try:
            with open(path, "rb") as f:
                module = compile(f.read(), path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            continue  # samples of bad source, in lib2to3 and the like
        yield from walk(module)
    for module in generated(dice):
        yield from walk(module)


def main():
    sys.setrecursionlimit(10000)
    try:
        lines_of = by_ctypes()
    except ImportError:
        lines_of = by_itself
    for code in codes(int(sys.argv[1]), int(sys.argv[2])):
        table = code.co_lnotab if FORMAT == 309 else code.co_linetable
        print(FORMAT, code.co_firstlineno, len(code.co_code), table.hex() or "-")
        print(*[max(line, 0) for line in lines_of(code)])


main()
