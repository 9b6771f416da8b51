/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/symbol/helper/name.h"
#include "tests/support/check_main.h"

#include <stdlib.h>
#include <string.h>

static void demangles(const char *linkage_name, const char *expected) {
        char *name = name_demangle(linkage_name);
        ck_assert_pstr_eq(name, expected);
        free(name);
}

static void symbol_is(const char *symbol, const char *expected) {
        char *name = name_of_symbol(symbol);
        ck_assert_str_eq(name, expected);
        free(name);
}

static void path_is(const char *folder, const char *path, const char *expected) {
        char *normal = name_normal_path(folder, path);
        ck_assert_str_eq(normal, expected);
        free(normal);
}

START_TEST(cxx_names_show_their_arguments)
{
        demangles("_ZN3foo3barEi", "foo::bar(int)");
        demangles("_ZNSt6vectorIiSaIiEE9push_backERKi",
                  "std::vector<int, std::allocator<int> >::push_back(int const&)");
        demangles("_Z3foov.cold", "foo() [clone .cold]");
}
END_TEST

START_TEST(legacy_rust_names_lose_their_hash)
{
        demangles("_ZN4core3ptr13drop_in_place17h0123456789abcdefE", "core::ptr::drop_in_place");
        demangles("_ZN66_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..ops..drop..Drop$GT$4drop17h0123456789abcdefE",
                  "<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop");
}
END_TEST

START_TEST(v0_rust_names_lose_their_crate_ids)
{
        demangles("_RNvCskwGfYPst2Cb_7mycrate3foo", "mycrate::foo");
        demangles("_RINvNtC3std3mem8align_ofdE", "std::mem::align_of::<f64>");
}
END_TEST

START_TEST(what_is_not_mangled_is_left_alone)
{
        demangles("malloc", NULL);
        demangles("", NULL);
        demangles("_start", NULL);
        demangles("_Z", NULL);
        symbol_is("malloc", "malloc");
        symbol_is("", "");
}
END_TEST

START_TEST(symbol_versions_are_not_shown)
{
        symbol_is("memcpy@@GLIBC_2.14", "memcpy");
        symbol_is("_ZNSs6appendEPKc@GLIBCXX_3.4", "std::string::append(char const*)");
        symbol_is("@plt", "@plt");
}
END_TEST

START_TEST(endless_names_are_cut_or_left_mangled)
{
        char *endless = malloc(100001);
        memset(endless, 'x', 100000);
        endless[100000] = '\0';
        char *name = name_of_symbol(endless);
        ck_assert_uint_eq(strlen(name), 16384);
        ck_assert_str_eq(name + strlen(name) - 3, "...");
        free(name);
        memcpy(endless, "_Z99000", 7);
        ck_assert_ptr_null(name_demangle(endless));
        free(endless);
}
END_TEST

START_TEST(paths_lose_what_says_nothing)
{
        path_is(NULL, "/a/b.c", "/a/b.c");
        path_is(NULL, "/a//b/./c/../d.c", "/a/b/d.c");
        path_is(NULL, "/../a.c", "/a.c");
        path_is(NULL, "/", "/");
        path_is(NULL, "./a.c", "a.c");
        path_is(NULL, "a/../../b.c", "../b.c");
        path_is(NULL, "../../b.c", "../../b.c");
        path_is(NULL, "a/..b/c...", "a/..b/c...");
        path_is(NULL, "<artificial>", "<artificial>");
        path_is(NULL, "", "");
}
END_TEST

START_TEST(relative_paths_are_joined_with_their_folder)
{
        path_is("/src/x", "../y/a.c", "/src/y/a.c");
        path_is("/src/x/", "a.c", "/src/x/a.c");
        path_is("/src/x", "/usr/include/a.h", "/usr/include/a.h");
        path_is("./x", "./x/a.c", "x/x/a.c");
        path_is("", "a.c", "a.c");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("name");
        TCase *tcase = check_case("name");
        tcase_add_test(tcase, cxx_names_show_their_arguments);
        tcase_add_test(tcase, legacy_rust_names_lose_their_hash);
        tcase_add_test(tcase, v0_rust_names_lose_their_crate_ids);
        tcase_add_test(tcase, what_is_not_mangled_is_left_alone);
        tcase_add_test(tcase, symbol_versions_are_not_shown);
        tcase_add_test(tcase, endless_names_are_cut_or_left_mangled);
        tcase_add_test(tcase, paths_lose_what_says_nothing);
        tcase_add_test(tcase, relative_paths_are_joined_with_their_folder);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
