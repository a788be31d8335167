/* Help, made from the tables: the program's and each command's fit a screen and end with two examples. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/output.h"

const char *mx_flag_usage(const struct mx_flag *flag, char buffer[80])
{
    char letter[8] = "    ";
    if (flag->letter) snprintf(letter, sizeof letter, "-%c, ", flag->letter);
    snprintf(buffer, 80, "%s--%s%s%s", letter, flag->name, flag->argument ? " " : "",
             flag->argument ? flag->argument : "");
    return buffer;
}

static void heading(FILE *out, bool colour, const char *text)
{
    fprintf(out, "%s%s%s\n", mx_style(colour, MX_STYLE_BOLD), text, mx_style(colour, MX_STYLE_PLAIN));
}

static void examples(FILE *out, bool colour, const char *const *lines)
{
    fputc('\n', out);
    heading(out, colour, "Examples:");
    for (int i = 0; i < 2 && lines[i]; i++) fprintf(out, "  %s\n", lines[i]);
}

void mx_help_program(FILE *out, bool colour)
{
    fputs("mlxcel " MLXCEL_VERSION ": choose, run and measure compressed KV caches of language models\n\n"
          "Usage: mlxcel COMMAND [FLAGS] ...\n\n",
          out);
    heading(out, colour, "Commands:");
    for (size_t i = 0; mx_commands[i]; i++)
        if (!mx_commands[i]->hidden) fprintf(out, "  %-12s %s\n", mx_commands[i]->name, mx_commands[i]->summary);
    fputs("\nmlxcel COMMAND --help lists a command's flags; mlxcel --version prints the version.\n"
          "Results go to stdout, the rest to stderr. Exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted.\n",
          out);
    static const char *const lines[] = {"mlxcel recommend examples/qwen2.5-7b-instruct-4bit",
                                        "mlxcel inspect examples/llama-3.1-8b --ctx 32768 --budget 8GB"};
    examples(out, colour, lines);
}

void mx_help_command(FILE *out, bool colour, const struct mx_command *command)
{
    fprintf(out, "mlxcel %s: %s\n\nUsage: mlxcel %s [FLAGS]%s%s\n", command->name, command->summary, command->name,
            command->operands ? " " : "", command->operands ? command->operands : "");
    if (command->about) fprintf(out, "\n%s", command->about);
    fputc('\n', out);
    heading(out, colour, "Flags:");
    char usage[80];
    int width = (int)strlen("-h, --help");
    for (const struct mx_flag *flag = command->flags; flag && flag->name; flag++) {
        const int length = flag->help ? (int)strlen(mx_flag_usage(flag, usage)) : 0;
        if (length > width) width = length;
    }
    for (const struct mx_flag *flag = command->flags; flag && flag->name; flag++)
        if (flag->help) fprintf(out, "  %-*s  %s\n", width, mx_flag_usage(flag, usage), flag->help);
    fprintf(out, "  %-*s  %s\n", width, "-h, --help", "print this help");
    examples(out, colour, command->examples);
}
