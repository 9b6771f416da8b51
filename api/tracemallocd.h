/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a program tells tracemallocd of memory that no hook sees: blocks of an
 * allocator of its own, memory of a device, records in a pool. Link with
 * -ltracemallocd (pkg-config tracemallocd). Where the program is not traced, every function
 * returns TM_E_NOT_TRACED at once, at the price of a call.
 *
 * Any thread may call any of these, holding any lock, in a signal handler too: they take no
 * lock and allocate nothing. errno is left alone. tracemalloc-api(3) is their manual.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TM_API_VERSION 1

enum {
        TM_E_FULL = -1,       /* too many domains (TM_DOMAINS_MAX) or labels of phases */
        TM_E_NOT_TRACED = -2, /* nothing is recorded now; what PyTraceMalloc_Track() returns then */
        TM_E_INVALID = -3,    /* a number or name that is tracemallocd's own, or an address beyond 2^63 */
};

#define TM_DOMAINS_MAX     253 /* of one process */
#define TM_NAME_BYTES_MAX  48  /* of a domain's name */
#define TM_PHASE_BYTES_MAX 128 /* of a phase's label */

/** tm_traced() - whether tm_track() would record anything now. Return: 1 or 0. */
int tm_traced(void);

/** tm_track() - a block is alive: call it when its memory is the caller's
 * @domain: a number that the program chooses. Each has a space of addresses of its own. 0 is Python's,
 * which it shares with malloc; 4294967293 and up are tracemallocd's.
 * @address: what identifies the block; an address or any other number below 2^63
 * @size: bytes
 * A block that is alive at this (domain, address) is replaced. The traceback is that of the caller.
 * Return: 0; TM_E_NOT_TRACED; TM_E_FULL; TM_E_INVALID. */
int tm_track(unsigned int domain, uintptr_t address, size_t size);

/** tm_untrack() - the block is gone: call it before its memory is anybody else's
 * An address that is not tracked is ignored. Return: as tm_track(). */
int tm_untrack(unsigned int domain, uintptr_t address);

/** tm_domain_name() - what a domain is called in tmctl's --domain and in what it prints; best before the first block
 * @name: copied; 1 to TM_NAME_BYTES_MAX bytes, not all digits, no comma, not python, malloc, mmap or other
 * Kept also while nothing is traced, for when it is. Return: as tm_track(). */
int tm_domain_name(unsigned int domain, const char *name);

/** tm_phase() - what the process does from here on
 * @label: copied, cut at TM_PHASE_BYTES_MAX; NULL or "": nothing that has a name
 * The label of snapshots that are taken in this phase and have none of their own, of the peak snapshot where the peak
 * was reached in it, and what tmctl ps shows. For a phase of the whole process: the last call of any thread counts.
 * Return: as tm_track(). */
int tm_phase(const char *label);

#ifdef __cplusplus
}
#endif
