/* Output helpers of output.h. */
#include "cli/output.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "cli/hints.h"

const char *mx_style(bool colour, enum mx_style style)
{
    static const char *const codes[] = {
        [MX_STYLE_PLAIN] = "\033[0m", [MX_STYLE_BOLD] = "\033[1m",   [MX_STYLE_DIM] = "\033[2m",
        [MX_STYLE_RED] = "\033[31m",  [MX_STYLE_GREEN] = "\033[32m", [MX_STYLE_YELLOW] = "\033[33m",
    };
    return colour ? codes[style] : "";
}

void mx_print_error(const struct mx_cli *cli, const struct mx_error *err)
{
    char flags[160];
    fprintf(stderr, "%smlxcel:%s %s%s\n", mx_style(cli->colour_err, MX_STYLE_RED),
            mx_style(cli->colour_err, MX_STYLE_PLAIN), err->message,
            mx_flag_hints(cli->command, err->message, flags, sizeof flags));
}

void mx_print_note(const struct mx_cli *cli, const char *format, ...)
{
    mx_progress_bar_end();
    fprintf(stderr, "%smlxcel: note:%s ", mx_style(cli->colour_err, MX_STYLE_YELLOW),
            mx_style(cli->colour_err, MX_STYLE_PLAIN));
    va_list arguments;
    va_start(arguments, format);
    char text[1024];
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    mx_clean(text);
    fprintf(stderr, "%s\n", text);
}

/* JSON keeps what a terminal may not see, escaped; broken UTF-8 becomes U+FFFD. */
void mx_print_json_string(const char *text)
{
    static const char escapes[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    putchar('"');
    for (const char *at = text, *const end = text + strlen(text); at < end;) {
        size_t used;
        const char *next = at;
        const uint32_t c = mx_utf8_look(at, (size_t)(end - at), &used) == MX_UTF8_CHAR ? mx_utf8_next(&next) : 0xfffd;
        const char *escape = c < 0x80 ? strchr(escapes, (int)c) : NULL;
        if (escape)
            printf("\\%c", letters[escape - escapes]);
        else if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xfffd || (c >= 0x2028 && c <= 0x202e) ||
                 (c >= 0x2066 && c <= 0x2069))
            printf("\\u%04x", c);
        else
            printf("%.*s", (int)used, at);
        at += used;
    }
    putchar('"');
}

/* Whole numbers to 2^53 in full; others in the fewest digits that read back to the same double. */
void mx_print_json_number(double value)
{
    if (!isfinite(value)) {
        fputs("null", stdout);
        return;
    }
    if (value == floor(value) && fabs(value) <= 0x1p53) {
        printf("%.0f", value);
        return;
    }
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    fputs(text, stdout);
}

static bool is_plain_list(const cJSON *value)
{
    if (!cJSON_IsArray(value)) return false;
    const cJSON *item;
    cJSON_ArrayForEach (item, value)
        if (cJSON_IsArray(item) || cJSON_IsObject(item)) return false;
    return true;
}

static void print_value(const cJSON *value, int indent)
{
    if (cJSON_IsString(value)) {
        mx_print_json_string(value->valuestring);
        return;
    }
    if (cJSON_IsNumber(value)) {
        mx_print_json_number(value->valuedouble);
        return;
    }
    if (!cJSON_IsArray(value) && !cJSON_IsObject(value)) {
        fputs(cJSON_IsTrue(value) ? "true" : cJSON_IsFalse(value) ? "false" : "null", stdout);
        return;
    }
    const bool object = cJSON_IsObject(value), one_line = is_plain_list(value) || !value->child;
    putchar(object ? '{' : '[');
    const cJSON *item;
    cJSON_ArrayForEach (item, value) {
        if (item != value->child) putchar(',');
        if (!one_line)
            printf("\n%*s", indent + 2, "");
        else if (item != value->child)
            putchar(' ');
        if (object) {
            mx_print_json_string(item->string);
            fputs(": ", stdout);
        }
        print_value(item, indent + 2);
    }
    if (!one_line) printf("\n%*s", indent, "");
    putchar(object ? '}' : ']');
}

