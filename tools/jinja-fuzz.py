#!/usr/bin/env python3
"""Renders random templates with Jinja2 and with our interpreter, and prints where they differ.
usage: tools/jinja-fuzz.py [SECONDS [SEED]]      (needs python3-jinja2 and a build in build/release)"""
import random
import sys
import time

from jinja_oracle import Ours, render

PROGRAM = "build/release/tests/jinja/jinja_render_lines"
CONTEXT = {
    "messages": [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "Hello  wörld <b>\n2nd line\t'q' \"d\"", "n": 3},
        {"role": "assistant", "content": None, "tool_calls": [
            {"function": {"name": "f", "arguments": {"x": 1, "y": 2.5, "z": [True, None, "é\u0001"]}}}]},
        {"role": "tool", "content": [{"type": "text", "text": "ein"}, {"type": "image"}]},
        {"role": "user", "content": "ÄÖÜ straße ΑΣ"},
    ],
    "tools": [{"type": "function", "function": {"name": "get", "description": "d", "parameters": {
        "type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer", "minimum": 0.0}}}}}],
    "s": "abc,def,,ghi abc", "t": "  x y\tz \n", "u": "naïve ß 日本語 😀", "i": 7, "j": -3, "k": 0, "f": 2.5, "g": -0.125,
    "big": 1e22, "small": 1.5e-7, "yes": True, "no": False, "nil": None, "empty": "", "l": [3, 1, 2], "m": [],
    "d": {"b": 2, "a": 1, "C": "x"}, "e": {}, "nest": [[1, 2], [3, [4, 5]], []], "strs": ["b", "A", "c", "a"],
    "objs": [{"n": 2, "t": "x"}, {"n": 1, "t": "y"}, {"t": "x", "n": 3}], "enable_thinking": False,
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True, "num": "42", "fnum": " 3.25 ",
}
NAMES = list(CONTEXT) + ["missing", "x", "y", "ns", "loop"]
TEXTS = ["''", "'a'", "'b'", "','", "' '", "'abc'", "'\\n'", "'é'", "'x'", "'n'", "'role'", "'content'", "'a,b'", "'%s'",
         "'%d|%5.1f'", "'{} {}'", "'{0:>5}'", "'ß'", "'def'", "'user'", "'Ab cD'", "'12'", "'-1'", "'0x1f'", "'1_0'"]
ATTRS = ["role", "content", "n", "t", "a", "b", "function", "name", "tool_calls", "items", "keys", "text", "type", "x"]
FILTERS = ["upper", "lower", "trim", "title", "capitalize", "length", "count", "first", "last", "list", "sort", "unique",
           "string", "int", "float", "abs", "round", "sum", "min", "max", "reverse", "tojson", "items", "join",
           "wordcount", "safe", "escape", "e", "dictsort", "default", "d", "urlencode", "striptags", "indent", "center",
           "xmlattr", "filesizeformat", "truncate", "forceescape"]
FILTERS_WITH = ["join({T})", "default({E})", "default({E}, true)", "replace({T}, {T})", "replace({T}, {T}, {I})",
                "map('upper')", "map(attribute={T})", "map(attribute={T}, default={E})", "select", "select('string')",
                "reject('none')", "select('gt', {I})", "selectattr({T})", "selectattr({T}, 'defined')",
                "selectattr({T}, 'equalto', {E})", "rejectattr({T}, 'in', {E})", "batch({I})", "batch({I}, {T})",
                "slice({I})", "round({I})", "round({I}, 'floor')", "round(1, 'ceil')", "int({I})", "int(default={E})",
                "float({I})", "sort(reverse=true)", "sort(attribute={T})", "sort(case_sensitive=true)",
                "tojson(indent={I})", "tojson(sort_keys=true)", "tojson(ensure_ascii=true)",
                "tojson(separators=(',', ':'))", "indent({I})", "indent(2, true)", "indent(2, blank=true)", "trim({T})",
                "truncate({I})", "truncate({I}, true, {T})", "truncate(5, leeway=0)", "center({I})", "groupby({T})",
                "groupby({T}, default={E})", "dictsort(by='value')", "dictsort(true)", "dictsort(reverse=true)",
                "unique(attribute={T})", "sum(attribute={T})", "sum(start={I})", "min(attribute={T})",
                "max(attribute={T})", "attr({T})", "format({E}, {E})", "format({E})", "join({T}, attribute={T})",
                "urlencode", "list|length", "list|tojson", "list", "string|length", "map('length')|list",
                "map('int')|sum", "xmlattr(false)", "sort(attribute='n,t')"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "sequence",
         "iterable", "true", "false", "odd", "even", "lower", "upper", "callable", "escaped", "filter", "test",
         "divisibleby({I})", "divisibleby 2", "eq({E})", "equalto {A}", "ne {A}", "lt({E})", "gt {A}", "ge({E})", "le({E})",
         "in({E})", "in {A}", "sameas none", "sameas true", "== 1"]
