/* SPDX-License-Identifier: Apache-2.0 */

/*
 * main() of a fuzz target where libFuzzer is not: feeds it each file of its
 * corpus, each prefix of it, and a number of changed copies. The changes are the
 * same in every run, so that a failure can be repeated.
 *
 * usage: replay_NAME CORPUS-FOLDER
 */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX  (1 << 20)
#define PREFIXES_MAX     512
#define CHANGES_PER_FILE 500

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t random_u32(uint64_t *state) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return (uint32_t)(*state >> 32);
}

static void *must(void *memory) {
        if (!memory) {
                fputs("out of memory\n", stderr);
                exit(1);
        }
        return memory;
}

/* A copy of exactly that size, so that a sanitizer sees a read past its end. */
static void feed(const uint8_t *data, size_t size) {
        uint8_t *copy = must(malloc(size ? size : 1));
        memcpy(copy, data, size);
        LLVMFuzzerTestOneInput(copy, size);
        free(copy);
}

static void feed_prefixes(const uint8_t *data, size_t size) {
        size_t step = size / PREFIXES_MAX + 1;
        for (size_t length = 0; length < size; length += step)
                feed(data, length);
}

static void feed_changed(const uint8_t *data, size_t size, uint64_t seed) {
        static const uint8_t interesting[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
        uint64_t state = seed;
        uint8_t *copy = must(malloc(size));
        for (int i = 0; i < CHANGES_PER_FILE; i++) {
                memcpy(copy, data, size);
                for (uint32_t changes = 1 + random_u32(&state) % 4; changes > 0; changes--) {
                        size_t at = random_u32(&state) % size;
                        uint32_t how = random_u32(&state);
                        if (how & 1)
                                copy[at] = interesting[how / 2 % sizeof interesting];
                        else
                                copy[at] ^= (uint8_t)(1u << (how / 2 % 8));
                }
                feed(copy, size);
        }
        free(copy);
}

static size_t read_file(const char *folder, const char *name, uint8_t *data) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, name);
        FILE *file = fopen(path, "rb");
        if (!file) {
                perror(path);
                exit(1);
        }
        size_t size = fread(data, 1, INPUT_BYTES_MAX, file);
        fclose(file);
        return size;
}

static int by_name(const struct dirent *entry) {
        return entry->d_name[0] != '.';
}

int main(int argc, char **argv) {
        if (argc != 2) {
                fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
                return 2;
        }
        struct dirent **entries;
        int n = scandir(argv[1], &entries, by_name, alphasort);
        if (n <= 0) {
                fprintf(stderr, "%s: no corpus\n", argv[1]);
                return 1;
        }
        uint8_t *data = must(malloc(INPUT_BYTES_MAX));
        for (int i = 0; i < n; i++) {
                size_t size = read_file(argv[1], entries[i]->d_name, data);
                printf("%s (%zu bytes)\n", entries[i]->d_name, size);
                fflush(stdout); /* the last name printed is the culprit of a crash */
                feed(data, size);
                feed_prefixes(data, size);
                if (size > 0)
                        feed_changed(data, size, (uint64_t)(i + 1) * 0x9e3779b97f4a7c15);
                free(entries[i]);
        }
        free(entries);
        free(data);
        printf("%d files\n", n);
        return 0;
}
