# SPDX-License-Identifier: Apache-2.0
import json
from stop_point import stop
data = [{"id": i, "name": "name %d" % i, "tags": ["t%d" % (i % 7)] * 3, "score": i / 7, "nested": {"deep": [None, True, i]}}
        for i in range(600)]
text = json.dumps(data)
again = json.loads(text)
pretty = json.dumps(data[:50], indent=2, sort_keys=True)
texts = [json.dumps(entry) for entry in data]
broken = []
for i in range(50):
    try:
        json.loads(text[:1000 + i])
    except ValueError as error:
        broken.append(str(error))
print(len(text), again == data, len(pretty), len(broken))
stop()
