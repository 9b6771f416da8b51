/* SPDX-License-Identifier: Apache-2.0 */

/* The smaller parts of the agent: environment, definitions, guard, epoch, objects and modules. */

#include "agent/config.h"
#include "agent/eh_frame.h"
#include "agent/epoch.h"
#include "agent/object.h"
#include "agent/process_name.h"
#include "agent/thread.h"
#include "proto/agent.pb-c.h"
#include "tests/support/check_main.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* An address in this executable. */
static void *main_address(void) {
        return (void *)main_address;
}

/* ---- config ---- */

START_TEST(an_empty_environment_gives_the_defaults)
{
        char *environment[] = {NULL};
        struct config config;
        ck_assert(!config_read(&config, NULL, 1000));
        ck_assert(config_read(&config, environment, 1000));
        ck_assert(!config.off);
        ck_assert(config.children);
        ck_assert_uint_eq(config.frames, 64);
        ck_assert_uint_eq(config.domains, DOMAIN_BIT_MALLOC | DOMAIN_BIT_PYTHON);
        ck_assert_uint_eq(config.log2_ring, RING_LOG2_SIZE_DEFAULT);
        ck_assert_int_eq(config.transport, CONFIG_TRANSPORT_AUTO);
        ck_assert_uint_eq(config.n_sockets, 2);
        ck_assert_str_eq(config.sockets[0], "/run/tracemallocd/agent.sock");
        ck_assert_str_eq(config.sockets[1], "/run/user/1000/tracemallocd/agent.sock");
        ck_assert(config_read(&config, environment, 0));
        ck_assert_uint_eq(config.n_sockets, 1);
}
END_TEST

START_TEST(variables_are_read)
{
        char *environment[] = {(char *)"TRACEMALLOCD_RUNTIME_DIR=/x",
                               (char *)"TRACEMALLOCD_FRAMES=7",
                               (char *)"TRACEMALLOCD_DOMAINS=mmap,nonsense,malloc",
                               (char *)"TRACEMALLOCD_RUN=00ffA1",
                               (char *)"TRACEMALLOCD_LABEL=a label",
                               (char *)"TRACEMALLOCD_TRANSPORT=socket",
                               (char *)"TRACEMALLOCD_RING_SIZE=65537",
                               (char *)"TRACEMALLOCD_CHILDREN=0",
                               (char *)"TRACEMALLOCD_PID=123",
                               (char *)"TRACEMALLOCD_OFF=1",
                               NULL};
        struct config config;
        ck_assert(config_read(&config, environment, 0));
        ck_assert(config.off);
        ck_assert(!config.children);
        ck_assert_int_eq(config.pid, 123);
        ck_assert_uint_eq(config.frames, 7);
        ck_assert_uint_eq(config.domains, DOMAIN_BIT_MALLOC | DOMAIN_BIT_MMAP);
        ck_assert_uint_eq(config.run_length, 3);
        ck_assert_mem_eq(config.run, "\x00\xff\xa1", 3);
        ck_assert_uint_eq(config.label_length, 7);
        ck_assert_int_eq(config.transport, CONFIG_TRANSPORT_SOCKET);
        ck_assert_uint_eq(config.log2_ring, 17);
        ck_assert_uint_eq(config.n_sockets, 1);
        ck_assert_str_eq(config.sockets[0], "/x/agent.sock");
}
END_TEST

START_TEST(in_a_tool_of_valgrinds_that_replaces_malloc_the_agent_is_off)
{
        static const struct {
                const char *variable;
                bool off;
        } cases[] = {
                {"LD_PRELOAD=/a/vgpreload_core-amd64-linux.so:/a/vgpreload_memcheck-amd64-linux.so:/b/agent.so", true},
                {"LD_PRELOAD=/b/agent.so:/a/vgpreload_dhat-amd64-linux.so", true},
                {"LD_PRELOAD=/a/vgpreload_core-amd64-linux.so:/b/agent.so", false}, /* callgrind */
                {"LD_PRELOAD=/b/agent.so", false}};
        struct config config;
        for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
                char *environment[] = {(char *)cases[i].variable, NULL};
                ck_assert(config_read(&config, environment, 0));
                ck_assert_msg(config.off == cases[i].off, "%s", cases[i].variable);
        }
}
END_TEST

