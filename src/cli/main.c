/* The program: finds the subcommand, parses its flags, runs it, prints its error, and turns its status into an exit
 * code. Start at command.h. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/closest.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/process.h"

#define MX_COMMAND(name) &mx_command_##name,
const struct mx_command *const mx_commands[] = {
#include "cli/commands.inc"
    NULL,
};
#undef MX_COMMAND

static atomic_bool interrupted;

static bool colour_wanted(int descriptor)
{
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(descriptor) && !(no_colour && *no_colour) && !(terminal && !strcmp(terminal, "dumb"));
}

static const char *command_name(const void *context, size_t index)
{
    while (mx_commands[index] && mx_commands[index]->hidden) index++; /* the hidden ones stand at the end */
    return mx_commands[index] ? mx_commands[index]->name : NULL;
}

static mx_status fail_unknown(const char *name, struct mx_error *err)
{
    const char *closest = mx_closest(name, command_name, NULL);
    if (closest)
        return mx_fail(err, MX_ERR_ARGUMENT, "'%s' is not a command; did you mean '%s'? (see mlxcel --help)", name,
                       closest);
    return mx_fail(err, MX_ERR_ARGUMENT, "'%s' is not a command; see mlxcel --help", name);
}

static mx_status run_command(struct mx_cli *cli, const struct mx_command *command, int argc, char **argv,
                             struct mx_error *err)
{
    cli->command = command;
    void *options = calloc(1, command->options_size ? command->options_size : 1);
    if (!options) return mx_fail_memory(err, "the options", command->options_size);
    if (command->defaults) memcpy(options, command->defaults, command->options_size);
    bool help = false;
    mx_status status = mx_command_parse(command, argc, argv, cli, options, &help, err);
    if (status == MX_OK && help)
        mx_help_command(stdout, cli->colour_out, command);
    else if (status == MX_OK)
        status = command->run(cli, options, err);
    free(options);
    return status;
}

static mx_status run(struct mx_cli *cli, int argc, char **argv, struct mx_error *err)
{
    const char *first = argc > 1 ? argv[1] : "";
    if (!*first) {
        mx_help_program(stderr, cli->colour_err);
        return mx_fail(err, MX_ERR_ARGUMENT, "no command given");
    }
    const bool wants_help = !strcmp(first, "help") || !strcmp(first, "--help") || !strcmp(first, "-h");
    if (wants_help && argc == 2) {
        mx_help_program(stdout, cli->colour_out);
        return MX_OK;
    }
    if (!strcmp(first, "--version") || !strcmp(first, "-V")) {
        puts("mlxcel " MLXCEL_VERSION);
        return MX_OK;
    }
    if (first[0] == '-' && !wants_help)
        return mx_fail(err, MX_ERR_ARGUMENT, "a command comes first, then its flags: mlxcel COMMAND %s ...", first);
    const char *name = wants_help ? argv[2] : first;
    const struct mx_command *command = mx_command_find(name);
    if (!command) return fail_unknown(name, err);
    if (wants_help) {
        mx_help_command(stdout, cli->colour_out, command);
        return MX_OK;
    }
    return run_command(cli, command, argc - 1, argv + 1, err);
}

static int exit_code(mx_status status)
{
    switch (status) {
    case MX_OK: return 0;
    case MX_ERR_ARGUMENT: return 2;
    case MX_ERR_INTERRUPTED: return 130;
    default: return 1;
    }
}

int main(int argc, char **argv)
{
    mx_process_begin(&interrupted);
    mx_output_begin();
    struct mx_cli cli = {.arguments = argv,
                         .colour_out = colour_wanted(STDOUT_FILENO),
                         .colour_err = colour_wanted(STDERR_FILENO),
                         .terminal_err = isatty(STDERR_FILENO),
                         .interrupted = &interrupted};
    struct mx_error err = {0};
    mx_status status = run(&cli, argc, argv, &err);
    mx_progress_bar_end();
    status = mx_output_end(status, &err);
    if (status != MX_OK) mx_print_error(&cli, &err);
    return exit_code(status);
}
