/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pickles for tests, as C strings: what tracemalloc writes around what a test is about. */

#define PICKLE_PROTO_4 "\x80\x04"
/* the two objects, up to the list */
#define PICKLE_HEAD                                                                                                    \
        "\x8c\x0btracemalloc\x94\x8c\x08Snapshot\x94\x93\x94)\x81\x94}\x94(\x8c\x06traces\x94h\x00\x8c\x07_Traces\x94" \
        "\x93\x94)\x81\x94}\x94\x8c\x07_traces\x94]\x94"
#define PICKLE_TAIL      "sb\x8c\x0ftraceback_limit\x94K\x05ub."
/* a file with one item in its list */
#define PICKLE_ONE(item) PICKLE_PROTO_4 PICKLE_HEAD item "a" PICKLE_TAIL
/* ((a.py, 1),) */
#define PICKLE_FRAMES                                                                                                  \
        "\x8c\x04"                                                                                                     \
        "a.py"                                                                                                         \
        "\x94K\x01\x86\x94\x85\x94"
#define PICKLE_TRACE "(K\x00K\x0a" PICKLE_FRAMES "K\x01t\x94"