START_TEST(nonsense_counts_as_absent)
{
        char *environment[] = {(char *)"TRACEMALLOCD_FRAMES=65536",    (char *)"TRACEMALLOCD_DOMAINS=",
                               (char *)"TRACEMALLOCD_RUN=0g",          (char *)"TRACEMALLOCD_RING_SIZE=-1",
                               (char *)"TRACEMALLOCD_PID=99999999999", NULL};
        struct config config;
        ck_assert(config_read(&config, environment, 0));
        ck_assert_uint_eq(config.frames, 64);
        ck_assert_uint_eq(config.domains, DOMAIN_BIT_MALLOC | DOMAIN_BIT_PYTHON);
        ck_assert_uint_eq(config.run_length, 0);
        ck_assert_uint_eq(config.log2_ring, RING_LOG2_SIZE_DEFAULT);
        ck_assert_int_eq(config.pid, 0);
}
END_TEST

/* _i: length of the whole path */
START_TEST(a_path_that_is_too_long_is_no_daemon)
{
        char variable[256] = "TRACEMALLOCD_RUNTIME_DIR=";
        char *environment[] = {variable, NULL};
        struct config config;
        size_t n = strlen(variable), length = (size_t)_i - strlen("/agent.sock");
        memset(variable + n, 'd', length);
        variable[n] = '/';
        variable[n + length] = '\0';
        ck_assert(config_read(&config, environment, 0));
        ck_assert_uint_eq(config.n_sockets, _i <= 107 ? 1 : 0);
}
END_TEST

/* ---- definitions ---- */

START_TEST(definitions_end_when_they_are_full)
{
        void *memory = calloc(1, definitions_bytes(8, 64));
        struct definitions definitions;
        definitions_init(&definitions, memory, 8, 64);
        for (uint32_t i = 1; i < 8; i++)
                ck_assert_uint_eq(definitions_add_node(&definitions, i - 1, 1, i), i);
        ck_assert_uint_eq(definitions_add_node(&definitions, 7, 1, 8), 0);
        ck_assert_uint_eq(definitions.header->n_nodes, 8);
        ck_assert_uint_eq(definitions_add_item(&definitions, "abcde", 5), 0);
        ck_assert_uint_eq(definitions_add_item(&definitions, "abcd", 4), 16);
        ck_assert_uint_eq(definitions_add_item(&definitions, memory, 37), DEFINITIONS_FULL);
        ck_assert_uint_eq(definitions_add_item(&definitions, memory, 36), 24);
        ck_assert_uint_eq(definitions_add_item(&definitions, "", 0), DEFINITIONS_FULL);
        ck_assert_uint_eq(definitions_add_item(&definitions, "a", 1), DEFINITIONS_FULL);
        ck_assert_uint_eq(definitions_items_written(&definitions, 0), 64);
        ck_assert_uint_eq(definitions_nodes_written(&definitions, 1), 8);
        free(memory);
}
END_TEST

START_TEST(a_node_that_is_just_being_written_is_not_counted)
{
        void *memory = calloc(1, definitions_bytes(8, 64)), *other = calloc(1, definitions_bytes(8, 64));
        struct definitions definitions, copy;
        definitions_init(&definitions, memory, 8, 64);
        definitions_init(&copy, other, 8, 64);
        definitions_add_node(&definitions, 0, 1, 0x10);
        atomic_fetch_add(&definitions.header->n_nodes, 1); /* a thread that got so far */
        definitions_add_node(&definitions, 1, 1, 0x30);
        ck_assert_uint_eq(definitions_nodes_written(&definitions, 1), 2);
        ck_assert_int_eq(definitions_copy_nodes(&copy, &definitions), 0);
        ck_assert_uint_eq(definitions_nodes_written(&copy, 1), 4);
        ck_assert_uint_eq(copy.nodes[3].value, 0x30);
        free(memory);
        free(other);
}
END_TEST

