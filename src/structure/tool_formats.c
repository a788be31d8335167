/* The forms of calls, and the marks by which templates show them: the more special form first. The marks are those of
 * the models' published chat templates. */
#include <string.h>

#include "structure/tool_bodies.h"

#define DEEPSEEK(word) "<\xef\xbd\x9c" word "\xef\xbd\x9c>" /* fullwidth bars */
#define TOOL "tool\xe2\x96\x81"

const struct mx_tool_format mx_tool_formats[] = {
    /* Qwen3-Coder, Qwen3.5, Nemotron 3 */
    {"parameters", "<function=", "<tool_call>", .open = "<tool_call>", .close = "</tool_call>",
     .read = mx_tool_read_parameters},
    /* GLM 4.5 and on */
    {"arg_key", "<arg_key>", "<tool_call>", .open = "<tool_call>", .close = "</tool_call>",
     .read = mx_tool_read_arg_keys},
    /* Hermes, Qwen 2.5, Qwen3, Granite 4, SmolLM3, EXAONE 4 */
    {"hermes", "<tool_call>", .open = "<tool_call>", .close = "</tool_call>", .read = mx_tool_read_objects,
     .before = "<tool_call>\n{\"name\": \"", .between = "\", \"arguments\": ", .behind = "}\n</tool_call>"},
    /* Mistral since its tokenizer of version 11 */
    {"mistral-args", "[TOOL_CALLS]", "[ARGS]", .open = "[TOOL_CALLS]", .read = mx_tool_read_mistral,
     .before = "[TOOL_CALLS]", .between = "[ARGS]", .behind = ""},
    {"mistral", "[TOOL_CALLS]", .open = "[TOOL_CALLS]", .read = mx_tool_read_mistral,
     .before = "[TOOL_CALLS][{\"name\": \"", .between = "\", \"arguments\": ", .behind = "}]"},
    {"deepseek",
     DEEPSEEK(TOOL "calls\xe2\x96\x81"
                   "begin"),
     .open = DEEPSEEK(TOOL "calls\xe2\x96\x81"
                           "begin"),
     .close = DEEPSEEK(TOOL "calls\xe2\x96\x81"
                            "end"),
     .read = mx_tool_read_deepseek},
    /* Granite 3, Phi-4 mini */
    {"tool_call-list", "<|tool_call|>", .open = "<|tool_call|>", .tail = "<|/tool_call|>", .read = mx_tool_read_objects,
     .before = "<|tool_call|>[{\"name\": \"", .between = "\", \"arguments\": ", .behind = "}]"},
    /* Nemotron Nano */
    {"toolcall", "<TOOLCALL>", .open = "<TOOLCALL>", .tail = "</TOOLCALL>", .read = mx_tool_read_objects,
     .before = "<TOOLCALL>[{\"name\": \"", .between = "\", \"arguments\": ", .behind = "}]</TOOLCALL>"},
    /* Llama 3.1 to 3.3 */
    {"llama", "<|python_tag|>", .open = "", .prefix = "<|python_tag|>", .read = mx_tool_read_known_objects,
     .before = "{\"name\": \"", .between = "\", \"parameters\": ", .behind = "}"},
    {"llama", "\"parameters\": ", "Environment: ipython", .open = "", .prefix = "<|python_tag|>",
     .read = mx_tool_read_known_objects, .before = "{\"name\": \"", .between = "\", \"parameters\": ", .behind = "}"},
};
const size_t mx_tool_format_count = sizeof mx_tool_formats / sizeof *mx_tool_formats;

const struct mx_tool_format *mx_tool_format_of(const char *template, size_t length)
{
    for (size_t i = 0; i < mx_tool_format_count; i++) {
        const struct mx_tool_format *format = &mx_tool_formats[i];
        if (!memmem(template, length, format->mark, strlen(format->mark))) continue;
        if (!format->also || memmem(template, length, format->also, strlen(format->also))) return format;
    }
    return NULL;
}
