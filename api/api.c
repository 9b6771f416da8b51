/* SPDX-License-Identifier: Apache-2.0 */

/*
 * libtracemallocd: each function is a jump into the agent, if that is loaded. The
 * references are weak, so the dynamic linker settles this before main, once and without
 * us: the agent is preloaded or is not there at all. Their names carry a version, so that
 * a library finds only an agent that it fits. These must stay jumps (a compiler makes them
 * of calls like these when it optimises): a frame of ours would be the place that allocates.
 */

#include "api/tracemallocd.h"

#define API __attribute__((visibility("default")))

extern int tm_agent_traced_1(void) __attribute__((weak));
extern int tm_agent_track_1(unsigned int domain, uintptr_t address, size_t size) __attribute__((weak));
extern int tm_agent_untrack_1(unsigned int domain, uintptr_t address) __attribute__((weak));
extern int tm_agent_domain_name_1(unsigned int domain, const char *name) __attribute__((weak));
extern int tm_agent_phase_1(const char *label) __attribute__((weak));

API int tm_traced(void) {
        return tm_agent_traced_1 ? tm_agent_traced_1() : 0;
}

API int tm_track(unsigned int domain, uintptr_t address, size_t size) {
        return tm_agent_track_1 ? tm_agent_track_1(domain, address, size) : TM_E_NOT_TRACED;
}

API int tm_untrack(unsigned int domain, uintptr_t address) {
        return tm_agent_untrack_1 ? tm_agent_untrack_1(domain, address) : TM_E_NOT_TRACED;
}

API int tm_domain_name(unsigned int domain, const char *name) {
        return tm_agent_domain_name_1 ? tm_agent_domain_name_1(domain, name) : TM_E_NOT_TRACED;
}

API int tm_phase(const char *label) {
        return tm_agent_phase_1 ? tm_agent_phase_1(label) : TM_E_NOT_TRACED;
}
