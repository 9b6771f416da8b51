# SPDX-License-Identifier: Apache-2.0
import types
from stop_point import stop
space = {"kept": []}
for i in range(100):
    exec("def f%d(n):\n    kept.append(bytes(n + %d))\n\nf%d(500)\n" % (i, i, i), space)
values = [eval("[%d, 'x' * %d]" % (i, i + 50)) for i in range(100)]
codes = [compile("a = %d\nb = [a] * %d" % (i, i), "<made>", "exec") for i in range(50)]
modules = []
for i in range(20):
    module = types.ModuleType("module%d" % i)
    exec("class C:\n    data = [%d] * 300\ndef get():\n    return C.data" % i, module.__dict__)
    modules.append(module)
print(len(space["kept"]), len(values), len(codes), modules[3].get()[0])
stop()
