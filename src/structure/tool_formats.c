/* The forms of calls, and the marks by which templates show them: the more special form first. The marks are those of
 * the models' published chat templates. */
#include <string.h>

#include "structure/tool_bodies.h"

#define DEEPSEEK(word) "<\xef\xbd\x9c" word "\xef\xbd\x9c>" /* fullwidth bars */
#define TOOL "tool\xe2\x96\x81"

#define CALLS_BEGIN                                                                                                    \
    DEEPSEEK(TOOL "calls\xe2\x96\x81"                                                                                  \
                  "begin")
#define CALLS_END                                                                                                      \
    DEEPSEEK(TOOL "calls\xe2\x96\x81"                                                                                  \
                  "end")
#define CALL_BEGIN                                                                                                     \
    DEEPSEEK(TOOL "call\xe2\x96\x81"                                                                                   \
                  "begin")
#define CALL_END                                                                                                       \
    DEEPSEEK(TOOL "call\xe2\x96\x81"                                                                                   \
                  "end")
#define SEPARATOR DEEPSEEK(TOOL "sep")

const struct mx_tool_format mx_tool_formats[] = {
    /* Qwen3-Coder, Qwen3.5, Nemotron 3 */
    {"parameters", "<function=", "<tool_call>", .open = "<tool_call>", .close = "</tool_call>",
     .read = mx_tool_read_parameters, .marks = {"<tool_call>", "</tool_call>"}},
    /* GLM 4.5 and on */
    {"arg_key", "<arg_key>", "<tool_call>", .open = "<tool_call>", .close = "</tool_call>",
     .read = mx_tool_read_arg_keys,
     .marks = {"<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"}},
    /* Hermes, Qwen 2.5, Qwen3, Granite 4, SmolLM3, EXAONE 4 */
    {"hermes", "<tool_call>", .open = "<tool_call>", .close = "</tool_call>", .read = mx_tool_read_objects,
     .before = "<tool_call>\n{\"name\": \"", .between = "\", \"arguments\": ", .behind = "}\n</tool_call>",
     .marks = {"<tool_call>", "</tool_call>"}},
    /* Mistral since its tokenizer of version 11 */
    {"mistral-args", "[TOOL_CALLS]", "[ARGS]", .open = "[TOOL_CALLS]", .read = mx_tool_read_mistral,
     .before = "[TOOL_CALLS]", .between = "[ARGS]", .behind = "", .marks = {"[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"},
     .short_ids = true},
    {"mistral", "[TOOL_CALLS]", .open = "[TOOL_CALLS]", .read = mx_tool_read_mistral,
     .before = "[TOOL_CALLS][{\"name\": \"", .between = "\", \"arguments\": ", .behind = "}]",
     .marks = {"[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"}, .short_ids = true},
    /* DeepSeek V3, R1; V3.1 writes the name in front of the separator, and no fence */
    {"deepseek-fence", CALLS_BEGIN, "```json", .open = CALLS_BEGIN, .close = CALLS_END, .read = mx_tool_read_deepseek,
     .before = CALLS_BEGIN CALL_BEGIN "function" SEPARATOR, .between = "\n```json\n",
     .behind = "\n```" CALL_END CALLS_END, .marks = {CALLS_BEGIN, CALLS_END, CALL_BEGIN, CALL_END, SEPARATOR}},
    {"deepseek", CALLS_BEGIN, .open = CALLS_BEGIN, .close = CALLS_END, .read = mx_tool_read_deepseek,
     .before = CALLS_BEGIN CALL_BEGIN, .between = SEPARATOR, .behind = CALL_END CALLS_END,
     .marks = {CALLS_BEGIN, CALLS_END, CALL_BEGIN, CALL_END, SEPARATOR}},
    /* Granite 3, Phi-4 mini */
    {"tool_call-list", "<|tool_call|>", .open = "<|tool_call|>", .tail = "<|/tool_call|>", .read = mx_tool_read_objects,
     .before = "<|tool_call|>[{\"name\": \"", .between = "\", \"arguments\": ", .behind = "}]",
     .marks = {"<|tool_call|>", "<|/tool_call|>"}},
    /* Nemotron Nano */
    {"toolcall", "<TOOLCALL>", .open = "<TOOLCALL>", .tail = "</TOOLCALL>", .read = mx_tool_read_objects,
     .before = "<TOOLCALL>[{\"name\": \"", .between = "\", \"arguments\": ", .behind = "}]</TOOLCALL>",
     .marks = {"<TOOLCALL>", "</TOOLCALL>"}},
    /* gpt-oss (OpenAI's harmony): messages with a head each; the addressee may stand before the channel or behind it */
    {"harmony", "<|channel|>", "<|call|>", .open = " to=functions.", .tail = "<|call|>", .read = mx_tool_read_headed,
     .before = "<|channel|>commentary to=functions.", .between = " <|constrain|>json<|message|>", .behind = "",
     .marks = {"<|channel|>", "<|constrain|>", "<|message|>", "<|start|>", "<|end|>", "<|call|>", "<|return|>"},
     .quiet = {{"<|channel|>analysis<|message|>", "<|end|>"},
               {"<|channel|>commentary<|message|>"},
               {"<|channel|>commentary"},
               {"<|channel|>final<|message|>"},
               {"<|start|>assistant"},
               {"<|end|>"},
               {"<|return|>"},
               {"<|call|>"}}},
    /* Cohere's Command R7B and A */
    {"action", "<|START_ACTION|>", .open = "<|START_ACTION|>", .close = "<|END_ACTION|>", .read = mx_tool_read_objects,
     .before = "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"",
     .between = "\", \"parameters\": ", .behind = "}\n]<|END_ACTION|>",
     .marks = {"<|START_ACTION|>", "<|END_ACTION|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_THINKING|>",
               "<|END_THINKING|>"},
     .quiet = {{"<|START_THINKING|>", "<|END_THINKING|>"}, {"<|START_RESPONSE|>"}, {"<|END_RESPONSE|>"}}},
    /* Llama 3.1 to 3.3 */
    {"llama", "<|python_tag|>", .open = "", .prefix = "<|python_tag|>", .read = mx_tool_read_known_objects,
     .before = "{\"name\": \"", .between = "\", \"parameters\": ", .behind = "}", .marks = {"<|python_tag|>"}},
    {"llama", "\"parameters\": ", "Environment: ipython", .open = "", .prefix = "<|python_tag|>",
     .read = mx_tool_read_known_objects, .before = "{\"name\": \"", .between = "\", \"parameters\": ", .behind = "}",
     .marks = {"<|python_tag|>"}},
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
