/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The environment of agent/agent.h, read once. */

#include "agent/agent.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_transport {
        CONFIG_TRANSPORT_AUTO,
        CONFIG_TRANSPORT_RING,
        CONFIG_TRANSPORT_SOCKET,
};

#define CONFIG_SOCKETS_MAX 2

struct config {
        bool off; /* wanted, or in one of Valgrind's tools that replace malloc */
        bool children;
        int pid; /* 0: not set */
        uint32_t frames;
        uint32_t domains; /* DOMAIN_BIT_* */
        enum config_transport transport;
        unsigned log2_ring;
        uint8_t run[AGENT_RUN_BYTES_MAX];
        size_t run_length;
        char label[AGENT_LABEL_BYTES_MAX];
        size_t label_length;
        unsigned n_sockets; /* paths to try, in this order */
        char sockets[CONFIG_SOCKETS_MAX][AGENT_SOCKET_PATH_MAX + 1];
};

/** config_read() - fill in from an environment
 * @environment: NULL-terminated "NAME=value" pointers, borrowed; @uid: effective
 * Allocates nothing. Return: whether there is an environment at all (libc has set it up). */
bool config_read(struct config *config, char *const *environment, unsigned uid);
