/* HTML's escapes. Templates for chats have no use for them, but where one asks for markup, adding to it escapes. */
#include "jinja/eval.h"

struct value mxj_escape(struct run *run, const struct value *value)
{
    if (value->kind == STRING && value->detail) return *value;
    const struct value text = mxj_to_str(run, value);
    struct build out = {0};
    for (size_t i = 0; i < text.length; i++) {
        switch (text.text[i]) {
        case '&': mxj_adds(run, &out, "&amp;"); break;
        case '<': mxj_adds(run, &out, "&lt;"); break;
        case '>': mxj_adds(run, &out, "&gt;"); break;
        case '\'': mxj_adds(run, &out, "&#39;"); break;
        case '"': mxj_adds(run, &out, "&#34;"); break;
        default: mxj_addc(run, &out, text.text[i]); break;
        }
    }
    struct value markup = mxj_finish(run, &out);
    markup.detail = 1;
    return markup;
}
