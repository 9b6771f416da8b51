/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Blocks that the program tells of itself: libtracemallocd (api/) jumps here, and so
 * does an extension module that calls Python's PyTraceMalloc_Track(): the dynamic linker finds ours before that of a
 * libpython.so, and in place of the executable's (python.c). Any thread, signal handlers too: no lock, no allocation.
 *
 * A domain's number gets an index of the records when it is first seen, for the life of
 * the process and of its forks' children. Each epoch is told of it before its first block there; two threads
 * that meet there tell of it twice, which says the same.
 */

#include "agent/hooks.h"
#include "agent/python.h"
#include "agent/real.h"
#include "agent/recorder.h"
#include "agent/state.h"
#include "api/tracemallocd.h"
#include "proto/agent.pb-c.h"

#include <string.h>

#define N_DOMAINS     (DOMAIN_INDEX_MAX - DOMAIN_INDEX_FIRST_FREE + 1)
#define PHASES_CACHED 64
#define PHASES_MAX    8192 /* labels an epoch is told of: 1.2 MiB of its definitions at most */
#define NOT_TRACING   (-2) /* PyTraceMalloc_Track() */

/* What a program takes by its own word is recorded with what it takes from malloc, or alone. */
#define OWN_DOMAINS    (DOMAIN_BIT_OTHER | DOMAIN_BIT_MALLOC)
/* What it tells tracemalloc of, with what Python takes as well: tracemalloc has both. */
#define PYTHON_DOMAINS (OWN_DOMAINS | DOMAIN_BIT_PYTHON)

_Static_assert(N_DOMAINS == TM_DOMAINS_MAX, "the header says how many there are");

HOOK int tm_agent_traced_1(void);
HOOK int tm_agent_track_1(unsigned int domain, uintptr_t address, size_t size);
HOOK int tm_agent_untrack_1(unsigned int domain, uintptr_t address);
HOOK int tm_agent_domain_name_1(unsigned int domain, const char *name);
HOOK int tm_agent_phase_1(const char *label);
HOOK int PyTraceMalloc_Track(unsigned int domain, uintptr_t address, size_t size)
        __attribute__((alias("hooks_track_python")));
HOOK int PyTraceMalloc_Untrack(unsigned int domain, uintptr_t address) __attribute__((alias("hooks_untrack_python")));

/* Index in the table is index in the records less DOMAIN_INDEX_FIRST_FREE. */
static struct domain {
        _Atomic uint64_t number_plus_1; /* 0: free */
        _Atomic(struct epoch *) told;   /* this epoch knows it, by its name */
        _Atomic uint32_t naming;
        _Atomic uint32_t name_length;
        char name[TM_NAME_BYTES_MAX];
} domains[N_DOMAINS];

static struct {
        _Atomic uint32_t busy; /* label is being changed or read */
        uint32_t length;
        char label[TM_PHASE_BYTES_MAX];
        /* labels that an epoch knows already */
        _Atomic(struct epoch *) epoch;
        _Atomic uint32_t n_told;
        _Atomic uint64_t told[PHASES_CACHED]; /* hash << 32 | offset + 1 in the definitions */
} phase;

/* Return: NULL where there are more than fit. */
static struct domain *find_domain(unsigned int number) {
        for (unsigned int i = 0; i < N_DOMAINS; i++) {
                struct domain *domain = &domains[(number + i) % N_DOMAINS];
                uint64_t key = atomic_load_explicit(&domain->number_plus_1, memory_order_acquire);
                if (!key && atomic_compare_exchange_strong(&domain->number_plus_1, &key, (uint64_t)number + 1))
                        return domain;
                if (key == (uint64_t)number + 1)
                        return domain;
        }
        return NULL;
}

static unsigned index_of(const struct domain *domain) {
        return (unsigned)(domain - domains) + DOMAIN_INDEX_FIRST_FREE;
}

/* Return: offset of the item; DEFINITIONS_FULL. */
static uint64_t add_item(struct epoch *epoch, const Tracemallocd__Agent__Item *item) {
        uint8_t packed[TM_PHASE_BYTES_MAX + 64];
        return definitions_add_item(&epoch->definitions, packed,
                                    (uint32_t)tracemallocd__agent__item__pack(item, packed));
}

static bool tell_domain(struct epoch *epoch, struct domain *domain, uintptr_t cfa) {
        Tracemallocd__Agent__DomainDef def = TRACEMALLOCD__AGENT__DOMAIN_DEF__INIT;
        Tracemallocd__Agent__Item item = TRACEMALLOCD__AGENT__ITEM__INIT;
        def.index = index_of(domain);
        def.number = (uint32_t)(atomic_load(&domain->number_plus_1) - 1);
        def.name.len = atomic_load_explicit(&domain->name_length, memory_order_acquire);
        def.name.data = (uint8_t *)domain->name;
        item.body_case = TRACEMALLOCD__AGENT__ITEM__BODY_DOMAIN;
        item.domain = &def;
        uint64_t offset = add_item(epoch, &item);
        if (offset == DEFINITIONS_FULL || !recorder_note(epoch, RECORD_DOMAIN, 0, offset, cfa))
                return false;
        atomic_store_explicit(&domain->told, epoch, memory_order_release);
        return true;
}

