# SPDX-License-Identifier: Apache-2.0
import decimal
import fractions
from stop_point import stop
decimal.getcontext().prec = 60
values = [decimal.Decimal(i) / 7 for i in range(1, 600)]
roots = [value.sqrt() for value in values]
texts = [str(root) for root in roots]
thirds = [fractions.Fraction(i, 3 * i + 1) for i in range(1, 300)]
total = sum(values)
with decimal.localcontext() as context:
    context.prec = 200
    precise = [decimal.Decimal(2) ** decimal.Decimal(1) / i for i in range(1, 100)]
print(total, len(texts), sum(thirds[:20]), len(precise))
stop()