/* ---- the guard ---- */

static sigjmp_buf back;
static uintptr_t guard_now;

static __attribute__((noinline)) void guard_and_leave(void) {
        uintptr_t previous;
        ck_assert(thread_guard_enter((uintptr_t)__builtin_dwarf_cfa(), &previous));
        siglongjmp(back, 1);
}

static __attribute__((noinline)) bool guard_from_here(void) {
        uintptr_t previous;
        bool entered = thread_guard_enter((uintptr_t)__builtin_dwarf_cfa(), &previous);
        guard_now = thread_state.guard;
        thread_guard_leave(previous);
        return entered;
}

static __attribute__((noinline)) bool guard_inside_guard(void) {
        uintptr_t previous;
        ck_assert(thread_guard_enter((uintptr_t)__builtin_dwarf_cfa(), &previous));
        bool entered = guard_from_here();
        ck_assert_uint_eq(guard_now, (uintptr_t)__builtin_dwarf_cfa());
        thread_guard_leave(previous);
        return entered;
}

START_TEST(a_nested_event_is_noticed)
{
        ck_assert(!guard_inside_guard());
        ck_assert_uint_eq(thread_state.guard, 0);
        ck_assert(guard_from_here());
}
END_TEST

START_TEST(a_guard_left_by_longjmp_is_noticed)
{
        if (sigsetjmp(back, 1) == 0)
                guard_and_leave();
        ck_assert_uint_ne(thread_state.guard, 0);
        ck_assert(guard_from_here());
        ck_assert_uint_eq(thread_state.guard, 0);
}
END_TEST

/* Of two processes on one memory, each on a stack of its own, one above the other. */
START_TEST(who_shares_storage_is_not_taken_for_a_longjmp)
{
        uintptr_t cfa = (uintptr_t)__builtin_dwarf_cfa(), one, other;
        thread_share();
        ck_assert(thread_guard_enter(cfa, &one));
        ck_assert(!thread_guard_enter(cfa + 4096, &other));
        thread_guard_leave(other);
        ck_assert(!guard_from_here());
        thread_guard_leave(one);
        ck_assert(guard_from_here());
        ck_assert(!thread_is_recording());

        ck_assert(thread_guard_enter(cfa, &one));
        thread_after_fork(); /* in the child of a fork the other does not come back */
        ck_assert(guard_from_here());
        thread_state.guard = 0;
}
END_TEST

static bool entered_in_handler;

static void guard_in_handler(int signal_number) {
        entered_in_handler = guard_from_here();
}

/* An alternate stack above the thread's own, where comparing addresses says the contrary. */
START_TEST(a_handler_on_a_higher_stack_is_nested)
{
        struct sigaction action = {.sa_handler = guard_in_handler, .sa_flags = SA_ONSTACK};
        stack_t stack = {.ss_size = 65536};
        uintptr_t previous;
        stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ck_assert(stack.ss_sp != MAP_FAILED);
        ck_assert_int_eq(sigaltstack(&stack, NULL), 0);
        ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
        /* as if the hook ran on a stack below that one */
        ck_assert(thread_guard_enter((uintptr_t)stack.ss_sp - 4096, &previous));
        raise(SIGUSR1);
        ck_assert(!entered_in_handler);
        ck_assert_uint_eq(thread_state.guard, (uintptr_t)stack.ss_sp - 4096);
        thread_guard_leave(previous);
}
END_TEST

START_TEST(only_the_allocation_that_was_announced_is_the_inner_one)
{
        const uintptr_t cfa = 0x7fff0000;
        thread_state.inner_cfa = cfa;
        thread_state.inner_size = 100;
        thread_state.inner_slack = 64;
        ck_assert(thread_inner_alloc(cfa - 48, 100));
        ck_assert(thread_inner_alloc(cfa - 48, 128));
        ck_assert(!thread_inner_alloc(cfa - 48, 99));
        ck_assert(!thread_inner_alloc(cfa - 48, 165));
        ck_assert(!thread_inner_alloc(cfa, 100));
        ck_assert(!thread_inner_alloc(cfa + 48, 100));
        ck_assert(!thread_inner_alloc(cfa - 4096, 100));
        thread_state.inner_cfa = 0;
        ck_assert(!thread_inner_alloc(cfa - 48, 100));
}
END_TEST