/* Whose address space: *indexp; *bitsp: with which domains in force it counts, which were @own if it is the program's
 * own. Return: 0; TM_E_... */
static int look_up(unsigned int number, uint32_t own, struct domain **domainp, unsigned *indexp, uint32_t *bitsp) {
        *domainp = NULL;
        *indexp = DOMAIN_INDEX_PYTHON;
        *bitsp = DOMAIN_BIT_PYTHON;
        if (number == DOMAIN_PYTHON)
                return 0;
        if (number >= DOMAIN_MMAP)
                return TM_E_INVALID;
        *domainp = find_domain(number);
        if (!*domainp)
                return TM_E_FULL;
        *indexp = index_of(*domainp);
        *bitsp = own;
        return 0;
}

static int track(unsigned int number, uint32_t own, uintptr_t address, size_t size, uintptr_t cfa) {
        struct domain *domain;
        unsigned index;
        uint32_t bits;
        if ((address | size) >= RECORD_PAYLOAD_LIMIT)
                return TM_E_INVALID;
        int r = look_up(number, own, &domain, &index, &bits);
        if (r < 0)
                return r;
        struct epoch *epoch = agent_epoch(bits);
        if (!epoch)
                return TM_E_NOT_TRACED;
        if (domain && unlikely(atomic_load_explicit(&domain->told, memory_order_acquire) != epoch) &&
            !tell_domain(epoch, domain, cfa))
                return TM_E_FULL;
        recorder_track(epoch, index, address, size, cfa);
        return 0;
}

static int untrack(unsigned int number, uint32_t own, uintptr_t address, uintptr_t cfa) {
        struct domain *domain;
        unsigned index;
        uint32_t bits;
        if (address >= RECORD_PAYLOAD_LIMIT)
                return TM_E_INVALID;
        int r = look_up(number, own, &domain, &index, &bits);
        if (r < 0)
                return r;
        struct epoch *epoch = agent_epoch(bits);
        if (!epoch)
                return TM_E_NOT_TRACED;
        /* an epoch that was not told of the domain has no block of it, but for what a child of fork inherited */
        recorder_untrack(epoch, index, address, cfa);
        return 0;
}

int tm_agent_traced_1(void) {
        return agent_epoch(OWN_DOMAINS) != NULL;
}

int tm_agent_track_1(unsigned int domain, uintptr_t address, size_t size) {
        return track(domain, OWN_DOMAINS, address, size, HOOK_CFA);
}

int tm_agent_untrack_1(unsigned int domain, uintptr_t address) {
        return untrack(domain, OWN_DOMAINS, address, HOOK_CFA);
}

/* Python's own comes first, and its answer counts: callers know that they are not traced by it. The
 * interpreter that is here is asked itself; it may be a library that others do not see. */
int hooks_track_python(unsigned int domain, uintptr_t address, size_t size) {
        int (*own)(unsigned int, uintptr_t, size_t) = python.api.track;
        int r = NOT_TRACING;

        if (!own)
                own = (int (*)(unsigned int, uintptr_t, size_t))real_symbol("PyTraceMalloc_Track");
        if (own)
                r = own(domain, address, size);
        track(domain, PYTHON_DOMAINS, address, size, HOOK_CFA);
        return r;
}

int hooks_untrack_python(unsigned int domain, uintptr_t address) {
        int (*own)(unsigned int, uintptr_t) = python.api.untrack;

        untrack(domain, PYTHON_DOMAINS, address, HOOK_CFA);
        if (!own)
                own = (int (*)(unsigned int, uintptr_t))real_symbol("PyTraceMalloc_Untrack");
        return own ? own(domain, address) : NOT_TRACING;
}

static bool is_name(const char *name, size_t length) {
        static const char *const taken[] = {"python", "malloc", "mmap", "other"};
        size_t n_digits = 0;
        for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
                if (strcmp(name, taken[i]) == 0)
                        return false;
        for (size_t i = 0; i < length; i++) {
                if (name[i] == ',')
                        return false;
                n_digits += name[i] >= '0' && name[i] <= '9';
        }
        return length > 0 && length <= TM_NAME_BYTES_MAX && n_digits < length;
}

