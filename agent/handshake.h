/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Greeting the daemon: Hello with the descriptors of an epoch, the reply, the
 * modules' files. Runs in the thread that arms the agent, guarded; bounded in time.
 */

#include "agent/config.h"
#include "agent/epoch.h"
#include "proto/agent.pb-c.h"

#include <stdint.h>

#define HANDSHAKE_SECRET_BYTES  16
#define HANDSHAKE_NS            UINT64_C(2000000000)
#define HANDSHAKE_FILES_NS      UINT64_C(200000000)
/* messages are packed and unpacked in this much scratch memory */
#define HANDSHAKE_SCRATCH_BYTES (64 * 1024)

struct handshake {
        const struct config *config;
        Tracemallocd__Agent__Hello__Kind kind;
        uint32_t pid;
        uint8_t secret[HANDSHAKE_SECRET_BYTES]; /* FORK, MODULES: of the parent, of this image; after greet(): ours */
        uint32_t secret_length;
        uint32_t fork_token;
        const char *layers[3]; /* what is hooked; borrowed */
        unsigned n_layers;
        const char *layer_note; /* what is not, and why; borrowed; NULL: nothing to say */
        /* from the reply */
        uint32_t minor, mode, traceback_limit, domains;
        uint64_t window;
};

/** handshake_connect() - the first daemon of the configuration that answers
 * Return: descriptor, the caller's; -errno of the last try. */
int handshake_connect(const struct config *config, uint64_t deadline_ns);

/** handshake_greet() - Hello and its reply; ring way: takes the daemon's control and doorbell into @epoch
 * @fd: borrowed; @scratch: HANDSHAKE_SCRATCH_BYTES
 * Return: 0; -EACCES where the daemon refuses; -EPROTO for an answer that makes no sense; -ETIMEDOUT; -errno. */
int handshake_greet(struct handshake *handshake, int fd, struct epoch *epoch, void *scratch, uint64_t deadline_ns);

/** handshake_send_files() - files of modules that the daemon lacks, on @fd; borrowed
 * Return: 0; -errno (harmless: the daemon opens what it can by path). */
int handshake_send_files(int fd, struct epoch *epoch, void *scratch, uint64_t deadline_ns);

/** handshake_bring_files() - the same over a brief connection of its own */
int handshake_bring_files(struct handshake *handshake, struct epoch *epoch, void *scratch, uint64_t deadline_ns);
