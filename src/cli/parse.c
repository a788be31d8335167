/* Arguments into a command's options, through getopt_long, driven by the command's flags table. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/closest.h"
#include "base/str.h"
#include "base/units.h"
#include "cli/command.h"

enum {
    MAX_FLAGS = 64,
    FIRST_LONG = 256, /* getopt's value for flag i is FIRST_LONG + i, letters stand for themselves */
};

const struct mx_command *mx_command_find(const char *name)
{
    for (size_t i = 0; mx_commands[i]; i++)
        if (!strcmp(mx_commands[i]->name, name)) return mx_commands[i];
    return NULL;
}

static const char *flag_name(const void *context, size_t index)
{
    const struct mx_flag *flags = context;
    size_t count = 0;
    while (flags && flags[count].name) count++;
    return index < count ? flags[index].name : index == count ? "help" : NULL;
}

/* Why getopt_long did not take argv[optind - 1]: "--name" or "--name=value", unknown or short for several. */
static mx_status fail_long(const struct mx_command *command, const char *argument, struct mx_error *err)
{
    char *name = mx_strndup(argument + 2, strcspn(argument + 2, "="));
    if (!name) return mx_fail_memory(err, "a flag's name", strlen(argument));
    const size_t length = strlen(name);
    const struct mx_flag *first = NULL, *second = NULL, *whole = NULL;
    for (const struct mx_flag *flag = command->flags; flag && flag->name; flag++) {
        if (strncmp(flag->name, name, length) != 0) continue;
        if (strlen(flag->name) == length) whole = flag;
        if (first) second = flag;
        if (!first) first = flag;
    }
    mx_status status;
    if (whole || !strcmp(name, "help"))
        status = mx_fail(err, MX_ERR_ARGUMENT, "--%s takes no value", name);
    else if (second)
        status =
            mx_fail(err, MX_ERR_ARGUMENT, "--%s could be --%s or --%s; write it out", name, first->name, second->name);
    else {
        const char *closest = mx_closest(name, flag_name, command->flags);
        status = closest ? mx_fail(err, MX_ERR_ARGUMENT, "%s has no flag --%s; did you mean --%s?", command->name, name,
                                   closest)
                         : mx_fail(err, MX_ERR_ARGUMENT, "%s has no flag --%s; see mlxcel %s --help", command->name,
                                   name, command->name);
    }
    free(name);
    return status;
}

/* "off|on|auto": the index of `word`, or -1. */
static int choice_index(const char *choices, const char *word)
{
    const size_t length = strlen(word);
    for (int index = 0; *choices; index++) {
        const size_t width = strcspn(choices, "|");
        if (width == length && !strncasecmp(choices, word, length)) return index;
        choices += width + (choices[width] == '|');
    }
    return -1;
}

static mx_status store(const struct mx_flag *flag, const char *value, void *options, struct mx_error *err)
{
    void *target = (char *)options + flag->offset;
    char what[64];
    snprintf(what, sizeof what, "--%s", flag->name);
    switch (flag->kind) {
    case MX_FLAG_SWITCH: *(bool *)target = true; return MX_OK;
    case MX_FLAG_TEXT:
    case MX_FLAG_PATH: *(const char **)target = value; return MX_OK;
    case MX_FLAG_LIST: {
        struct mx_flag_list *list = target;
        const int room = (int)(sizeof list->items / sizeof list->items[0]);
        if (list->count == room) return mx_fail(err, MX_ERR_ARGUMENT, "%s can be given %d times at most", what, room);
        list->items[list->count++] = value;
        return MX_OK;
    }
    case MX_FLAG_WHOLE: return mx_parse_whole(value, what, (int64_t)flag->low, (int64_t)flag->high, target, err);
    case MX_FLAG_NUMBER: return mx_parse_number(value, what, flag->low, flag->high, target, err);
    case MX_FLAG_BYTES: return mx_parse_bytes(value, what, target, err);
    case MX_FLAG_CHOICE: {
        const int index = choice_index(flag->argument, value);
        if (index < 0) return mx_fail(err, MX_ERR_ARGUMENT, "%s: '%s' is not one of %s", what, value, flag->argument);
        *(int *)target = index;
        return MX_OK;
    }
    }
    return MX_OK;
}

/* getopt's two tables from ours. Returns the number of flags. */
static int getopt_tables(const struct mx_flag *flags, struct option *longs, char *shorts)
{
    int count = 0;
    *shorts++ = ':';
    for (; flags && flags[count].name && count < MAX_FLAGS; count++) {
        const bool takes_value = flags[count].kind != MX_FLAG_SWITCH;
        longs[count] = (struct option){flags[count].name, takes_value, NULL, FIRST_LONG + count};
        if (!flags[count].letter) continue;
        *shorts++ = flags[count].letter;
        if (takes_value) *shorts++ = ':';
    }
    longs[count] = (struct option){"help", no_argument, NULL, 'h'};
    longs[count + 1] = (struct option){0};
    *shorts++ = 'h';
    *shorts = '\0';
    return count;
}

static const struct mx_flag *flag_of(const struct mx_flag *flags, int count, int value)
{
    if (value >= FIRST_LONG) return &flags[value - FIRST_LONG];
    for (int i = 0; i < count; i++)
        if (flags[i].letter == value) return &flags[i];
    return NULL;
}

static mx_status check_operands(const struct mx_command *command, const struct mx_cli *cli, struct mx_error *err)
{
    if (cli->operand_count < command->min_operands)
        return mx_fail(err, MX_ERR_ARGUMENT, "%s needs %s; see mlxcel %s --help", command->name, command->operands,
                       command->name);
    if (cli->operand_count > command->max_operands)
        return mx_fail(err, MX_ERR_ARGUMENT, "%s takes %s, and not '%s'; see mlxcel %s --help", command->name,
                       command->operands ? command->operands : "only flags", cli->operands[command->max_operands],
                       command->name);
    return MX_OK;
}

mx_status mx_command_parse(const struct mx_command *command, int argc, char **argv, struct mx_cli *cli, void *options,
                           bool *help, struct mx_error *err)
{
    struct option longs[MAX_FLAGS + 2];
    char shorts[2 * MAX_FLAGS + 4];
    const int count = getopt_tables(command->flags, longs, shorts);
    opterr = 0;
    optind = 1;
    for (int value; (value = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        if (value == 'h') {
            *help = true;
            return MX_OK;
        }
        if (value == ':') return mx_fail(err, MX_ERR_ARGUMENT, "%s needs a value", argv[optind - 1]);
        if (value == '?') {
            const bool is_long = optopt == 0 || optopt >= FIRST_LONG || optopt == 'h'; /* the last: --help=x */
            if (is_long) return fail_long(command, argv[optind - 1], err);
            return mx_fail(err, MX_ERR_ARGUMENT, "%s has no flag -%c; see mlxcel %s --help", command->name, optopt,
                           command->name);
        }
        MX_TRY(store(flag_of(command->flags, count, value), optarg, options, err));
    }
    cli->operands = argv + optind;
    cli->operand_count = argc - optind;
    return check_operands(command, cli, err);
}
