#!/usr/bin/env python3
"""Renders tests/data/jinja/templates.txt over each conversation with Jinja2, for tests/jinja/test_jinja.c.
usage: tools/jinja-cases.py           writes tests/data/jinja/expected.json
       tools/jinja-cases.py --check   compares with it; exit status 77 where python3-jinja2 is missing"""
import json
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests/data/jinja"


def templates():
    text = (FOLDER / "templates.txt").read_text()
    for part in re.split(r"^=== ", text, flags=re.M)[1:]:
        name, body = part.split("\n", 1)
        yield name, body


def main():
    try:
        from jinja_oracle import render
    except ImportError:
        print("jinja-cases: python3-jinja2 is not installed; skipped")
        return 77
    conversations = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("conversations/*.json"))}
    expected = {
        name: {which: render(body, variables)[0] for which, variables in conversations.items()}
        for name, body in templates()
    }
    path = FOLDER / "expected.json"
    if "--check" not in sys.argv:
        path.write_text(json.dumps(expected, ensure_ascii=False, indent=0) + "\n")
        return 0
    kept = json.loads(path.read_text())
    wrong = [f"{a} {b}" for a in expected for b in expected[a] if kept.get(a, {}).get(b, "") != expected[a][b]]
    for name in wrong:
        print("jinja-cases: Jinja2 renders otherwise:", name)
    print(f"{sum(len(e) for e in expected.values())} renderings of {len(expected)} templates compared, {len(wrong)} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
