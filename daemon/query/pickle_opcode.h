/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Opcodes of pickle protocols 4 and 5 that snapshots are made of, and those of plain values that somebody may have set
 * as attributes of one. Numbers are little-endian. Python's pickletools.py documents each. */

enum pickle_opcode {
        PICKLE_MARK = '(',
        PICKLE_STOP = '.',
        PICKLE_DUP = '2',
        PICKLE_BINFLOAT = 'G',
        PICKLE_BININT = 'J',  /* 4 bytes, signed */
        PICKLE_BININT1 = 'K', /* 1 byte */
        PICKLE_BININT2 = 'M', /* 2 bytes */
        PICKLE_NONE = 'N',
        PICKLE_BINUNICODE = 'X', /* 4 bytes of length */
        PICKLE_APPEND = 'a',
        PICKLE_BUILD = 'b',
        PICKLE_APPENDS = 'e',
        PICKLE_BINGET = 'h',      /* 1 byte */
        PICKLE_LONG_BINGET = 'j', /* 4 bytes */
        PICKLE_SETITEM = 's',
        PICKLE_TUPLE = 't',
        PICKLE_SETITEMS = 'u',
        PICKLE_EMPTY_TUPLE = ')',
        PICKLE_EMPTY_LIST = ']',
        PICKLE_EMPTY_DICT = '}',
        PICKLE_BINBYTES = 'B',       /* 4 bytes of length */
        PICKLE_SHORT_BINBYTES = 'C', /* 1 byte of length */
        PICKLE_PROTO = 0x80,
        PICKLE_NEWOBJ = 0x81,
        PICKLE_TUPLE1 = 0x85,
        PICKLE_TUPLE2 = 0x86,
        PICKLE_TUPLE3 = 0x87,
        PICKLE_NEWTRUE = 0x88,
        PICKLE_NEWFALSE = 0x89,
        PICKLE_LONG1 = 0x8a,            /* 1 byte of length, two's complement */
        PICKLE_LONG4 = 0x8b,            /* 4 bytes of length */
        PICKLE_SHORT_BINUNICODE = 0x8c, /* 1 byte of length */
        PICKLE_BINUNICODE8 = 0x8d,      /* 8 bytes of length */
        PICKLE_BINBYTES8 = 0x8e,        /* 8 bytes of length */
        PICKLE_EMPTY_SET = 0x8f,
        PICKLE_ADDITEMS = 0x90,
        PICKLE_FROZENSET = 0x91,
        PICKLE_STACK_GLOBAL = 0x93,
        PICKLE_MEMOIZE = 0x94,
        PICKLE_FRAME = 0x95,      /* 8 bytes */
        PICKLE_BYTEARRAY8 = 0x96, /* 8 bytes of length */
};
