/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* Would the hardening of a systemd unit stop the agent? Said before the service is restarted, instead of finding
 * nothing, or a dead service, afterwards. */

struct unit_findings {
        char **problems; /* [n_problems] the agent could not work: a line each, with the remedy; heap */
        size_t n_problems;
        char **doubts; /* [n_doubts] may or may not stop it */
        size_t n_doubts;
};

/** UNIT_CHECK_PROPERTIES - what unit_check() must be given, as "systemctl show -p" takes it */
#define UNIT_CHECK_PROPERTIES                                                                                          \
        "Environment,EnvironmentFiles,UnsetEnvironment,ExecStart,RootDirectory,RootImage,InaccessiblePaths,"           \
        "TemporaryFileSystem,BindPaths,BindReadOnlyPaths,ProtectHome,PrivateTmp,NoExecPaths,ExecPaths,"                \
        "User,DynamicUser,SystemCallFilter,SystemCallErrorNumber,RestrictAddressFamilies,AppArmorProfile,"             \
        "SELinuxContext"

/** unit_check() - look at the properties of a unit
 * @shown: what "systemctl show" printed
 * @agent_path, @runtime_dir: what its processes must be able to see */
void unit_check(const char *shown, const char *agent_path, const char *runtime_dir, struct unit_findings *findings);

/** unit_findings_deinit() - free the lines */
void unit_findings_deinit(struct unit_findings *findings);