METHODS = ["upper()", "lower()", "strip()", "strip({T})", "lstrip({T})", "rstrip()", "rstrip({T})", "split()",
           "split({T})", "split({T}, {I})", "rsplit({T}, {I})", "rsplit(none, {I})", "split(none, {I})", "splitlines()",
           "splitlines(true)", "startswith({T})", "endswith({T})", "startswith(({T}, {T}))", "replace({T}, {T})",
           "replace({T}, {T}, {I})", "title()", "capitalize()", "swapcase()", "casefold()", "join({E})", "find({T})",
           "rfind({T})", "find({T}, {I})", "find({T}, {I}, {I})", "index({T})", "count({T})", "count({T}, {I})",
           "format({E}, {E})", "format({E})", "format(a={E})", "isdigit()", "isalpha()", "isalnum()", "isspace()", "isupper()",
           "islower()", "istitle()", "isnumeric()", "isdecimal()", "isidentifier()", "zfill({I})", "ljust({I})",
           "rjust({I}, {T})", "center({I}, '*')", "removeprefix({T})", "removesuffix({T})", "partition({T})",
           "rpartition({T})", "get({T})", "get({T}, {E})", "items()", "keys()", "values()", "items()|list", "keys()|list",
           "copy()", "append({E})", "index({E})", "count({E})", "expandtabs({I})", "isascii()", "is_integer()",
           "isprintable()", "__class__"]
STRING_NAMES = ["s", "t", "u", "empty", "num", "fnum", "bos_token", "messages[1].content", "messages[4].content"]
LIST_NAMES = ["l", "m", "nest", "strs", "objs", "messages", "tools", "messages[3].content"]
FORMATS = ["'{}'", "'{:5}'", "'{:<8}|'", "'{:^9}|'", "'{:*>6}'", "'{:+d}'", "'{:05d}'", "'{:,}'", "'{:.2f}'", "'{:.3}'",
           "'{:10.3f}'", "'{:e}'", "'{:g}'", "'{:x}'", "'{:#x}'", "'{:o}'", "'{:b}'", "'{:%}'", "'{!r}'", "'{0} {0}'",
           "'{:_}'", "'{:08,.1f}'", "'{{}} {}'", "'{a}'", "'{:>{}}'", "'{:s}'", "'{:n}'", "'{:=+7}'"]
