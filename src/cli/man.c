/* `mlxcel man`: the manual page mlxcel(1), generated from the command tables. */
#include "cli/command.h"

/* A text in roff: hyphens that may be copied stay hyphens, and no line starts with a control character. */
static void print_text(const char *text)
{
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\'')) fputs("\\&", stdout);
        if (*text == '-')
            fputs("\\-", stdout);
        else if (*text == '\\')
            fputs("\\e", stdout);
        else
            putchar(*text);
        line_start = *text == '\n';
    }
}

static void print_flag(const struct mx_flag *flag)
{
    fputs(".TP\n", stdout);
    if (flag->letter) printf("\\fB\\-%c\\fR, ", flag->letter);
    fputs("\\fB\\-\\-", stdout);
    print_text(flag->name);
    fputs("\\fR", stdout);
    if (flag->argument) {
        fputs(" \\fI", stdout);
        print_text(flag->argument);
        fputs("\\fR", stdout);
    }
    putchar('\n');
    print_text(flag->help);
    putchar('\n');
}

static void print_command(const struct mx_command *command)
{
    printf(".SS %s\n.B mlxcel %s\n[\\fIFLAGS\\fR]", command->name, command->name);
    if (command->operands) printf(" \\fI%s\\fR", command->operands);
    fputs("\n.PP\n", stdout);
    print_text(command->summary);
    fputs(".\n", stdout);
    if (command->about) {
        fputs(".PP\n", stdout);
        print_text(command->about);
    }
    for (const struct mx_flag *flag = command->flags; flag && flag->name; flag++)
        if (flag->help) print_flag(flag);
    fputs(".PP\nExamples:\n.PP\n.nf\n", stdout);
    for (int i = 0; i < 2 && command->examples[i]; i++) {
        fputs(".RS 4\n", stdout);
        print_text(command->examples[i]);
        fputs("\n.RE\n", stdout);
    }
    fputs(".fi\n", stdout);
}

static mx_status run(struct mx_cli *cli, const void *options, struct mx_error *err)
{
    fputs(".TH MLXCEL 1 2026 \"mlxcel " MLXCEL_VERSION "\" \"User Commands\"\n"
          ".SH NAME\nmlxcel \\- advise on, run and measure language models with a compressed KV cache\n"
          ".SH SYNOPSIS\n.B mlxcel\n\\fICOMMAND\\fR [\\fIFLAGS\\fR] ...\n"
          ".SH DESCRIPTION\n"
          "The advisor says what a model is, what it needs, what fits, and which weight quantization and KV\\-cache\n"
          "mode to try. The engine runs the model with that cache, and the measuring commands say whether the advice\n"
          "is true on this model and machine.\n"
          ".SH COMMANDS\n",
          stdout);
    for (size_t i = 0; mx_commands[i]; i++)
        if (!mx_commands[i]->hidden) print_command(mx_commands[i]);
    fputs(".SH EXIT STATUS\n"
          ".TP\n0\ndone\n.TP\n1\nfailed; one line on stderr says why\n.TP\n2\nwrong usage\n.TP\n130\ninterrupted\n"
          ".SH ENVIRONMENT\n"
          ".TP\nNO_COLOR\nset and not empty: never print colour\n"
          ".TP\nXDG_CACHE_HOME\nwhere the machine's measured read bandwidth and the hashes of weights are kept "
          "(~/.cache/mlxcel otherwise)\n"
          ".TP\nLLAMA_ARG_CACHE_TYPE_K, LLAMA_ARG_CACHE_TYPE_V\nas \\-\\-cache\\-type\\-k and \\-\\-cache\\-type\\-v\n",
          stdout);
    return MX_OK;
}

const struct mx_command mx_command_man = {
    .name = "man",
    .summary = "print the manual page",
    .examples = {"mlxcel man | man -l -", "mlxcel man > mlxcel.1"},
    .hidden = true,
    .run = run,
};
