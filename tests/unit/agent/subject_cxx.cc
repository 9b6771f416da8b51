// SPDX-License-Identifier: Apache-2.0
//
// subject-cxx CASE: operator new and delete in all their forms; numbers in test_agent*.c.

#include <cstdio>
#include <cstring>
#include <limits>
#include <new>

struct alignas(64) Aligned {
        char bytes[100];
};

static void *volatile kept;

// Each takes a block and gives it back.
static int pairs() {
        kept = ::operator new(10);
        ::operator delete(kept);
        kept = ::operator new(10);
        ::operator delete(kept, std::size_t(10));
        kept = ::operator new[](10);
        ::operator delete[](kept);
        kept = ::operator new[](10);
        ::operator delete[](kept, std::size_t(10));
        kept = ::operator new(10, std::nothrow);
        ::operator delete(kept, std::nothrow);
        kept = ::operator new[](10, std::nothrow);
        ::operator delete[](kept, std::nothrow);
        kept = ::operator new(100, std::align_val_t(64));
        ::operator delete(kept, std::align_val_t(64));
        kept = ::operator new[](100, std::align_val_t(64));
        ::operator delete[](kept, std::align_val_t(64));
        kept = ::operator new(100, std::align_val_t(64));
        ::operator delete(kept, std::size_t(100), std::align_val_t(64));
        kept = ::operator new[](100, std::align_val_t(64));
        ::operator delete[](kept, std::size_t(100), std::align_val_t(64));
        kept = ::operator new(100, std::align_val_t(64), std::nothrow);
        ::operator delete(kept, std::align_val_t(64), std::nothrow);
        kept = ::operator new[](100, std::align_val_t(64), std::nothrow);
        ::operator delete[](kept, std::align_val_t(64), std::nothrow);
        delete static_cast<char *>(nullptr);
        return 0;
}

static int leaks() {
        kept = new char;
        kept = new char[33];
        kept = new Aligned;
        kept = new (std::nothrow) Aligned[2];
        kept = ::operator new(0);
        return 0;
}

// Memory ends: the exception passes through the hook, and what follows is still recorded.
static int no_memory() {
        volatile std::size_t huge = std::numeric_limits<std::size_t>::max() / 4;
        int caught = 0;

        for (int i = 0; i < 100; i++) {
                try {
                        kept = ::operator new(huge);
                } catch (const std::bad_alloc &) {
                        caught++;
                }
                kept = ::operator new(10);
                kept = new (std::nothrow) char[huge];
        }
        std::printf("%d\n", caught);
        return 0;
}

static void throw_something(int i) {
        kept = new char[8];
        throw i;
}

static int exceptions() {
        int sum = 0;

        for (int i = 0; i < 1000; i++) {
                try {
                        throw_something(i);
                } catch (int value) {
                        sum += value;
                }
        }
        std::printf("%d\n", sum);
        return 0;
}

int main(int argc, char **argv) {
        if (argc > 1 && std::strcmp(argv[1], "pairs") == 0)
                return pairs();
        if (argc > 1 && std::strcmp(argv[1], "leaks") == 0)
                return leaks();
        if (argc > 1 && std::strcmp(argv[1], "no_memory") == 0)
                return no_memory();
        if (argc > 1 && std::strcmp(argv[1], "exceptions") == 0)
                return exceptions();
        return 0;
}
