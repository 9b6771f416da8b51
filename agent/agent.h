/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * libtracemalloc-agent.so: what it takes from its environment. It is loaded by
 * LD_PRELOAD; these variables are all that tmctl, a systemd drop-in or a user
 * sets. It reads them once, at the first hooked call of an image. A value that
 * makes no sense counts as absent: the agent never complains.
 *
 * Where the daemon is, in this order (as cli.md has it for tmctl):
 *   1. $TRACEMALLOCD_RUNTIME_DIR/agent.sock
 *   2. /run/tracemallocd/agent.sock
 *   3. $XDG_RUNTIME_DIR/tracemallocd/agent.sock, or where that variable is unset
 *      /run/user/UID/tracemallocd/agent.sock
 * root asks 2 only; another user goes on to 3 where no daemon answers at 2. A path
 * longer than AGENT_SOCKET_PATH_MAX is no daemon.
 *
 * TRACEMALLOCD_PID and TRACEMALLOCD_CHILDREN. What starts a program to be traced (tmctl
 * run) sets TRACEMALLOCD_PID, in its child and before the exec, to that child's own
 * pid in decimal. With TRACEMALLOCD_CHILDREN=0 an agent whose getpid() is another stays
 * inert; so the program and what it execs itself are traced, what it forks is not.
 * With CHILDREN=0 and no PID a program is traced and its fork children are not, but what
 * these exec is (a systemd drop-in has nobody to set PID).
 */

#define AGENT_ENV_RUNTIME_DIR "TRACEMALLOCD_RUNTIME_DIR"
/* wanted traceback limit, 1..65535; default 64. What the daemon answers is in force. */
#define AGENT_ENV_FRAMES      "TRACEMALLOCD_FRAMES"
/* names, comma separated: malloc, python, mmap, other; default python,malloc. malloc includes other */
#define AGENT_ENV_DOMAINS     "TRACEMALLOCD_DOMAINS"
/* hex token, at most AGENT_RUN_BYTES_MAX bytes: becomes Hello.run */
#define AGENT_ENV_RUN         "TRACEMALLOCD_RUN"
/* becomes Hello.label, cut at AGENT_LABEL_BYTES_MAX */
#define AGENT_ENV_LABEL       "TRACEMALLOCD_LABEL"
/* auto (ring, or socket where memfd_create is refused), ring, socket */
#define AGENT_ENV_TRANSPORT   "TRACEMALLOCD_TRANSPORT"
/* bytes; rounded up to a power of two within the bounds of proto/ring.h */
#define AGENT_ENV_RING_SIZE   "TRACEMALLOCD_RING_SIZE"
/* 0: see above */
#define AGENT_ENV_CHILDREN    "TRACEMALLOCD_CHILDREN"
#define AGENT_ENV_PID         "TRACEMALLOCD_PID"
/* 1: stay inert, in this image and in whatever inherits the variable */
#define AGENT_ENV_OFF         "TRACEMALLOCD_OFF"

#define AGENT_SOCKET_NAME        "agent.sock"
#define AGENT_SOCKET_PATH_MAX    107 /* unix(7): sun_path is 108 with its NUL */
#define AGENT_SYSTEM_RUNTIME_DIR "/run/tracemallocd"
#define AGENT_FRAMES_DEFAULT     64
#define AGENT_FRAMES_MAX         65535
#define AGENT_RUN_BYTES_MAX      64
#define AGENT_LABEL_BYTES_MAX    256
