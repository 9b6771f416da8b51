/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/query/wrapper.h"
#include "tests/support/check_main.h"
#include "tests/unit/query/world.h"

#include <stdlib.h>
#include <string.h>

static const char *const wrappers[] = {
        "xmalloc",
        "xstrdup.part.0",
        "PyObject_Malloc",
        "_PyObject_GC_NewVar",
        "checked_malloc(unsigned long)",
        "shop::(anonymous namespace)::pool_strdup(std::string const&)",
        "Pool::operator new(unsigned long)",
        "Arena<(4>2)>::zalloc(unsigned long)",
        "Arena<&(Page::operator<(Page const&))>::zalloc(unsigned long)",
        "Arena<int>::zalloc<char>(unsigned long)",
        "zmalloc_usable",
        "_sdsnewlen",
        "g_slice_alloc",
        "QArrayData::allocate(unsigned long, unsigned long, unsigned long, QFlags<QArrayData::AllocationOption>)",
        "std::vector<int, std::allocator<int> >::reserve(unsigned long)",
        "void std::vector<char*, std::allocator<char*> >::_M_realloc_insert<char*>(std::vector<char*>::iterator, "
        "char*&&)",
        "std::_Rb_tree_iterator<std::pair<int const, char> > std::_Rb_tree<int, char>::_M_emplace<int>(int&&)",
        "alloc::raw_vec::RawVec<T,A>::reserve_for_push",
        "<alloc::string::String as core::clone::Clone>::clone",
};

START_TEST(who_allocates_for_others_is_known_by_name)
{ ck_assert_msg(wrapper_function(wrappers[_i], strlen(wrappers[_i])), "%s", wrappers[_i]); }
END_TEST

static const char *const callers[] = {
        "",
        "main",
        "remember(std::string const&)",
        "std::string label<int>(int)",
        "std::map<int, std::string>* shop::Cart::index(void (*)(std::string)) const",
        "decltype(auto) shop::make<std::string>(std::string&&)",
        "shop::Cart::add(int)::{lambda(std::string)#1}::operator()(std::string) const",
        "shop::Log::operator<<(std::string const&)",
        "Cache<&(xmalloc(unsigned long))>::fill()",
        "malloc_statistics",
        "<shop::Cart as core::clone::Clone>::clone",
        "allocate_seats",
        "g_application_run",
        "a<(",
        "operator",
        ">)",
};

START_TEST(who_calls_them_is_not_whatever_its_types)
{ ck_assert_msg(!wrapper_function(callers[_i], strlen(callers[_i])), "%s", callers[_i]); }
END_TEST

START_TEST(files_of_libraries_are_known)
{
        static const char *const known[] = {
                "/usr/include/c++/12/bits/stl_vector.h",
                "/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30",
                "/rustc/90c541806/library/alloc/src/raw_vec.rs",
                "/rust/deps/hashbrown-0.15.2/src/raw/mod.rs",
                "/root/.rustup/toolchains/stable/lib/rustlib/src/rust/library/alloc/src/raw_vec.rs",
                "/usr/src/rustc-1.63.0/library/alloc/src/vec/spec_from_elem.rs"};

        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
                ck_assert_msg(wrapper_file(known[i], strlen(known[i])), "%s", known[i]);
        ck_assert(!wrapper_file("/srv/c++/server.cc", 18));
        ck_assert(!wrapper_file("", 0));
}
END_TEST

static void check(const char *question, const char *expected) {
        char *answer = world_ask(question);
        ck_assert_str_eq(answer, expected);
        free(answer);
}

#define PROGRAM                                                                                                        \
        "symbol prog 0x1 s,prog.c,1,main\nsymbol prog 0x2 s,prog.c,2,keep\nsymbol prog 0x3 s,prog.c,3,xmalloc\n"       \
        "lines prog yes\nsnapshot 1\ntrace 4294967294 3 8 1 n,prog,0x1 n,prog,0x2 n,prog,0x3\nview lineno 0 0 0\n"

START_TEST(the_caller_is_shown_and_it_is_said)
{
        check(PROGRAM "skip-wrappers\nstats 1\n",
              "header 8 1 1 exact\nwrappers-skipped\nrow 8 1 prog.c,2,keep,prog\nend\n");
        check(PROGRAM "stats 1\n", "header 8 1 1 exact\nrow 8 1 prog.c,3,xmalloc,prog\nend\n");
}
END_TEST

START_TEST(known_ones_are_told_from_names_that_only_end_so)
{
        static const char *const known[] = {"xmalloc",
                                            "__strdup",
                                            "xrealloc.part.0",
                                            "__GI___strndup",
                                            "CRYPTO_zalloc",
                                            "Perl_safesysmalloc",
                                            "zmalloc",
                                            "g_malloc0",
                                            "Pool::operator new(unsigned long)",
                                            "std::string::reserve(int)"};
        static const char *const supposed[] = {"pool_strdup", "load_malloc", "checked_malloc(unsigned long)",
                                               "Arena::take_zalloc(int)", "fxmalloc"};

        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
                ck_assert_msg(wrapper_function(known[i], strlen(known[i])) == WRAPPER_KNOWN, "%s", known[i]);
        for (size_t i = 0; i < sizeof supposed / sizeof supposed[0]; i++)
                ck_assert_msg(wrapper_function(supposed[i], strlen(supposed[i])) == WRAPPER_SUPPOSED, "%s",
                              supposed[i]);
}
END_TEST

