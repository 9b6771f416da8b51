// SPDX-License-Identifier: Apache-2.0
//
// C: static inlines, a nested scope, a cold path, a computed call, for test_addr2line.py.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct item {
        struct item *next;
        char text[];
};

static inline __attribute__((always_inline)) void *checked(size_t n) {
        void *p = malloc(n);
        if (!p)
                abort();
        return p;
}

static inline __attribute__((always_inline)) struct item *item_new(const char *text) {
        struct item *item = checked(sizeof(*item) + strlen(text) + 1);
        strcpy(item->text, text);
        return item;
}

__attribute__((noinline)) static struct item *push(struct item *head, const char *text) {
        {
                struct item *item = item_new(text);
                item->next = head;
                return item;
        }
}

__attribute__((noinline)) int visit(const struct item *head, int (*f)(const char *)) {
        int n = 0;
        for (; head; head = head->next)
                n += f(head->text);
        return n;
}

int main(int argc, char **argv) {
        struct item *head = NULL;
        for (int i = 0; i < argc; i++)
                head = push(head, argv[i]);
        printf("%d\n", visit(head, puts));
        while (head) {
                struct item *next = head->next;
                free(head);
                head = next;
        }
        return 0;
}
