# SPDX-License-Identifier: Apache-2.0
import io
import xml.etree.ElementTree as ElementTree
from stop_point import stop
root = ElementTree.Element("root")
for i in range(300):
    item = ElementTree.SubElement(root, "item", {"id": str(i), "kind": "k%d" % (i % 5)})
    item.text = "text of %d" % i
    ElementTree.SubElement(item, "child").tail = "tail %d" % i
text = ElementTree.tostring(root)
parsed = ElementTree.fromstring(text)
found = [item.get("id") + item.text for item in parsed.iterfind(".//item[@kind='k3']")]
events = [(event, element.tag) for event, element in ElementTree.iterparse(io.BytesIO(text), ("start", "end"))]
print(len(text), len(found), len(events))
stop()