#define LOADERS                                                                                                        \
        "symbol prog 0x1 s,prog.c,1,main\nsymbol prog 0x2 s,prog.c,2,a_malloc\nsymbol prog 0x3 s,prog.c,3,b_malloc\n"  \
        "symbol prog 0x4 s,prog.c,4,c_malloc\nsymbol prog 0x5 s,prog.c,5,d_malloc\nsymbol prog 0x6 s,prog.c,6,"        \
        "d_malloc\nlines prog yes\n"

/* Who looks for load_malloc, which its name only sounds like, reads that it was left out. */
START_TEST(supposed_ones_are_named_heaviest_first)
{
        check(LOADERS "snapshot 1\ntrace 4294967294 2 8 1 n,prog,0x1 n,prog,0x2\n"
                      "trace 4294967294 2 10 1 n,prog,0x1 n,prog,0x3\ntrace 4294967294 2 1 9 n,prog,0x1 n,prog,0x4\n"
                      "trace 4294967294 2 6 1 n,prog,0x1 n,prog,0x5\ntrace 4294967294 2 6 1 n,prog,0x1 n,prog,0x6\n"
                      "view lineno 0 0 0\nskip-wrappers\nstats 1\n",
              "header 39 13 1 exact\nwrappers-skipped\nsupposed d_malloc\nsupposed b_malloc\nsupposed c_malloc\nmore "
              "1\n"
              "row 39 13 prog.c,1,main,prog\nend\n");
}
END_TEST

START_TEST(of_a_comparison_those_that_changed_most_are_named)
{
        check(LOADERS "snapshot 1\ntrace 4294967294 2 800 1 n,prog,0x1 n,prog,0x2\n"
                      "trace 4294967294 2 10 1 n,prog,0x1 n,prog,0x3\n"
                      "snapshot 2\ntrace 4294967294 2 800 1 n,prog,0x1 n,prog,0x2\n"
                      "trace 4294967294 2 10 3 n,prog,0x1 n,prog,0x4\n"
                      "view lineno 0 0 0\nskip-wrappers\ncompare 1 2\n",
              "header 830 4 1 exact +20 +2\nwrappers-skipped\nsupposed c_malloc\nsupposed b_malloc\n"
              "row 830 +20 4 +2 prog.c,1,main,prog\nend\n");
}
END_TEST

START_TEST(nothing_is_said_where_there_are_none)
{
        check("symbol prog 0x1 s,prog.c,1,keep\nlines prog yes\nsnapshot 1\ntrace 4294967294 1 8 1 n,prog,0x1\n"
              "view lineno 0 0 0\nskip-wrappers\nstats 1\n",
              "header 8 1 1 exact\nrow 8 1 prog.c,1,keep,prog\nend\n");
}
END_TEST

START_TEST(filters_find_wrappers_by_name)
{
        check(PROGRAM "filter include 3 recent - prog.c\nskip-wrappers\nstats 1\n",
              "header 8 1 1 exact\nwrappers-skipped\nrow 8 1 prog.c,2,keep,prog\nend\n");
        check(PROGRAM "filter exclude 3 recent - prog.c\nskip-wrappers\nstats 1\n", "header 0 0 0 exact\nend\n");
}
END_TEST

START_TEST(what_the_user_skips_goes_on_both_sides_of_a_wrapper)
{
        check("symbol prog 0x1 s,prog.c,1,main\nsymbol prog 0x2 s,prog.c,2,new_cart\nsymbol prog 0x3 "
              "s,prog.c,3,xmalloc\n"
              "symbol prog 0x4 s,prog.c,4,new_page\nlines prog yes\nsnapshot 1\n"
              "trace 4294967294 4 8 1 n,prog,0x1 n,prog,0x2 n,prog,0x3 n,prog,0x4\n"
              "trace 4294967294 3 1 1 n,prog,0x1 n,prog,0x2 n,prog,0x3\n"
              "view lineno 0 0 0\nskip-function new_*\nskip-wrappers\nstats 1\n",
              "header 9 2 1 exact\nwrappers-skipped\nrow 9 2 prog.c,1,main,prog\nend\n");
}
END_TEST

START_TEST(the_loader_is_no_caller)
{
        check("symbol /lib64/ld-linux-x86-64.so.2 0x1 s,,0,call_init\nsymbol /lib/libstdc++.so.6 0x2 s,,0,init\n"
              "symbol /lib/libstdc++.so.6 0x3 s,,0,pool\nsnapshot 1\ntrace 4294967294 3 8 1 "
              "n,/lib64/ld-linux-x86-64.so.2,0x1 n,/lib/libstdc++.so.6,0x2 n,/lib/libstdc++.so.6,0x3\n"
              "view lineno 0 0 0\nskip-wrappers\nstats 1\n",
              "header 8 1 1 exact\nwrappers-skipped\nwithout-lines /lib/libstdc++.so.6\n"
              "row 8 1 /lib/libstdc++.so.6,0,init,/lib/libstdc++.so.6\nend\n");
}
END_TEST

