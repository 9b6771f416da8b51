# SPDX-License-Identifier: Apache-2.0
"""Python's snapshots, filters and statistics on tmctl's command line, and tmctl's answers as Python's numbers."""
import json
import os


def text_argument(text):
    """As bytes of a command line: escaped bytes as they are, other surrogates in three bytes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def filter_arguments(filters):
    """@filters: ("domain", inclusive, domain) or ("file", inclusive, pattern, lineno, all_frames, domain)"""
    arguments = []
    for f in filters:
        if f[0] == "domain":
            arguments += ["--domain" if f[1] else "--exclude-domain", str(f[2])]
            continue
        _, inclusive, pattern, lineno, all_frames, domain = f
        suffix = ("" if lineno is None else str(lineno)) + (",all-frames" if all_frames else "")
        suffix += "" if domain is None else f",domain={domain}"
        arguments += ["--include" if inclusive else "--exclude", text_argument(pattern) + b":" + suffix.encode()]
    return arguments


def plain_filter(f):
    """A tracemalloc.Filter or DomainFilter as filter_arguments() takes it."""
    if hasattr(f, "filename_pattern"):
        return ("file", f.inclusive, f.filename_pattern, f.lineno, f.all_frames, f.domain)
    return ("domain", f.inclusive, f.domain)


def frames_of(traceback):
    return tuple((f["filename"], f["lineno"]) for f in traceback)


def statistics_of(text, diff):
    """[(size, count, frames oldest first)], or (size, size_diff, count, count_diff, frames)"""
    names = ("size", "size_diff", "count", "count_diff") if diff else ("size", "count")
    return [tuple(s[name] for name in names) + (frames_of(s["traceback"]),) for s in json.loads(text)["statistics"]]


def run(daemon, *arguments):
    """tmctl's stdout as text; its failure is the caller's."""
    arguments = [a if isinstance(a, bytes) else os.fsencode(str(a)) for a in arguments]
    done = daemon.tmctl_bytes(*arguments)
    if done.returncode != 0:
        raise RuntimeError(f"tmctl {arguments}: {done.returncode}: {done.stderr}")
    return done.stdout