int tm_agent_domain_name_1(unsigned int number, const char *name) {
        size_t length = name ? strnlen(name, TM_NAME_BYTES_MAX + 1) : 0;
        struct domain *domain;
        unsigned index;
        uint32_t bits;
        if (number == DOMAIN_PYTHON || !name || !is_name(name, length))
                return TM_E_INVALID;
        int r = look_up(number, OWN_DOMAINS, &domain, &index, &bits);
        if (r < 0)
                return r;
        /* the other thread that names it at this moment is right, too */
        if (!atomic_exchange(&domain->naming, 1)) {
                atomic_store(&domain->name_length, 0);
                memcpy(domain->name, name, length);
                atomic_store_explicit(&domain->name_length, (uint32_t)length, memory_order_release);
                atomic_store(&domain->naming, 0);
        }
        struct epoch *epoch = agent_epoch(OWN_DOMAINS);
        if (!epoch) {
                atomic_store(&domain->told, NULL);
                return TM_E_NOT_TRACED;
        }
        return tell_domain(epoch, domain, HOOK_CFA) ? 0 : TM_E_FULL;
}

static uint32_t hash_of(const char *label, size_t length) {
        uint32_t hash = 2166136261U; /* FNV-1a */
        for (size_t i = 0; i < length; i++)
                hash = (hash ^ (uint8_t)label[i]) * 16777619U;
        return hash;
}

/* The item that the epoch has of a label already. Return: its offset; DEFINITIONS_FULL: none. */
static uint64_t told_label(struct epoch *epoch, uint32_t hash, const Tracemallocd__Agent__Item *item) {
        uint64_t entry = atomic_load(&phase.told[hash % PHASES_CACHED]);
        uint8_t packed[TM_PHASE_BYTES_MAX + 64];
        const void *bytes;
        if (atomic_load(&phase.epoch) != epoch || entry >> 32 != hash || (uint32_t)entry == 0)
                return DEFINITIONS_FULL;
        size_t length = tracemallocd__agent__item__pack(item, packed);
        if (definitions_item(&epoch->definitions, (uint32_t)entry - 1, &bytes) != length ||
            memcmp(bytes, packed, length) != 0)
                return DEFINITIONS_FULL;
        return (uint32_t)entry - 1;
}

static uint64_t label_item(struct epoch *epoch, const char *label, size_t length) {
        Tracemallocd__Agent__PhaseDef def = TRACEMALLOCD__AGENT__PHASE_DEF__INIT;
        Tracemallocd__Agent__Item item = TRACEMALLOCD__AGENT__ITEM__INIT;
        uint32_t hash = hash_of(label, length);
        def.label.len = length;
        def.label.data = (uint8_t *)(uintptr_t)label;
        item.body_case = TRACEMALLOCD__AGENT__ITEM__BODY_PHASE;
        item.phase = &def;
        uint64_t offset = told_label(epoch, hash, &item);
        if (offset != DEFINITIONS_FULL)
                return offset;
        if (atomic_load(&phase.epoch) != epoch) {
                memset(phase.told, 0, sizeof phase.told);
                atomic_store(&phase.n_told, 0);
                atomic_store(&phase.epoch, epoch);
        }
        if (atomic_fetch_add(&phase.n_told, 1) >= PHASES_MAX)
                return DEFINITIONS_FULL;
        offset = add_item(epoch, &item);
        if (offset != DEFINITIONS_FULL)
                atomic_store(&phase.told[hash % PHASES_CACHED], (uint64_t)hash << 32 | (offset + 1));
        return offset;
}

static bool tell_phase(struct epoch *epoch, const char *label, size_t length, uintptr_t cfa) {
        uint64_t offset = label_item(epoch, label, length);
        return offset != DEFINITIONS_FULL && recorder_note(epoch, RECORD_PHASE, 0, offset, cfa);
}

int tm_agent_phase_1(const char *label) {
        size_t length = label ? strnlen(label, TM_PHASE_BYTES_MAX) : 0;
        struct epoch *epoch = agent_epoch(UINT32_MAX);
        /* kept for a daemon that comes later. Another thread that is at it counts as the later one */
        if (!atomic_exchange(&phase.busy, 1)) {
                if (length)
                        memcpy(phase.label, label, length);
                phase.length = (uint32_t)length;
                atomic_store(&phase.busy, 0);
        }
        if (!epoch)
                epoch = agent_epoch_any(); /* stopped */
        if (!epoch)
                return TM_E_NOT_TRACED;
        return tell_phase(epoch, label ? label : "", length, HOOK_CFA) ? 0 : TM_E_FULL;
}

void hooks_track_reconnected(struct epoch *epoch, uintptr_t cfa) {
        if (atomic_exchange(&phase.busy, 1))
                return; /* whoever changes it will tell of it */
        if (phase.length)
                tell_phase(epoch, phase.label, phase.length, cfa);
        atomic_store(&phase.busy, 0);
}
