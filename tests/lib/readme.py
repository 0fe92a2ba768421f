#!/usr/bin/python3
"""Holds README.md against the tree: its table of settings is what the annotated sample says, files that it names are
there, and so are the protocol's names in its example. Prints README.md:LINE: what; exit 1 if anything.

    tests/lib/readme.py           checks
    tests/lib/readme.py --write   writes the table of settings anew, between its two marks
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
BEGIN, END = "<!-- settings: made by tests/lib/readme.py --write -->", "<!-- end of settings -->"
NAMED = re.compile(r"`((?:dataplane|controlplane|proto|include|tests|perf|\.ci)/[\w./-]*\w)`")


def read_sample(text):
    """[(key, takes, default, sentence)] in the file's order; "section.list[].key" for keys of a list's items."""
    rows, section, parent, comment = [], "", "", []
    for line in text.splitlines():
        if match := re.match(r"([a-z]+):$", line):
            section, comment = match[1], []
        elif (match := re.match(r"  # (?!----)(.*)", line)):
            comment.append(match[1])
        elif (match := re.match(r"  (#:  (?:- |  ))?([a-z0-9_]+):", line)) and comment:
            takes, *rest = comment.pop().split("; ")
            default = rest[0].removeprefix("default: ")
            key = f"{section}.{parent}[].{match[2]}" if match[1] else f"{section}.{match[2]}"
            if not match[1]:
                parent = match[2]
            rows.append((key, takes, default, shorten(" ".join(comment).removeprefix("... "))))
            comment = []
        elif not line.strip():
            comment = []
    return rows


def shorten(comment):
    """Whole sentences, as few as say something."""
    end = comment.find(". ", 60) if len(comment) > 200 else -1
    return (comment if end < 0 else comment[:end]).rstrip(".")


def table(rows):
    lines = ["| setting | takes | default | what it is |", "|---|---|---|---|"]
    return lines + [f"| `{key}` | {takes} | {default} | {sentence} |" for key, takes, default, sentence in rows]


def problems(readme, rows):
    """[(line number, what)]"""
    found = []
    protocol = "".join(path.read_text() for path in (ROOT / "proto/bounceline/v1").glob("*.proto"))
    if BEGIN not in readme or END not in readme:
        return [(1, "the marks of the table of settings are gone")]
    begin, end = readme.index(BEGIN), readme.index(END)
    if readme[begin + 1:end] != table(rows):
        found.append((begin + 1, "the settings differ from dataplane/bounceline.yaml: tests/lib/readme.py --write"))
    for number, line in enumerate(readme, 1):
        for name in NAMED.findall(line):
            if not (ROOT / name).exists():
                found.append((number, f"names {name}: there is no such file"))
        for name in re.findall(r"\bpb\.([A-Z]+_[A-Z_]+)", line):
            if f" {name} = " not in protocol:
                found.append((number, f"names {name}: not in the protocol"))
    return found


def main(arguments):
    rows = read_sample((ROOT / "dataplane/bounceline.yaml").read_text())
    readme = README.read_text().splitlines()
    if arguments == ["--write"]:
        readme[readme.index(BEGIN) + 1:readme.index(END)] = table(rows)
        README.write_text("\n".join(readme) + "\n")
        return 0
    found = problems(readme, rows)
    for number, what in found:
        print(f"README.md:{number}: {what}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