/* With its debug information the loader has inlined frames calloc and malloc of its own. */
START_TEST(the_loader_is_the_caller_of_its_own_wrappers)
{
        check("symbol /lib64/ld-linux-x86-64.so.2 0x1 s,dl-object.c,92,_dl_new_object\n"
              "symbol /lib64/ld-linux-x86-64.so.2 0x2 s,rtld-malloc.h,44,calloc\n"
              "lines /lib64/ld-linux-x86-64.so.2 yes\nsnapshot 1\ntrace 4294967294 2 8 1 "
              "n,/lib64/ld-linux-x86-64.so.2,0x1 n,/lib64/ld-linux-x86-64.so.2,0x2\n"
              "view lineno 0 0 0\nskip-wrappers\nstats 1\n",
              "header 8 1 1 exact\nwrappers-skipped\n"
              "row 8 1 dl-object.c,92,_dl_new_object,/lib64/ld-linux-x86-64.so.2\nend\n");
}
END_TEST

/* g_slice_alloc of a stripped GLib calls a function without a name, which calls another. */
START_TEST(nameless_parts_of_a_wrapper_go_with_it)
{
        check("symbol prog 0x1 s,prog.c,1,keep\nsymbol /lib/libglib.so 0x2 s,,0,g_slice_alloc\n"
              "lines prog yes\nlines /lib/libglib.so no\nsnapshot 1\n"
              "trace 4294967294 4 8 1 n,prog,0x1 n,/lib/libglib.so,0x2 n,/lib/libglib.so,0x3 n,/lib/libglib.so,0x4\n"
              "trace 4294967294 3 1 1 n,prog,0x1 n,/lib/libglib.so,0x2 n,/lib/other.so,0x5\n"
              "trace 4294967294 2 2 1 n,prog,0x1 n,/lib/libglib.so,0x3\n"
              "view lineno 0 0 0\nskip-wrappers\nstats 1\n",
              "header 11 3 3 exact\nwrappers-skipped\nwithout-lines /lib/libglib.so\nwithout-lines /lib/other.so\n"
              "row 8 1 prog.c,1,keep,prog\nrow 2 1 /lib/libglib.so,0,-,/lib/libglib.so,+0x3\n"
              "row 1 1 /lib/other.so,0,-,/lib/other.so,+0x5\nend\n");
}
END_TEST

/* A file's frames have no functions, so its wrappers stay: then those it is compared with stay, too. */
START_TEST(beside_a_file_they_are_shown)
{
        check(PROGRAM "snapshot 2\nimport\ntrace 4294967294 2 8 1 s,prog.c,2 s,prog.c,3\nskip-wrappers\ncompare 2 1\n",
              "header 8 1 1 exact +0 +0\nrow 8 +0 1 +0 prog.c,3,-,-\nend\n");
}
END_TEST

START_TEST(frames_of_python_are_pythons)
{
        check("snapshot 1\ntrace 0 2 8 1 s,a.py,1,main s,a.py,2,xmalloc\nview lineno 0 0 0\nskip-wrappers\nstats 1\n",
              "header 8 1 1 exact\nrow 8 1 a.py,2,xmalloc,-\nend\n");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("wrapper");
        TCase *cases = tcase_create("wrapper");
        tcase_add_loop_test(cases, who_allocates_for_others_is_known_by_name, 0, sizeof wrappers / sizeof wrappers[0]);
        tcase_add_loop_test(cases, who_calls_them_is_not_whatever_its_types, 0, sizeof callers / sizeof callers[0]);
        tcase_add_test(cases, files_of_libraries_are_known);
        tcase_add_test(cases, the_caller_is_shown_and_it_is_said);
        tcase_add_test(cases, known_ones_are_told_from_names_that_only_end_so);
        tcase_add_test(cases, supposed_ones_are_named_heaviest_first);
        tcase_add_test(cases, of_a_comparison_those_that_changed_most_are_named);
        tcase_add_test(cases, nothing_is_said_where_there_are_none);
        tcase_add_test(cases, filters_find_wrappers_by_name);
        tcase_add_test(cases, what_the_user_skips_goes_on_both_sides_of_a_wrapper);
        tcase_add_test(cases, the_loader_is_no_caller);
        tcase_add_test(cases, the_loader_is_the_caller_of_its_own_wrappers);
        tcase_add_test(cases, nameless_parts_of_a_wrapper_go_with_it);
        tcase_add_test(cases, beside_a_file_they_are_shown);
        tcase_add_test(cases, frames_of_python_are_pythons);
        suite_add_tcase(suite, cases);
        return check_run(suite);
}
