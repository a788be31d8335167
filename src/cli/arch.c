/* `mlxcel arch`: the model types that run here. */
#include <string.h>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/table.h"
#include "config/families.h"

struct options {
    bool all, json;
};

static const struct mx_flag flags[] = {
    {"all", 'a', MX_FLAG_SWITCH, NULL, "the types that are known to the advisor as well",
     offsetof(struct options, all)},
    {"json", 0, MX_FLAG_SWITCH, NULL, "print JSON", offsetof(struct options, json)},
    {0},
};

static mx_status print_json(const struct mx_family_entry *entries, size_t count, bool all, struct mx_error *err)
{
    cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "model_types");
    for (size_t i = 0; i < count; i++) {
        if (!entries[i].runnable && !all) continue;
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "model_type", entries[i].type);
        cJSON_AddStringToObject(one, "class", mx_class_name(entries[i].class_));
        cJSON_AddBoolToObject(one, "runnable", entries[i].runnable);
        cJSON_AddItemToArray(list, one);
    }
    return mx_print_json(root, err);
}

static mx_status print_table(const struct mx_cli *cli, const struct mx_family_entry *entries, size_t count, bool all,
                             struct mx_error *err)
{
    struct mx_table table;
    mx_table_start(&table, all ? "model_type|class|runs" : "model_type|class");
    size_t runnable = 0;
    for (size_t i = 0; i < count; i++) {
        runnable += entries[i].runnable;
        if (!entries[i].runnable && !all) continue;
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", entries[i].type);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_class_name(entries[i].class_));
        if (all) mx_table_cell(&table, MX_STYLE_PLAIN, "%s", entries[i].runnable ? "yes" : "");
    }
    MX_TRY(mx_table_print(&table, 0, cli->colour_out, err));
    printf("\n%zu of %zu known model types run; a config.json of any type gets advice (mlxcel recommend).\n", runnable,
           count);
    return MX_OK;
}

static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
{
    const struct options *options = given;
    const struct mx_family_entry *entries;
    const size_t count = mx_family_list(&entries);
    return options->json ? print_json(entries, count, options->all, err)
                         : print_table(cli, entries, count, options->all, err);
}

const struct mx_command mx_command_arch = {
    .name = "arch",
    .summary = "list the model types that run",
    .flags = flags,
    .examples = {"mlxcel arch", "mlxcel arch --all --json"},
    .options_size = sizeof(struct options),
    .run = run,
};
