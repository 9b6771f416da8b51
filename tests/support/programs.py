# SPDX-License-Identifier: Apache-2.0
"""Real programs to trace, single-threaded and deterministic: for the comparison of counts and for the benchmark."""

import os
import subprocess

# HOME is a folder of the caller's
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "PERL_HASH_SEED": "0", "PYTHONHASHSEED": "0",
    "PYTHONMALLOC": "malloc", "GIT_CONFIG_NOSYSTEM": "1",
}


def write_sql(path):
    """Some 2 million allocations in the sqlite3 shell."""
    with open(path, "w") as f:
        f.write("create table t(a integer primary key, b text, c real);\nbegin;\n")
        for i in range(100000):
            f.write(f"insert into t values({i}, 'row number {i * 7919 % 100003}', {i / 7});\n")
        f.write("commit;\ncreate index i on t(b);\n")
        f.write("select b, count(*), avg(c) from t group by b order by b limit 10;\n")
        f.write("select count(*) from t x, t y where x.a = y.a + 1 and x.b like 'row number 1%';\n")


def make_repository(path, home):
    environment = dict(os.environ, HOME=str(home), GIT_CONFIG_NOSYSTEM="1", GIT_COMMITTER_DATE="1700000000 +0000",
                       GIT_AUTHOR_DATE="1700000000 +0000")
    git = ["git", "-C", str(path), "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "gc.auto=0"]
    path.mkdir()
    subprocess.run(git + ["init", "-q"], check=True, env=environment)
    for i in range(60):
        for name in "abc":
            with open(path / name, "a") as f:
                f.write("".join(f"{name} line {i} {j}\n" for j in range(20)))
        subprocess.run(git + ["add", "."], check=True, env=environment)
        subprocess.run(git + ["commit", "-q", "-m", f"commit {i}"], check=True, env=environment)


def programs(scratch, source):
    """name -> command. Deterministic with the variables of ENVIRONMENT; writes what they read into scratch."""
    write_sql(scratch / "in.sql")
    make_repository(scratch / "repository", scratch)
    (scratch / "x.cc").write_text("#include <regex>\n#include <map>\n#include <string>\n"
                                  "bool f(const std::string &s) { static std::map<std::string, int> m; m[s]++;"
                                  " return std::regex_match(s, std::regex(\"[a-z]+\")); }\n")
    (scratch / "a.pl").write_text("my %h; for my $i (1..60000) { $h{\"key$i\"} = [$i, \"value $i\"]; delete $h{'key' . ($i - 500)};"
                                  " } print scalar(keys %h), qq(\\n);\n")
    (scratch / "a.py").write_text("import json\nrows = [{'id': i, 'name': 'n%d' % i, 'tags': list(range(i % 10))} for i in range(20000)]\n"
                                  "text = json.dumps(rows)\nprint(len(json.loads(text)))\n")
    sources = [str(source / "daemon/config.c"), str(source / "daemon/base/log.c")]
    return {
        "sqlite3 shell": ["sqlite3", "-init", "/dev/null", ":memory:", f".read {scratch}/in.sql"],
        "clang++": ["clang++", "-O1", "-c", "-o", "/dev/null", str(scratch / "x.cc")],
        "git log": ["git", "-C", str(scratch / "repository"), "--no-pager", "log", "-p"],
        "perl": ["perl", str(scratch / "a.pl")],
        "cppcheck": ["cppcheck", "--quiet", "--enable=all", "-I", str(source), *sources],
        "python3, as a native program": ["/usr/bin/python3", "-s", "-S", str(scratch / "a.py")],
    }