/* ---- epoch, objects, modules ---- */

START_TEST(an_epoch_is_sealed_and_as_large_as_asked_for)
{
        struct epoch *epoch;
        ck_assert_int_eq(epoch_new(20, true, &epoch), 0);
        ck_assert_uint_eq(epoch->ring.size, 1 << 20);
        ck_assert_uint_eq(epoch->definitions.header->magic, DEFINITIONS_MAGIC);
        ck_assert_int_ge(epoch->ring_fd, 0);
        ck_assert_int_eq(fcntl(epoch->ring_fd, F_GET_SEALS), fcntl(epoch->definitions_fd, F_GET_SEALS));
        ck_assert_int_eq(fcntl(epoch->ring_fd, F_GET_SEALS),
                         F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
        ck_assert_ptr_eq(epoch_control(epoch), epoch->own_control);
        epoch_close_fds(epoch);
        ck_assert_int_eq(epoch->ring_fd, -1);
        ck_assert_int_eq(epoch_new(16, false, &epoch), 0);
        ck_assert_int_eq(epoch->ring_fd, -1);
}
END_TEST

/* By the page tables: what /proc/self/status says many kernels count up per processor, some hundred KiB late. */
static unsigned long shared_kib(void) {
        char line[256];
        unsigned long kib = 0;
        FILE *rollup = fopen("/proc/self/smaps_rollup", "r");
        ck_assert_ptr_nonnull(rollup);
        while (fgets(line, sizeof line, rollup))
                sscanf(line, "Pss_Shmem: %lu", &kib);
        fclose(rollup);
        return kib;
}

START_TEST(an_ended_epoch_gives_its_memory_back_and_can_be_written_to)
{
        unsigned long before = shared_kib();
        struct epoch *epoch;
        ck_assert_int_eq(epoch_new(22, true, &epoch), 0);
        epoch_close_fds(epoch);
        memset((void *)epoch->ring.data, 1, epoch->ring.size);
        ck_assert_uint_ge(shared_kib(), before + (4 << 10));
        epoch_discard_pages(epoch);
        ck_assert_uint_lt(shared_kib(), before + 64); /* the heads stay */
        atomic_fetch_add(&epoch->ring.header->lost_events, 1);
        ck_assert_uint_eq(epoch->ring.data[7], 0);
        memset((void *)epoch->ring.data, 1, epoch->ring.size);
        ck_assert_uint_lt(shared_kib(), before + 64);
}
END_TEST

START_TEST(file_size_limits_make_an_epoch_smaller_or_none_but_never_a_signal)
{
        struct rlimit limit = {1 << 20, 1 << 20};
        struct epoch *epoch;
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        ck_assert_int_eq(epoch_new(22, true, &epoch), 0);
        ck_assert_uint_eq(epoch->ring.size, 1 << 19);
        limit.rlim_cur = 4096;
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        ck_assert_int_eq(epoch_new(22, true, &epoch), -ENOMEM);
        ck_assert_int_eq(epoch_new(22, false, &epoch), 0);
}
END_TEST

/* proc(5), statm: pages. No allocation, which would be counted. */
static unsigned long mapped_pages(void) {
        char text[256] = "";
        int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_gt(read(fd, text, sizeof text - 1), 0);
        close(fd);
        return strtoul(text, NULL, 10);
}

/* An agent tries again for as long as its program runs. */
START_TEST(an_epoch_that_cannot_be_made_leaves_no_memory_behind)
{
        enum { TRIES = 1000 };
        struct rlimit limit = {4096, 4096};
        struct epoch *epoch;
        unsigned long before;

        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        before = mapped_pages();
        for (int i = 0; i < TRIES; i++)
                if (epoch_new(22, true, &epoch) != -ENOMEM)
                        ck_abort_msg("it was made");
        ck_assert_uint_lt(mapped_pages() - before, TRIES);
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* whose shadow alone is larger than any limit */
START_TEST(address_space_limits_make_an_epoch_smaller)
{
        struct rlimit limit = {512 << 20, 512 << 20};
        struct epoch *epoch;
        ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
        ck_assert_int_eq(epoch_new(22, true, &epoch), 0);
        ck_assert_uint_le(epoch->definitions_bytes, 32 << 20);
}
END_TEST
#endif

/* _i: with _dl_find_object, or by dl_iterate_phdr as before glibc 2.35 */
START_TEST(objects_are_found_by_address)
{
        struct object object;
        if (_i == 0)
                object_setup();
        ck_assert(object_find((uintptr_t)main_address(), &object));
        ck_assert_str_eq(object.name, "");
        ck_assert_uint_gt(object.build_id_length, 0);
        ck_assert_ptr_nonnull(object.eh_frame_hdr);
        /* a function that no sanitizer puts its own in front of */
        ck_assert(object_find((uintptr_t)gnu_get_libc_version, &object));
        ck_assert_ptr_nonnull(strstr(object.name, "libc.so"));
        ck_assert_uint_gt(object.build_id_length, 0);
        ck_assert(!object_find(0x10, &object));
}
END_TEST

/* glibc tells of each segment alone; tests/unit/agent/meson.build sees to the gaps. _i: as above */
START_TEST(an_executable_with_gaps_between_its_segments_is_one_object)
{
        static const char constant[] = "in a segment of its own";
        static volatile char variable = 1;
        const uintptr_t addresses[] = {(uintptr_t)main_address(), (uintptr_t)constant, (uintptr_t)&variable};
        const uint8_t *start, *end;
        if (_i == 0)
                object_setup();
        for (unsigned i = 0; i < sizeof addresses / sizeof *addresses; i++) {
                struct eh_frame eh_frame;
                struct object object;
                ck_assert(object_find(addresses[i], &object));
                ck_assert_uint_gt(object.build_id_length, 0);
                ck_assert(eh_frame_of(&object, &eh_frame));
                ck_assert(eh_frame_segment(&object, addresses[i], &start, &end));
                for (unsigned j = 0; j < sizeof addresses / sizeof *addresses; j++)
                        ck_assert(addresses[j] >= object.start && addresses[j] < object.end);
        }
}
END_TEST

static uint64_t next_record(struct epoch *epoch, uint64_t *position) {
        uint64_t header = epoch->ring.data[*position / 8];
        if (!(header & RECORD_HEADER_BIT))
                return 0;
        *position += record_words(record_type(header)) * 8;
        return header;
}

START_TEST(a_module_is_told_of_before_its_generation_is_known)
{
        struct epoch *epoch;
        uint64_t position = 0, value;
        const void *bytes;
        object_setup();
        ck_assert_int_eq(epoch_new(20, false, &epoch), 0);
        uint32_t unit = modules_find(&epoch->modules, 0, (uint64_t)(uintptr_t)main_address(), &value);
        ck_assert_uint_eq(unit, 1);
        ck_assert_uint_lt(value, (uint64_t)(uintptr_t)main_address()); /* PIE: less its bias */
        uint64_t header = next_record(epoch, &position);
        ck_assert_uint_eq(record_type(header), RECORD_MODULE_LOAD);
        ck_assert_uint_eq(record_argument(header), 1);
        uint32_t length = definitions_item(&epoch->definitions, epoch->ring.data[1], &bytes);
        Tracemallocd__Agent__Item *item = tracemallocd__agent__item__unpack(NULL, length, bytes);
        ck_assert_ptr_nonnull(item);
        ck_assert_uint_eq(item->module->generation, 1);
        ck_assert_uint_gt(item->module->build_id.len, 0);
        ck_assert_ptr_nonnull(memmem(item->module->path.data, item->module->path.len, "test_parts", 10));
        tracemallocd__agent__item__free_unpacked(item, NULL);
        ck_assert_uint_eq(modules_find(&epoch->modules, 0, (uint64_t)(uintptr_t)main_address(), &value), 1);
        ck_assert_uint_eq(next_record(epoch, &position), 0);
        ck_assert_uint_eq(modules_find(&epoch->modules, 0, 0x10, &value), 0);
        ck_assert_uint_eq(value, 0x10);
}
END_TEST

START_TEST(an_unloaded_module_is_told_of_and_forgotten)
{
        struct epoch *epoch;
        uint64_t position = 0, value;
        void *plugin = dlopen(getenv("PLUGIN2"), RTLD_NOW);
        uint64_t pc = (uint64_t)(uintptr_t)dlsym(plugin, "plugin_allocate");
        object_setup();
        ck_assert_int_eq(epoch_new(20, false, &epoch), 0);
        uint32_t generation = modules_find(&epoch->modules, 0, pc, &value);
        ck_assert_uint_ne(generation, 0);
        trie_insert(&epoch->trie, 0, pc, 5);
        ck_assert_int_eq(dlclose(plugin), 0);
        modules_check_unloaded(&epoch->modules, 0);
        ck_assert_uint_eq(trie_find(&epoch->trie, 0, pc), 0);
        next_record(epoch, &position);
        ck_assert_uint_eq(record_type(next_record(epoch, &position)), RECORD_MODULE_UNLOAD);
        plugin = dlopen(getenv("PLUGIN2"), RTLD_NOW);
        pc = (uint64_t)(uintptr_t)dlsym(plugin, "plugin_allocate");
        ck_assert_uint_eq(modules_find(&epoch->modules, 0, pc, &value), generation + 1);
}
END_TEST

/* At the address of one that is gone, as the loader's record or the place of the unwind tables says. */
START_TEST(another_module_at_the_same_address_is_another)
{
        struct epoch *epoch;
        uint64_t value, pc = (uint64_t)(uintptr_t)main_address();
        object_setup();
        ck_assert_int_eq(epoch_new(20, false, &epoch), 0);
        uint32_t generation = modules_find(&epoch->modules, 0, pc, &value);
        struct module *module = epoch->modules.slots;
        modules_check_unloaded(&epoch->modules, 0);
        ck_assert_uint_eq(modules_find(&epoch->modules, 0, pc, &value), generation);
        if (!module->map)
                return; /* glibc before 2.35: by identity */
        module->map = &value;
        modules_check_unloaded(&epoch->modules, 0);
        ck_assert_uint_eq(modules_find(&epoch->modules, 0, pc, &value), generation + 1);
        module = &epoch->modules.slots[epoch->modules.n_slots - 1];
        module->eh_frame_hdr = &value;
        modules_check_unloaded(&epoch->modules, 0);
        ck_assert_uint_eq(modules_find(&epoch->modules, 0, pc, &value), generation + 2);
}
END_TEST

/* dlopen("./plugin2.so") and a chdir() before its first block. */
static void expect_whole_path(const char *path) {
        struct epoch *epoch;
        uint64_t value, items[1];
        int fds[1];
        const void *bytes;
        char *folder = strdup(path), *name = strrchr(folder, '/');
        char relative[256];
        *name++ = '\0';
        ck_assert_int_eq(chdir(folder), 0);
        ck_assert_int_lt(snprintf(relative, sizeof relative, "./%s", name), (int)sizeof relative);
        void *plugin = dlopen(relative, RTLD_NOW);
        ck_assert_ptr_nonnull(plugin);
        ck_assert_int_eq(chdir("/"), 0);
        object_setup();
        ck_assert_int_eq(epoch_new(20, false, &epoch), 0);
        uint64_t pc = (uint64_t)(uintptr_t)dlsym(plugin, "plugin_allocate");
        ck_assert_uint_ne(modules_find(&epoch->modules, 0, pc, &value), 0);
        uint32_t length = definitions_item(&epoch->definitions, epoch->ring.data[1], &bytes);
        Tracemallocd__Agent__Item *item = tracemallocd__agent__item__unpack(NULL, length, bytes);
        ck_assert_ptr_nonnull(item);
        ck_assert_uint_eq(item->module->path.len, strlen(path));
        ck_assert_mem_eq(item->module->path.data, path, strlen(path));
        ck_assert_uint_eq(modules_open_files(&epoch->modules, items, fds, 1), 1);
        tracemallocd__agent__item__free_unpacked(item, NULL);
        free(folder);
}

START_TEST(a_module_that_was_loaded_by_a_relative_path_has_a_whole_one)
{ expect_whole_path(getenv("PLUGIN2")); }
END_TEST

/* "/tmp/0a1", shorter than what the kernel puts behind the name of a deleted file. Return: descriptor. */
static int create_short(char path[16]) {
        int fd = -1;
        for (unsigned i = 0; fd < 0 && i < 4096; i++) {
                snprintf(path, 16, "/tmp/%03x", ((unsigned)getpid() + i) & 4095);
                fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
        }
        return fd;
}

START_TEST(so_has_one_whose_whole_path_is_short)
{
        char path[16];
        struct stat st;
        int from = open(getenv("PLUGIN2"), O_RDONLY | O_CLOEXEC), to = create_short(path);
        ck_assert_int_ge(to, 0);
        ck_assert_int_eq(fstat(from, &st), 0);
        ck_assert_int_eq(sendfile(to, from, NULL, (size_t)st.st_size), st.st_size);
        close(to);
        close(from);
        expect_whole_path(path);
        unlink(path);
}
END_TEST

START_TEST(files_are_opened_once)
{
        struct epoch *epoch;
        uint64_t value;
        uint64_t items[4];
        int fds[4];
        object_setup();
        ck_assert_int_eq(epoch_new(20, false, &epoch), 0);
        modules_find(&epoch->modules, 0, (uint64_t)(uintptr_t)main_address(), &value);
        modules_find(&epoch->modules, 0, (uint64_t)(uintptr_t)strlen, &value);
        ck_assert_uint_eq(epoch->modules.n_unsent, 2);
        ck_assert_uint_eq(modules_open_files(&epoch->modules, items, fds, 4), 2);
        ck_assert_uint_eq(epoch->modules.n_unsent, 0);
        ck_assert_uint_eq(modules_open_files(&epoch->modules, items, fds, 4), 0);
}
END_TEST

START_TEST(a_child_has_its_parents_nodes_and_modules)
{
        struct epoch *parent, *child;
        uint64_t value;
        object_setup();
        ck_assert_int_eq(epoch_new(20, false, &parent), 0);
        ck_assert_int_eq(epoch_new(20, false, &child), 0);
        uint32_t unit = modules_find(&parent->modules, 0, (uint64_t)(uintptr_t)main_address(), &value);
        uint32_t node = definitions_add_node(&parent->definitions, 0, unit, value);
        trie_insert(&parent->trie, 0, (uint64_t)(uintptr_t)main_address(), node);
        ck_assert_int_eq(epoch_inherit(child, parent), 0);
        ck_assert_uint_eq(trie_find(&child->trie, 0, (uint64_t)(uintptr_t)main_address()), node);
        ck_assert_uint_eq(child->definitions.nodes[node].value, value);
        ck_assert_uint_eq(modules_find(&child->modules, 0, (uint64_t)(uintptr_t)main_address(), &value), unit);
        ck_assert_uint_eq(modules_find(&child->modules, 0, (uint64_t)(uintptr_t)strlen, &value), unit + 1);
}
END_TEST

/* @cmdline: with '|' for the NULs between its words */
static void expect_name(const char *cmdline, const char *comm, const char *name) {
        char text[128];
        strcpy(text, cmdline);
        for (char *at = text; (at = strchr(at, '|'));)
                *at++ = '\0';
        ck_assert_uint_eq(process_name_of(text, strlen(cmdline) + 1, comm), strlen(name));
        ck_assert_str_eq(text, name);
}

START_TEST(a_process_is_called_by_its_program_whatever_its_title_says)
{
        expect_name("/usr/sbin/nginx", "nginx", "nginx");
        expect_name("nginx: worker process", "nginx", "nginx");
        expect_name("nginx: master process /usr/sbin/nginx -c /etc/nginx/nginx.conf", "nginx", "nginx");
        expect_name("/usr/bin/redis-server 127.0.0.1:6379", "redis-server", "redis-server");
        expect_name("/usr/sbin/a-very-long-program-name now", "a-very-long-pro", "a-very-long-program-name");
        expect_name("/opt/My Programs/editor", "editor", "editor");
        expect_name("two words", "", "two words");
        expect_name("-bash", "bash", "-bash");
        expect_name("dir/", "dir", "dir/");
        expect_name(": odd", "odd", ": odd");
        expect_name("", "true", "");
        expect_name("", "", "");
        expect_name("nginx|-t", "nginx", "nginx");
}
END_TEST

START_TEST(a_script_is_called_by_its_own_name_and_not_its_interpreters)
{
        expect_name("/usr/bin/python3|/usr/bin/gunicorn|app:app", "gunicorn", "gunicorn");
        expect_name("/usr/bin/python3|-I|/usr/bin/gunicorn", "gunicorn", "gunicorn");
        expect_name("/bin/bash|./a-script-of-a-long-name.sh", "a-script-of-a-l", "a-script-of-a-long-name.sh");
        expect_name("python3|gunicorn", "python3", "python3");
        expect_name("python3|-m|tool|gunicorn", "gunicorn", "python3"); /* a title, and no script */
        expect_name("gunicorn: worker [app]", "gunicorn", "gunicorn");
        expect_name("/usr/bin/python3", "gunicorn", "python3");
        expect_name("/usr/bin/python3|", "gunicorn", "python3");
        expect_name("/usr/bin/python3|gunicorn", "", "python3");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("parts");
        TCase *tcase = check_case("parts");
        tcase_add_test(tcase, a_process_is_called_by_its_program_whatever_its_title_says);
        tcase_add_test(tcase, a_script_is_called_by_its_own_name_and_not_its_interpreters);
        tcase_add_test(tcase, an_empty_environment_gives_the_defaults);
        tcase_add_test(tcase, variables_are_read);
        tcase_add_test(tcase, in_a_tool_of_valgrinds_that_replaces_malloc_the_agent_is_off);
        tcase_add_test(tcase, nonsense_counts_as_absent);
        tcase_add_loop_test(tcase, a_path_that_is_too_long_is_no_daemon, 106, 110);
        tcase_add_test(tcase, definitions_end_when_they_are_full);
        tcase_add_test(tcase, a_node_that_is_just_being_written_is_not_counted);
        tcase_add_test(tcase, a_nested_event_is_noticed);
        tcase_add_test(tcase, a_guard_left_by_longjmp_is_noticed);
        tcase_add_test(tcase, who_shares_storage_is_not_taken_for_a_longjmp);
        tcase_add_test(tcase, a_handler_on_a_higher_stack_is_nested);
        tcase_add_test(tcase, only_the_allocation_that_was_announced_is_the_inner_one);
        tcase_add_test(tcase, an_epoch_is_sealed_and_as_large_as_asked_for);
        tcase_add_test(tcase, an_ended_epoch_gives_its_memory_back_and_can_be_written_to);
        tcase_add_test(tcase, file_size_limits_make_an_epoch_smaller_or_none_but_never_a_signal);
        tcase_add_test(tcase, an_epoch_that_cannot_be_made_leaves_no_memory_behind);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* whose shadow alone is larger than any limit */
        tcase_add_test(tcase, address_space_limits_make_an_epoch_smaller);
#endif
        tcase_add_loop_test(tcase, objects_are_found_by_address, 0, 2);
        tcase_add_loop_test(tcase, an_executable_with_gaps_between_its_segments_is_one_object, 0, 2);
        tcase_add_test(tcase, a_module_is_told_of_before_its_generation_is_known);
        tcase_add_test(tcase, an_unloaded_module_is_told_of_and_forgotten);
        tcase_add_test(tcase, another_module_at_the_same_address_is_another);
        tcase_add_test(tcase, a_module_that_was_loaded_by_a_relative_path_has_a_whole_one);
        tcase_add_test(tcase, so_has_one_whose_whole_path_is_short);
        tcase_add_test(tcase, files_are_opened_once);
        tcase_add_test(tcase, a_child_has_its_parents_nodes_and_modules);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
