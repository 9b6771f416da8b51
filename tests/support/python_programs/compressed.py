# SPDX-License-Identifier: Apache-2.0
import binascii
import bz2
import hashlib
import lzma
import struct
import zlib
from stop_point import stop
data = b"".join(b"line %d of many\n" % i for i in range(3000))
packed = [zlib.compress(data[i:]) for i in range(20)]
packed += [bz2.compress(data), lzma.compress(data)]
unpacked = [zlib.decompress(p) for p in packed[:20]]
compressor = zlib.compressobj(9)
pieces = [compressor.compress(data[i:i + 500]) for i in range(0, 20000, 500)]
digests = [hashlib.sha256(data[i:]).hexdigest() for i in range(100)]
hashes = [hashlib.new("md5", b"%d" % i) for i in range(100, 150)]
records = [struct.pack("<QId20s", i, i, i / 3, b"name") for i in range(500)]
fields = [struct.unpack("<QId20s", record) for record in records]
print(len(packed), sum(map(len, unpacked)), len(pieces), digests[3], len(fields), binascii.crc32(data))
stop()
