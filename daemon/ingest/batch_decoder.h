/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* EventBatch.records into events: the socket way's ring_reader. Ingest worker. */

#include "daemon/ingest/definitions.h"
#include "daemon/live/event.h"

#include <stddef.h>
#include <stdint.h>

enum { BATCH_DECODER_E_MALFORMED = 1 };

/** batch_decoder_read() - records from *offsetp on
 * @records: [length] bytes, aligned or not; @position: of its first byte
 * @offsetp: moved behind what was read; @events: [n]; @np: number set, on every return
 * Return: 0: at the end, or @n read; BATCH_DECODER_E_MALFORMED: at *offsetp lies no whole, right record. */
int batch_decoder_read(const unsigned char *records, size_t length, uint64_t position, struct definitions *definitions,
                       size_t *offsetp, struct event *events, size_t n, size_t *np);
