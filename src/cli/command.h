/* The command line as data. A subcommand is one file that defines one `const struct mx_command`; the program's help,
 * its usage errors, the man page and the shell completion are made from it.
 *
 * To add a subcommand "sing":
 *   1. write sing.c: an options struct, its flags table, and `const struct mx_command mx_command_sing = {...}`;
 *   2. add the row `MX_COMMAND(sing)` to commands.inc, at the place where help shall list it;
 *   3. add sing.c to CMakeLists.txt, and a case or two to tests/cli/ (see tests/cli/README.md).
 *
 *     struct options {
 *         const char *model;
 *         int64_t times;
 *         bool json;
 *     };
 *     static const struct options defaults = {.times = 1};
 *     static const struct mx_flag flags[] = {
 *         {"model", 'm', MX_FLAG_PATH, "DIR", "the model's folder", offsetof(struct options, model)},
 *         {"times", 'n', MX_FLAG_WHOLE, "N", "how often (default 1)", offsetof(struct options, times), 1, 100},
 *         {"json", 0, MX_FLAG_SWITCH, NULL, "print JSON", offsetof(struct options, json)},
 *         {0},
 *     };
 *     static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
 *     {
 *         const struct options *options = given;
 *         ...
 *     }
 *     const struct mx_command mx_command_sing = {
 *         .name = "sing", .summary = "sing the model's praise", .flags = flags, .run = run,
 *         .options_size = sizeof(struct options), .defaults = &defaults,
 *         .examples = {"mlxcel sing -m models/demo", "mlxcel sing -m models/demo -n 3 --json"},
 *     };
 *
 * Flags that several subcommands share stand in a struct of their own with a macro for their rows: kv_flags.h.
 * What a subcommand prints with: output.h and table.h. Results go to stdout, everything else to stderr.
 */
#ifndef MX_CLI_COMMAND_H
#define MX_CLI_COMMAND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

/* What a flag's argument is, and the type of the member that it fills. */
enum mx_flag_kind {
    MX_FLAG_SWITCH, /* bool; takes no argument */
    MX_FLAG_TEXT,   /* const char * */
    MX_FLAG_PATH,   /* const char *; completed as a file name */
    MX_FLAG_LIST,   /* struct mx_flag_list: may be given several times */
    MX_FLAG_WHOLE,  /* int64_t in [low, high]; "32k" is 32768 */
    MX_FLAG_NUMBER, /* double in [low, high] */
    MX_FLAG_BYTES,  /* uint64_t; "8GB", "1.5GiB" */
    MX_FLAG_CHOICE, /* int: the index of the word in `argument`, "off|on|auto" */
};

struct mx_flag_list {
    const char *items[16];
    int count;
};

struct mx_flag {
    const char *name; /* the long name, without dashes; NULL ends a table */
    char letter;      /* the short name, or 0 */
    enum mx_flag_kind kind;
    const char *argument; /* placeholder in help ("N"); NULL for a switch */
    const char *help;     /* one line that fits beside the name in 100 columns; NULL: not shown in help */
    size_t offset;        /* of the member in the command's options */
    double low, high;     /* of MX_FLAG_WHOLE and MX_FLAG_NUMBER */
};

/* The program's state while a command runs. */
struct mx_cli {
    const struct mx_command *command; /* the one that runs; NULL before it is known */
    char **arguments;                 /* of the program, NULL at the end */
    char **operands;                  /* what was given beside the flags */
    int operand_count;
    bool colour_out, colour_err; /* a terminal, NO_COLOR unset */
    bool terminal_err;           /* progress bars may be drawn */
    atomic_bool *interrupted;    /* raised by Ctrl-C; a second one ends the program at once, unless it was lowered */
};

struct mx_command {
    const char *name, *summary; /* the summary is a verb phrase of at most 60 columns */
    const char *operands;       /* "MODEL...", or NULL for none */
    int min_operands, max_operands;
    const char *about;           /* a few lines under the usage line of help, each ended by \n; may be NULL */
    const struct mx_flag *flags; /* ended by a row without a name */
    const char *examples[2];
    size_t options_size; /* the options start as a copy of *defaults (NULL: zeroes) */
    const void *defaults;
    bool hidden; /* works, but help does not list it */
    /* Returns MX_OK, or fails with one line in *err, which the program prints. Exit: 0; 2 for MX_ERR_ARGUMENT; 130
     * for MX_ERR_INTERRUPTED; 1 for the rest. */
    mx_status (*run)(struct mx_cli *cli, const void *options, struct mx_error *err);
};

/* All commands in the order of help, NULL at the end. */
extern const struct mx_command *const mx_commands[];
const struct mx_command *mx_command_find(const char *name);

/* Parses the arguments that follow the command's name into *options (options_size bytes, defaults filled in) and sets
 * cli->operands. *help is set, and parsing stops, at --help. Fails with MX_ERR_ARGUMENT. */
mx_status mx_command_parse(const struct mx_command *command, int argc, char **argv, struct mx_cli *cli, void *options,
                           bool *help, struct mx_error *err);

/* Help for the program and for one command. */
void mx_help_program(FILE *out, bool colour);
void mx_help_command(FILE *out, bool colour, const struct mx_command *command);

/* "-m, --model DIR" as help shows it, into buffer[80]; returns buffer. */
const char *mx_flag_usage(const struct mx_flag *flag, char buffer[80]);

#define MX_COMMAND(name) extern const struct mx_command mx_command_##name;
#include "cli/commands.inc"
#undef MX_COMMAND

#endif
