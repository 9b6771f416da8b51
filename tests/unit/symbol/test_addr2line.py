# SPDX-License-Identifier: Apache-2.0
"""The symbol helper agrees with addr2line, or with llvm-symbolizer where that one is wrong.

Usage: test_addr2line.py RESOLVE_FILE HELPER [unittest arguments]

Builds the samples in several ways, takes real libraries of this machine, and compares the frames of sampled call
sites: (file, line) of every frame for all of them, functions up to what compare_functions() names.
"""

import contextlib
import glob
import http.server
import os
import pathlib
import random
import re
import shutil
import socket
import sys
import tempfile
import threading
import unittest

import addresses as A

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLES = os.path.join(HERE, "samples")
COUNT = 1000  # addresses of one file at most
SEED = 20261122
TOOLS = None
FOLDER = None  # scratch, readable by nobody's uid: the helper is not root


def build(name, *command):
    """Compile SAMPLES into FOLDER/name. Return: its path."""
    path = os.path.join(FOLDER, name)
    A.run([*command, "-o", path], cwd=FOLDER, stderr=None)
    return path


def sample(name):
    return os.path.join(SAMPLES, name)


def build_id(path):
    notes = A.run(["readelf", "-n", path]).decode()
    return re.search(r"Build ID: ([0-9a-f]+)", notes).group(1)


def strip_into(path, debug):
    """Move the debug information of a file into another one, without a link to it."""
    A.run(["objcopy", "--only-keep-debug", path, debug])
    A.run(["strip", path])


def clone_free(name):
    """Without what compilers add to a split function, which DWARF does not know and two rows for it help nobody."""
    return re.sub(r"( \[clone [^]]*\]| \(\.[a-z.0-9]+\)|\.(cold|part|constprop|isra)(\.\d+)*)+$", "", name)


def last_component(name):
    """The bare name of a function: what DWARF's DW_AT_name says."""
    name = re.sub(r"\(anonymous namespace\)::", "", clone_free(name))
    name = re.sub(r"\{lambda[^}]*\}|'lambda[^']*'", "lambda", name)
    depth, end = 0, len(name)
    for i, c in enumerate(name):
        depth += (c in "<(") - (c in ">)")
        if c == "(" and depth == 1 and not name.startswith("operator()", i - 8):
            end = i
            break
    name = re.sub(r"<.*", "", name[:end]) if "operator" not in name[:end] else name[:end]
    return name.split(" ")[-1].split("::")[-1]


