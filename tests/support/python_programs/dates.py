# SPDX-License-Identifier: Apache-2.0
import datetime
from stop_point import stop
start = datetime.datetime(2020, 1, 1)
days = [start + datetime.timedelta(days=i, hours=i % 7) for i in range(500)]
texts = [day.isoformat() for day in days]
parsed = [datetime.datetime.fromisoformat(text) for text in texts]
names = [day.strftime("%A %d %B") for day in days[:100]]
print(len(parsed), len(names))
stop()
