# SPDX-License-Identifier: Apache-2.0
"""Real programs on generated input: what tests and benchmarks trace. All of it is made here, the same at every run."""
import os
import subprocess


class Workload:
    """A command, its standard input and its folder; deterministic: it allocates the same wherever memory lies."""

    def __init__(self, name, command, stdin=None, cwd=None, deterministic=True):
        self.name, self.command, self.stdin, self.cwd = name, command, stdin, cwd
        self.deterministic = deterministic

    def popen_options(self):
        return {"stdin": open(self.stdin, "rb") if self.stdin else subprocess.DEVNULL, "cwd": self.cwd}


def _write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def sqlite3(folder, rows=60000):
    """The sqlite3 shell on generated SQL; 60,000 rows make about 2 million allocations."""
    lines = ["create table t(a integer primary key, b text, c real);", "begin;"]
    lines += [f"insert into t values({i}, 'row {i * 7919 % 1000} of many', {i * 0.5});" for i in range(rows)]
    lines += ["commit;", "create index i on t(b);",
              "select b, sum(c), count(*) from t group by b order by 2 desc limit 5;",
              "select count(*) from t x join t y on x.b = y.b where x.a < 300;"]
    return Workload("sqlite3", ["sqlite3", ":memory:"], stdin=_write(folder, "input.sql", "\n".join(lines) + "\n"))


def clang(folder):
    """clang++ on a file that includes <regex> and <map>."""
    source = _write(folder, "input.cc", """#include <map>
#include <regex>
#include <string>
std::map<std::string, int> count(const std::string &text) {
  std::map<std::string, int> words;
  std::regex word("[a-z]+");
  for (std::sregex_iterator i(text.begin(), text.end(), word), end; i != end; ++i) words[i->str()]++;
  return words;
}
""")
    return Workload("clang++", ["clang++", "-O1", "-c", source, "-o", os.path.join(folder, "input.o")],
                    deterministic=False)


def perl(folder, n=400000):
    """perl filling and emptying hashes and arrays."""
    return Workload("perl", ["perl", "-e",
                             "my (%h, @a); for my $i (1.." + str(n) + ") { $h{'key' . $i % 5000} = [$i, 'v' x ($i % 50)];"
                             " push @a, {i => $i}; shift @a if @a > 1000 } print scalar(keys %h), \"\\n\""])


def cppcheck(folder, functions=300):
    """cppcheck on a generated C file."""
    lines = ["#include <stdlib.h>"]
    for i in range(functions):
        lines.append(f"int f{i}(int a, int *b) {{ int x = a + {i}; for (int k = 0; k < x; k++) {{ if (b[k] == {i}) return"
                     f" k; x += b[k] * {i % 7}; }} char *p = malloc(x); if (!p) return -1; free(p); return x; }}")
    source = _write(folder, "check.c", "\n".join(lines) + "\n")
    return Workload("cppcheck", ["cppcheck", "--quiet", source])


def git(folder, commits=1500):
    """git log -p on a repository with generated history."""
    repository = os.path.join(folder, "repository")
    os.makedirs(repository)
    stream = []
    for c in range(commits):
        text = "".join(f"line {i} of version {c if i % 10 == c % 10 else 0}\n" for i in range(300))
        message = f"commit number {c}"
        stream.append(f"commit refs/heads/main\ncommitter A U Thor <a@example.org> {1700000000 + c} +0000\n"
                      f"data {len(message)}\n{message}\nM 100644 inline file.txt\ndata {len(text)}\n{text}\n")
    environment = dict(os.environ, GIT_CONFIG_NOSYSTEM="1", HOME=folder)
    subprocess.run(["git", "init", "-q", "-b", "main", repository], check=True, env=environment)
    subprocess.run(["git", "fast-import", "--quiet"], cwd=repository, input="".join(stream).encode(), check=True,
                   env=environment)
    return Workload("git", ["git", "--no-pager", "log", "-p"], cwd=repository)


def python3(folder, n=60000):
    """Debian's python3 as a native program."""
    source = _write(folder, "program.py", f"""import json
rows = [dict(id=i, name='n%d' % i, tags=[str(i % 7)] * 3) for i in range({n})]
text = json.dumps(rows)
print(len(json.loads(text)), len(text))
""")
    return Workload("python3", ["/usr/bin/python3", "-S", source])


ALL = [sqlite3, clang, perl, cppcheck, git, python3]