@contextlib.contextmanager
def serve(files):
    """A debuginfod that has some files. Yields its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path = files.get(self.path)
            self.send_response(200 if path else 404)
            data = pathlib.Path(path).read_bytes() if path else b""
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield "http://127.0.0.1:%d/" % server.server_port
        server.shutdown()


class Agreement(unittest.TestCase):
    def compare(self, path, count=COUNT, least=10):
        sites = A.call_sites(path, count, SEED)
        self.assertGreaterEqual(len(sites), least, path)
        ours, has_lines, problem = A.ours(TOOLS, path, sites)
        self.assertEqual((has_lines, problem), (True, "??"))
        binutils, llvm = A.addr2line(path, sites), A.llvm(path, sites)
        wrong, by_llvm, names = [], 0, []
        for site in sites:
            place = A.lines(ours[site])
            if place != A.lines(binutils[site]):
                by_llvm += 1
                if place != A.lines(llvm[site]):
                    wrong.append((hex(site), ours[site], binutils[site], llvm[site]))
                    continue
            names += self.compare_functions(site, ours[site], binutils[site], llvm[site])
        self.assertEqual(wrong, [], "%s: %d of %d" % (path, len(wrong), len(sites)))
        self.assertEqual(names, [], path)
        print("%s: %d addresses, %d where addr2line is wrong" % (os.path.basename(path), len(sites), by_llvm))

    def compare_functions(self, site, ours, binutils, llvm):
        """A function is the one that one of the two names, or the same with more of its name: they know a static
        C++ function by its bare name, we take the whole one from the symbol table; they add ".cold", we do not."""
        wrong = []
        for i, (function, _, _) in enumerate(ours):
            theirs = [frames[i][0] for frames in (binutils, llvm) if i < len(frames)]
            if function in theirs or clone_free(function) in map(clone_free, theirs):
                continue
            if function and last_component(function) not in map(last_component, theirs):
                wrong.append((hex(site), i, function, theirs))
        return wrong

    def test_c_and_cxx_of_both_compilers_at_several_levels(self):
        for compiler, source in (("gcc", "plain.c"), ("clang", "plain.c"), ("g++", "inlines.cc"),
                                 ("clang++", "inlines.cc")):
            for options in (["-O0"], ["-O2"], ["-O2", "-gdwarf-4"], ["-O3", "-gdwarf-5"], ["-O1", "-no-pie"]):
                with self.subTest(compiler=compiler, options=options):
                    self.compare(build("sample", compiler, "-g", *options, sample(source)))

    def test_link_time_optimised(self):
        self.compare(build("lto", "g++", "-g", "-O2", "-flto", sample("inlines.cc")))

    def test_functions_that_the_linker_dropped_are_nowhere(self):
        self.compare(build("gc", "g++", "-g", "-O1", "-ffunction-sections", "-Wl,--gc-sections", sample("inlines.cc")))

    def test_relative_names_and_mapped_prefixes(self):
        for source in ("plain.c", "inlines.cc"):
            shutil.copy(sample(source), FOLDER)
        for version in ("4", "5"):
            for options in ([], ["-ffile-prefix-map=%s=." % FOLDER], ["-ffile-prefix-map=%s=./src" % FOLDER]):
                for compiler, source in (("gcc", "plain.c"), ("clang", "./plain.c"), ("g++", "inlines.cc")):
                    with self.subTest(compiler=compiler, version=version, options=options):
                        self.compare(build("relative", compiler, "-g", "-O1", "-gdwarf-" + version, *options, source))

    @unittest.skipUnless(shutil.which("rustc"), "no rustc here")
    def test_rust_with_both_manglings(self):
        for mangling in ("legacy", "v0"):
            if mangling == "legacy":
                options = []
            else:
                options = ["-Csymbol-mangling-version=v0"]
            with self.subTest(mangling=mangling):
                path = build("rust", "rustc", "-g", "-O", *options, sample("crates.rs"))
                self.compare(path, least=500)
                sites = A.call_sites(path, COUNT, SEED)
                functions = {f for frames in A.ours(TOOLS, path, sites)[0].values() for f, _, _ in frames}
                self.assertTrue(any("count_words" in f for f in functions))
                self.assertEqual([f for f in functions if re.search(r"::h[0-9a-f]{16}$|^_R|^_ZN", f)], [])

    def test_the_c_library_with_its_debug_file(self):
        library = next(iter(glob.glob("/lib/*-linux-gnu/libc.so.6")), None)
        identity = build_id(library)
        if not os.path.exists("/usr/lib/debug/.build-id/%s/%s.debug" % (identity[:2], identity[2:])):
            self.skipTest("libc6-dbg is not installed")
        self.compare(library, least=COUNT)

    def test_the_helper_itself(self):
        self.compare(TOOLS.helper, least=100)


class SeparateDebugFiles(unittest.TestCase):
    """Wherever the debug information lies, the frames are those of the file that has it all."""

    @classmethod
    def setUpClass(cls):
        cls.original = build("whole", "g++", "-g", "-O2", "-Wl,--build-id=sha1", sample("inlines.cc"))
        cls.other = build("other", "g++", "-g", "-O0", "-Wl,--build-id=sha1", sample("inlines.cc"))

    def setUp(self):
        self.root = tempfile.mkdtemp(dir=FOLDER)
        os.chmod(self.root, 0o755)
        self.path = os.path.join(self.root, "bin", "sample")
        os.mkdir(os.path.dirname(self.path))
        shutil.copy(self.original, self.path)
        self.sites = A.call_sites(self.path, COUNT, SEED)
        self.whole = A.ours(TOOLS, self.path, self.sites)
        self.assertTrue(self.whole[1])
        self.identity = build_id(self.path)

    def resolve(self, **options):
        return A.ours(TOOLS, self.path, self.sites, debug_root=self.root + "/debug", **options)

    def put(self, path):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def by_build_id(self):
        return self.put("debug/.build-id/%s/%s.debug" % (self.identity[:2], self.identity[2:]))

    def link(self, debug):
        A.run(["objcopy", "--add-gnu-debuglink=" + debug, self.path])

    def test_by_build_id(self):
        strip_into(self.path, self.by_build_id())
        self.assertEqual(self.resolve(), self.whole)

    def test_by_debuglink_beside_the_file(self):
        debug = self.put("bin/sample.debug")
        strip_into(self.path, debug)
        self.link(debug)
        self.assertEqual(self.resolve(), self.whole)

    def test_by_debuglink_in_the_folder_debug(self):
        debug = self.put("bin/.debug/sample.debug")
        strip_into(self.path, debug)
        self.link(debug)
        self.assertEqual(self.resolve(), self.whole)

    def test_by_debuglink_and_path_below_the_root(self):
        debug = self.put("debug" + os.path.dirname(self.path) + "/sample.debug")
        strip_into(self.path, debug)
        self.link(debug)
        self.assertEqual(self.resolve(), self.whole)

    def test_by_debuglink_without_any_build_id(self):
        A.run(["objcopy", "--remove-section=.note.gnu.build-id", self.path])
        debug = self.put("bin/sample.debug")
        strip_into(self.path, debug)
        self.link(debug)
        self.assertEqual(self.resolve(), self.whole)

    def test_a_debuglink_with_another_checksum_is_not_followed(self):
        A.run(["objcopy", "--remove-section=.note.gnu.build-id", self.path])
        debug = self.put("bin/sample.debug")
        strip_into(self.path, debug)
        self.link(debug)
        with open(debug, "ab") as f:
            f.write(b"more")
        self.assertFalse(self.resolve()[1])

    def test_a_debug_file_of_another_build_is_not_used(self):
        other = shutil.copy(self.other, self.put("bin/other"))
        strip_into(other, self.by_build_id())
        A.run(["strip", self.path])
        frames, has_lines, problem = self.resolve()
        self.assertEqual((has_lines, problem), (False, "??"))

    def test_compressed_sections(self):
        A.run(["objcopy", "--compress-debug-sections=zlib", self.path])
        self.assertEqual(self.resolve(), self.whole)
        strip_into(self.path, self.by_build_id())
        self.assertEqual(self.resolve(), self.whole)

    @unittest.skipUnless(shutil.which("dwz"), "no dwz here")
    def test_supplementary_files_of_dwz(self):
        twin = self.put("bin/twin")
        shutil.copy(self.path, twin)
        A.run(["dwz", "-m", self.put("bin/common.debug"), "-r", self.path, twin])
        self.assertEqual(self.resolve(), self.whole)

    def test_split_units(self):
        self.path = build("split", "g++", "-g", "-O1", "-gsplit-dwarf", sample("inlines.cc"))
        self.sites = A.call_sites(self.path, COUNT, SEED)
        llvm, (frames, has_lines, _) = A.llvm(self.path, self.sites), self.resolve()
        self.assertTrue(has_lines)
        for site in self.sites:
            self.assertEqual(A.lines(frames[site]), A.lines(llvm[site]), hex(site))

    @unittest.skipUnless(shutil.which("xz"), "no xz here")
    def test_the_small_symbol_table_in_the_file(self):
        names = {s: f[-1][0] for s, f in self.whole[0].items() if f}
        debug = self.put("symbols")
        A.run(["objcopy", "--only-keep-debug", self.path, debug])
        A.run(["objcopy", "-g", debug])
        A.run(["xz", "-f", debug])
        A.run(["strip", self.path])
        self.assertFalse(any(f and "hidden" in f[-1][0] for f in self.resolve()[0].values()))
        A.run(["objcopy", "--add-section", ".gnu_debugdata=" + debug + ".xz", self.path])
        frames, has_lines, _ = self.resolve()
        self.assertFalse(has_lines)
        hidden = [s for s, name in names.items() if "hidden" in name]
        self.assertTrue(hidden)
        for site in hidden:
            self.assertEqual(frames[site][0], ("(anonymous namespace)::hidden(int)", "??", 0))

    def test_a_file_that_is_gone_has_its_lines_in_the_debug_file(self):
        strip_into(self.path, self.by_build_id())
        os.unlink(self.path)
        self.assertEqual(self.resolve(build_id=self.identity), self.whole)

    def test_a_file_that_was_replaced_is_not_used(self):
        shutil.copy(self.other, self.path)
        frames, has_lines, problem = self.resolve(build_id=self.identity)
        self.assertFalse(has_lines)
        self.assertIn("has another build id", problem)
        self.assertFalse(any(frames.values()))

    def test_a_file_that_is_not_there_is_a_problem(self):
        os.unlink(self.path)
        frames, has_lines, problem = self.resolve()
        self.assertEqual(problem, "cannot open %s: No such file or directory" % self.path)

    def from_server(self, urls, timeout_s=2):
        cache = self.put("cache/x")
        os.chmod(os.path.dirname(cache), 0o777)
        return self.resolve(environment=dict(os.environ, DEBUGINFOD_URLS=urls, DEBUGINFOD_TIMEOUT=str(timeout_s),
                                             DEBUGINFOD_CACHE_PATH=os.path.dirname(cache)))

    @unittest.skipUnless(glob.glob("/usr/lib/*-linux-gnu/libdebuginfod.so.1"), "no libdebuginfod here")
    def test_by_debuginfod(self):
        debug = self.put("served/debuginfo")
        strip_into(self.path, debug)
        with serve({"/buildid/%s/debuginfo" % self.identity: debug}) as url:
            self.assertEqual(self.from_server(url), self.whole)
        self.assertFalse(self.resolve()[1])  # only where a server is named

    def test_a_server_that_refuses_or_hangs_costs_the_lines_only(self):
        A.run(["strip", self.path])
        with socket.create_server(("127.0.0.1", 0)) as silent:
            for url in ("http://127.0.0.1:9/", "http://127.0.0.1:%d/" % silent.getsockname()[1]):
                frames, has_lines, problem = self.from_server(url, 1)
                self.assertEqual((has_lines, problem), (False, "??"))


class SymbolsOnly(unittest.TestCase):
    """Without debug information the function is that of the symbol table, and only where a symbol covers it."""

    def test_real_programs_and_libraries(self):
        paths = [p for pattern in ("/usr/bin/redis-server", "/usr/bin/git", "/usr/lib/*-linux-gnu/libstdc++.so.6",
                                   "/usr/lib/*-linux-gnu/libsqlite3.so.0")
                 for p in glob.glob(pattern)]
        for path in paths:
            with self.subTest(path=path):
                sites = A.call_sites(path, COUNT, SEED)
                frames, _, problem = A.ours(TOOLS, path, sites)
                self.assertEqual(problem, "??")
                llvm = A.llvm(path, sites)
                wrong = []
                for site in sites:
                    function = frames[site][0][0] if frames[site] else "??"
                    theirs = llvm[site][0][0]
                    if last_component(function) != last_component(theirs) and "operator" not in theirs \
                       and "transaction" not in function:
                        wrong.append((hex(site), function, theirs))
                # aliases of one address: which of them is shown is a matter of taste
                self.assertLessEqual(len(wrong), len(sites) // 50, wrong[:20])

    def test_an_address_behind_the_last_symbol_is_unknown(self):
        path = build("bare", "gcc", "-O1", sample("plain.c"))
        A.run(["strip", path])
        frames, has_lines, _ = A.ours(TOOLS, path, [s for s in A.call_sites(path, COUNT, SEED)])
        self.assertFalse(has_lines)
        self.assertFalse(any(frames.values()))


def main():
    global TOOLS, FOLDER
    TOOLS = A.Tools(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))
    random.seed(SEED)
    with tempfile.TemporaryDirectory() as FOLDER:
        os.chmod(FOLDER, 0o755)
        program = unittest.main(argv=[sys.argv[0], *sys.argv[3:]], exit=False)
    sys.exit(not program.result.wasSuccessful())


if __name__ == "__main__":
    main()