PERCENTS = ["'%s'", "'%5s|'", "'%-5s|'", "'%d'", "'%05d'", "'%+d'", "'%.2f'", "'%8.3f'", "'%e'", "'%g'", "'%x'", "'%#x'",
            "'%o'", "'%r'", "'%c'", "'%%'", "'%s %s'", "'%(a)s'", "'%5.1f%%'", "'%.3s'", "'% d'", "'%i'", "'%X'", "'%#o'"]


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def pick(self, items):
        return self.r.choice(items)

    def fill(self, text, depth):
        while "{T}" in text:
            text = text.replace("{T}", self.pick(TEXTS), 1)
        while "{I}" in text:
            text = text.replace("{I}", self.pick(["0", "1", "2", "3", "5", "-1", "-2", "12"]), 1)
        while "{A}" in text:
            text = text.replace("{A}", self.pick(["i", "'a'", "3", "l", "none_", "d"]), 1)
        while "{E}" in text:
            text = text.replace("{E}", self.expression(depth - 1), 1)
        return text

    def atom(self):
        kind = self.r.random()
        if kind < 0.5:
            return self.pick(NAMES)
        if kind < 0.65:
            return self.pick(TEXTS)
        if kind < 0.85:
            return self.pick(["0", "1", "2", "3", "10", "1.5", "0.1", "2.0", "1e3", "1_000", "100", "0x10", "7.25", "1e16"])
        return self.pick(["true", "false", "none", "[]", "{}", "()", "(1, 2)", "(1,)", "[1, 'a', none]", "{'a': 1, 'b': [2]}",
                          "range(3)", "range(1, 10, 3)", "[1, 2.0, true]", "{1: 2, 'x': none}", "dict(a=1)",
                          "namespace(a=1)", "{'b': 1, 'a': {'z': 1, 'y': 2}}"])

    def expression(self, depth):
        if depth <= 0:
            return self.atom()
        kind = self.r.random()
        sub = lambda: self.expression(depth - 1)
        if kind < 0.12:
            return self.atom()
        if kind < 0.22:
            return f"{self.wrap(sub())}.{self.pick(ATTRS)}"
        if kind < 0.30:
            return f"{self.wrap(sub())}[{self.pick(['0', '1', '-1', '2', sub()] + TEXTS[:11])}]"
        if kind < 0.36:
            parts = [self.pick(["", "", "1", "-1", "2", "-2", "0"]) for _ in range(3)]
            return f"{self.pick(STRING_NAMES + LIST_NAMES)}[{parts[0]}:{parts[1]}:{parts[2]}]"
        if kind < 0.52:
            return f"{self.wrap(sub())}|{self.fill(self.pick(FILTERS + FILTERS_WITH), depth)}"
        if kind < 0.60:
            negated = self.pick(["is", "is", "is not"])
            return f"({self.wrap(sub())} {negated} {self.fill(self.pick(TESTS), depth)})"
        if kind < 0.72:
            of = self.pick(STRING_NAMES + STRING_NAMES + [self.wrap(sub()), "d", "l"])
            return f"{of}.{self.fill(self.pick(METHODS), depth)}"
        if kind < 0.82:
            return f"{self.wrap(sub())} {self.pick(['+', '-', '*', '/', '//', '%', '**', '~', '+', '~'])} {self.wrap(sub())}"
        if kind < 0.88:
            signs = ["==", "!=", "<", ">", "<=", ">=", "in", "not in"]
            text = f"{self.wrap(sub())} {self.pick(signs)} {self.wrap(sub())}"
            return text + (f" {self.pick(signs)} {self.wrap(sub())}" if self.r.random() < 0.2 else "")
        if kind < 0.92:
            return f"({sub()} {self.pick(['and', 'or'])} {sub()})"
        if kind < 0.94:
            return f"(not {sub()})"
        if kind < 0.96:
            return f"{self.pick(['-', '+'])}{self.wrap(sub())}"
        if kind < 0.975:
            return f"{self.pick(FORMATS)}.format({sub()}, {self.atom()})"
        if kind < 0.985:
            return f"{self.pick(PERCENTS)} % {self.pick([self.wrap(sub()), '(' + sub() + ', ' + sub() + ')', self.atom()])}"
        return f"({sub()} if {sub()}" + (f" else {sub()})" if self.r.random() < 0.7 else ")")

    def wrap(self, text):
        return text if text.replace("_", "a").isalnum() else f"({text})"

    def space(self):
        return self.pick(["", "", "", " ", "\n", "\n  ", "  \n", " x ", "ä\n\n"])

    def tag(self, inner):
        return self.space() + "{%" + self.pick(["", "", "-", "+"]) + f" {inner} " + self.pick(["", "", "-", "+"]) + "%}" + self.space()

    def body(self, depth):
        return "".join(self.statement(depth - 1) for _ in range(self.r.randint(1, 3)))

    def statement(self, depth):
        kind = self.r.random()
        if depth <= 0 or kind < 0.35:
            return (self.space() + "{{" + self.pick(["", "", "-", "+"]) + f" {self.expression(self.r.randint(0, 3))} "
                    + self.pick(["", "", "-"]) + "}}" + self.space())
        e = lambda: self.expression(self.r.randint(0, 2))
        if kind < 0.47:
            text = self.tag("if " + e()) + self.body(depth)
            if self.r.random() < 0.3:
                text += self.tag("elif " + e()) + self.body(depth)
            if self.r.random() < 0.5:
                text += self.tag("else") + self.body(depth)
            return text + self.tag("endif")
        if kind < 0.65:
            over = self.pick(LIST_NAMES + STRING_NAMES + ["d.items()", "d|items", "d", "range(4)", e()])
            names = "x, y" if "items" in over or self.r.random() < 0.1 else self.pick(["x", "y", "m"])
            condition = f" if {e()}" if self.r.random() < 0.3 else ""
            inner = self.body(depth)
            if self.r.random() < 0.5:
                inner += "{{ loop." + self.pick(["index", "index0", "first", "last", "length", "revindex", "revindex0",
                                                 "previtem", "nextitem", "depth", "cycle('a', 'b')", "changed(x)"]) + " }}"
            if self.r.random() < 0.15:
                inner += self.tag("if " + e()) + self.tag(self.pick(["break", "continue"])) + self.tag("endif")
            otherwise = self.tag("else") + self.body(depth) if self.r.random() < 0.3 else ""
            return self.tag(f"for {names} in {over}{condition}") + inner + otherwise + self.tag("endfor")
        if kind < 0.78:
            return self.tag(self.pick(["set x = ", "set y = ", "set s = ", "set x, y = 1, ", "set ns = namespace(a=",
                                       "set d = "]).replace("namespace(a=", "namespace(a=1) if yes else ") + e())
        if kind < 0.81:
            return self.tag("set ns = namespace(a=1, b='')") + self.tag("set ns.a = " + e()) + "{{ ns.a }}"
        if kind < 0.84:
            return self.tag("set x" + self.pick(["", " | upper", " | trim | length"])) + self.body(depth) + self.tag("endset") + "{{ x }}"
        if kind < 0.90:
            arguments = self.pick(["", "x", "x, y=2", "x, y=x", "a=1, b='z'"])
            call = self.pick(["f()", "f(1)", "f(1, 2)", "f(y=3, x=1)", "f('q', y='r')", "f(*l)", "f(**d)", "f(a=5)", "f(1, 2, 3)", "f(z=1)"])
            special = self.pick(["", "", "{{ varargs }}{{ kwargs }}", "{{ caller() if caller }}"])
            return (self.tag(f"macro f({arguments})") + self.body(depth) + special + self.tag("endmacro") + "{{ " + call + " }}"
                    + (self.tag("call " + call) + self.body(depth) + self.tag("endcall") if self.r.random() < 0.3 else ""))
        if kind < 0.93:
            return self.tag("filter " + self.pick(["upper", "trim", "indent(2)", "replace('a', 'b')"])) + self.body(depth) + self.tag("endfilter")
        if kind < 0.95:
            return self.tag(f"with x = {e()}, y = {e()}") + self.body(depth) + self.tag("endwith")
        if kind < 0.97:
            return self.tag("generation") + self.body(depth) + self.tag("endgeneration")
        if kind < 0.98:
            return self.space() + "{#" + self.pick(["", "-", "+"]) + " c {{ " + self.pick(["", "-", "+"]) + "#}" + self.space()
        return self.tag("raw") + "{{ x }} {% if %}" + self.space() + self.tag("endraw")


# What we refuse by name where Python goes on.
REFUSED = ["beyond 64 bits", "prints as an address", "would print as an address", "is not supported", "not for chat",
           "complex number", "HTML's entities", "markup", "of markup", "more than 10000", "%a of"]


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    ours = Ours(PROGRAM)
    begin, count, equal, wrong, refused = time.time(), 0, 0, 0, 0
    while time.time() - begin < seconds and wrong < 25:
        maker = Maker(seed)
        template = "{{ " + maker.expression(3) + " }}" if seed % 3 == 0 else maker.body(3)
        text, error = render(template, CONTEXT)
        mine, message = ours.render(template, CONTEXT)
        count += 1
        equal += text is not None and text == mine
        if mine is None and any(word in message for word in REFUSED):
            refused += 1
        elif text and (" at 0x" in text or "\0" in text):
            refused += 1
        elif text != mine:
            wrong += 1
            print(f"--- seed {seed}\n{template!r}\n  theirs: {text!r} {error or ''}\n  ours:   {mine!r} {message or ''}")
        seed += 1
    print(f"jinja-fuzz: {count} templates, {equal} rendered alike, {refused} refused by name, {wrong} differ")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