static atomic_bool lost;

void mx_output_lost(void)
{
    atomic_store(&lost, true);
}

bool mx_output_was_lost(void)
{
    return atomic_load(&lost);
}

/* cJSON's functions that build leave out the member for which there was no memory, and few callers could tell. */
static void *json_malloc(size_t size)
{
    void *memory = malloc(size);
    if (!memory) mx_output_lost();
    return memory;
}

void mx_output_begin(void)
{
    static char buffer[256 * 1024];
    if (!isatty(STDOUT_FILENO)) setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = json_malloc, .free_fn = free});
}

static int flush_error; /* the errno of the first flush that failed, which the stream does not keep */

bool mx_output_flush(void)
{
    if (fflush(stdout) != 0 && !flush_error) flush_error = errno;
    return !ferror(stdout);
}

bool mx_output_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value) return strcasestr(value, "UTF-8") || strcasestr(value, "UTF8");
    }
    return false;
}

mx_status mx_output_end(mx_status status, struct mx_error *err)
{
    if (status == MX_OK && mx_output_was_lost()) status = mx_fail_memory(err, "the output", 0);
    if (status == MX_ERR_MEMORY) __fpurge(stdout); /* it would be a part */
    const bool failed = ferror(stdout);
    errno = 0;
    if ((fclose(stdout) == 0 && !failed) || status != MX_OK) return status;
    if (errno == EINTR) return mx_fail(err, MX_ERR_INTERRUPTED, "interrupted");
    const int reason = errno ? errno : flush_error;
    return mx_fail(err, MX_ERR_IO, "writing the output%s%s", reason ? ": " : " failed", reason ? strerror(reason) : "");
}

mx_status mx_print_json(cJSON *value, struct mx_error *err)
{
    if (mx_output_was_lost()) {
        cJSON_Delete(value);
        value = NULL;
    }
    if (!value) return mx_fail_memory(err, "the JSON output", 0);
    print_value(value, 0);
    putchar('\n');
    cJSON_Delete(value);
    return MX_OK;
}

void mx_json_add_measured(cJSON *object, const char *key, double value)
{
    if (value > 0)
        cJSON_AddNumberToObject(object, key, value);
    else
        cJSON_AddNullToObject(object, key);
}

bool mx_is_standard_output(const char *path)
{
    struct stat there, here;
    return stat(path, &there) == 0 && fstat(STDOUT_FILENO, &here) == 0 && there.st_dev == here.st_dev &&
           there.st_ino == here.st_ino;
}

/* The bar. There is one terminal, so there is one bar. */
static struct {
    bool drawn;
    double last; /* when it was drawn */
} bar;

static void draw_bar(void *context, const char *what, double done)
{
    enum { WIDTH = 40 };
    if (done >= 1) {
        mx_progress_bar_end();
        return;
    }
    const double now = mx_seconds();
    if (bar.drawn && now - bar.last < 0.05) return;
    bar.last = now;
    const int filled = done > 0 ? (int)(done * WIDTH) : 0;
    fprintf(stderr, "\r\033[K%.40s ", what);
    const char *full = mx_output_utf8() ? "━" : "=", *empty = mx_output_utf8() ? "╌" : "-";
    for (int i = 0; i < WIDTH; i++) fputs(i < filled ? full : empty, stderr);
    fprintf(stderr, " %3d%%", (int)(done * 100));
    fflush(stderr);
    bar.drawn = true;
}

void mx_progress_bar_end(void)
{
    if (bar.drawn) fputs("\r\033[K", stderr);
    bar.drawn = false;
}

bool mx_progress_bar_drawn(void)
{
    return bar.drawn;
}

struct mx_progress mx_progress_bar(const struct mx_cli *cli)
{
    return (struct mx_progress){.report = cli->terminal_err ? draw_bar : NULL, .interrupted = cli->interrupted};
}
