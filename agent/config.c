/* SPDX-License-Identifier: Apache-2.0 */

/* Parsing the environment without libc's help: getenv may be the program's own, and strtol sets errno. */

#include "agent/config.h"

#include "proto/ring.h"

#include <string.h>

static const char *lookup(char *const *environment, const char *name) {
        size_t length = strlen(name);
        for (; *environment; environment++)
                if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
                        return *environment + length + 1;
        return NULL;
}

/* Return: whether @text is a decimal number up to @max. */
static bool parse_number(const char *text, uint64_t max, uint64_t *valuep) {
        uint64_t value = 0;
        if (!text || !*text)
                return false;
        for (; *text; text++) {
                if (*text < '0' || *text > '9')
                        return false;
                value = value * 10 + (uint64_t)(*text - '0');
                if (value > max)
                        return false;
        }
        *valuep = value;
        return true;
}

static uint32_t domain_bit(const char *name, size_t length) {
        static const struct {
                const char *name;
                uint32_t bit;
        } domains[] = {{"malloc", DOMAIN_BIT_MALLOC},
                       {"python", DOMAIN_BIT_PYTHON},
                       {"mmap", DOMAIN_BIT_MMAP},
                       {"other", DOMAIN_BIT_OTHER}};

        for (unsigned i = 0; i < sizeof domains / sizeof *domains; i++)
                if (strlen(domains[i].name) == length && memcmp(domains[i].name, name, length) == 0)
                        return domains[i].bit;
        return 0;
}

static uint32_t parse_domains(const char *list) {
        uint32_t bits = 0;
        while (list && *list) {
                size_t length = strcspn(list, ",");
                bits |= domain_bit(list, length);
                list += length + (list[length] == ',');
        }
        return bits ? bits : DOMAIN_BIT_MALLOC | DOMAIN_BIT_PYTHON;
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

static size_t parse_hex(const char *text, uint8_t *bytes, size_t max) {
        size_t n = 0;
        for (; text && text[0] && text[1]; text += 2) {
                int high = hex_digit(text[0]), low = hex_digit(text[1]);
                if (high < 0 || low < 0 || n == max)
                        return 0;
                bytes[n++] = (uint8_t)(high << 4 | low);
        }
        return text && *text ? 0 : n;
}

static unsigned parse_ring_size(const char *text) {
        unsigned log2_size = RING_LOG2_SIZE_MIN;
        uint64_t bytes;
        if (!parse_number(text, UINT64_MAX / 16, &bytes))
                return RING_LOG2_SIZE_DEFAULT;
        while (log2_size < RING_LOG2_SIZE_MAX && UINT64_C(1) << log2_size < bytes)
                log2_size++;
        return log2_size;
}

static enum config_transport parse_transport(const char *text) {
        if (text && strcmp(text, "ring") == 0)
                return CONFIG_TRANSPORT_RING;
        if (text && strcmp(text, "socket") == 0)
                return CONFIG_TRANSPORT_SOCKET;
        return CONFIG_TRANSPORT_AUTO;
}

/* Adds the parts joined, with "/agent.sock" behind them; a path that is too long is no daemon's. */
static void add_socket(struct config *config, const char *part, const char *more, const char *last) {
        const char *parts[] = {part, more, last, "/" AGENT_SOCKET_NAME};
        char *path = config->sockets[config->n_sockets];
        size_t used = 0;
        for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
                size_t length = strlen(parts[i]);
                if (used + length > AGENT_SOCKET_PATH_MAX)
                        return;
                memcpy(path + used, parts[i], length + 1);
                used += length;
        }
        config->n_sockets++;
}

static void find_sockets(struct config *config, char *const *environment, unsigned uid) {
        const char *dir = lookup(environment, AGENT_ENV_RUNTIME_DIR);
        char number[12];
        unsigned digits = sizeof number - 1;
        if (dir && *dir) {
                add_socket(config, dir, "", "");
                return;
        }
        add_socket(config, AGENT_SYSTEM_RUNTIME_DIR, "", "");
        if (uid == 0)
                return;
        dir = lookup(environment, "XDG_RUNTIME_DIR");
        if (dir && *dir) {
                add_socket(config, dir, "/tracemallocd", "");
                return;
        }
        number[digits] = '\0';
        do
                number[--digits] = (char)('0' + uid % 10);
        while ((uid /= 10) != 0);
        add_socket(config, "/run/user/", number + digits, "/tracemallocd");
}

/* Valgrind's tools with a malloc of their own (memcheck, massif, ...) preload more than its core. Calls do not come to
 * us there, and our looks at a stack's pages would be errors of the program's. */
static bool is_in_valgrind(const char *preload) {
        static const char tool[] = "/vgpreload_", core[] = "core-";
        for (const char *at = preload ? strstr(preload, tool) : NULL; at; at = strstr(at + 1, tool))
                if (strncmp(at + sizeof tool - 1, core, sizeof core - 1) != 0)
                        return true;
        return false;
}

bool config_read(struct config *config, char *const *environment, unsigned uid) {
        uint64_t number;
        if (!environment)
                return false;
        *config = (struct config){.frames = AGENT_FRAMES_DEFAULT};
        const char *text = lookup(environment, AGENT_ENV_OFF);
        config->off = (text && strcmp(text, "1") == 0) || is_in_valgrind(lookup(environment, "LD_PRELOAD"));
        text = lookup(environment, AGENT_ENV_CHILDREN);
        config->children = !text || strcmp(text, "0") != 0;
        if (parse_number(lookup(environment, AGENT_ENV_PID), INT32_MAX, &number))
                config->pid = (int)number;
        if (parse_number(lookup(environment, AGENT_ENV_FRAMES), AGENT_FRAMES_MAX, &number) && number)
                config->frames = (uint32_t)number;
        config->domains = parse_domains(lookup(environment, AGENT_ENV_DOMAINS));
        config->transport = parse_transport(lookup(environment, AGENT_ENV_TRANSPORT));
        config->log2_ring = parse_ring_size(lookup(environment, AGENT_ENV_RING_SIZE));
        config->run_length = parse_hex(lookup(environment, AGENT_ENV_RUN), config->run, sizeof config->run);
        text = lookup(environment, AGENT_ENV_LABEL);
        if (text) {
                config->label_length = strnlen(text, sizeof config->label);
                memcpy(config->label, text, config->label_length);
        }
        find_sockets(config, environment, uid);
        return true;
}
