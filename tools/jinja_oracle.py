"""Jinja2 set up as the transformers library sets it up for chat templates, and our interpreter beside it."""
import datetime
import json
import os
import subprocess
import time

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = 1767225600  # what strftime_now sees, in UTC wherever this runs
os.environ["TZ"] = "UTC"
time.tzset()


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_say"), [], [], body).set_lineno(line)

    def _say(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: datetime.datetime.fromtimestamp(NOW).strftime(form)
    return env


ENV = environment()


def render(template, variables):
    """(text, None) or (None, message)"""
    try:
        text = ENV.from_string(template).render(**variables)
        text.encode()
        return text, None
    except Exception as error:  # whatever a template does wrong
        return None, f"{type(error).__name__}: {error}"


class Ours:
    """Our interpreter as a process that answers lines."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def render(self, template, variables):
        texts = {name: json.dumps(value, ensure_ascii=False) for name, value in variables.items()}
        line = json.dumps({"template": template, "variables": texts}, ensure_ascii=False)
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("our interpreter ended at " + line)
        answer = json.loads(answer)
        return answer.get("text"), answer.get("error")
