/* `mlxcel arch`: the model types that run here. */
#include <string.h>

#include "advisor/kv_advice.h"
#include "cache/mode.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/table.h"
#include "config/families.h"

enum { CONTEXT = 4096 }; /* tokens that the evidence which came with the program has measured of every family in it */

struct options {
    bool all, json;
};

static const struct mx_flag flags[] = {
    {"all", 'a', MX_FLAG_SWITCH, NULL, "also list the types that only the advisor knows",
     offsetof(struct options, all)},
    {"json", 0, MX_FLAG_SWITCH, NULL, "print all types and their layers as JSON", offsetof(struct options, json)},
    {0},
};

/* Each kind of mixer that a layer of the model has, once. */
static void add_mixers(cJSON *one, const struct mx_arch *arch)
{
    cJSON *list = cJSON_AddArrayToObject(one, "mixers");
    unsigned attention = 0, recurrence = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_layer *layer = &arch->layers[i];
        if (mx_layer_attends(layer) && !(attention >> layer->attention.kind & 1))
            cJSON_AddItemToArray(list, cJSON_CreateString(mx_attention_name(layer->attention.kind)));
        if (mx_layer_recurs(layer) && !(recurrence >> layer->recurrence.kind & 1))
            cJSON_AddItemToArray(list, cJSON_CreateString(mx_recurrence_name(layer->recurrence.kind)));
        attention |= 1u << layer->attention.kind;
        recurrence |= 1u << layer->recurrence.kind;
    }
}

/* The cache modes that run as they are asked for, symmetric turbo4 as what came with the program proves it at CONTEXT
 * tokens. */
static mx_status add_modes(cJSON *one, const struct mx_arch *arch, const struct mx_evidence_set *evidence,
                           struct mx_error *err)
{
    const struct mx_kv_advice_request request = {.evidence = evidence};
    struct mx_mode_evidence found;
    cJSON *list = cJSON_AddArrayToObject(one, "modes");
    for (enum mx_mode mode = 0; arch->runnable && mode < MX_MODE_COUNT; mode++) {
        struct mx_kv_options options = mx_kv_options_default();
        struct mx_kv_setup setup;
        options.mode = mode;
        options.proof = mx_turbo4_proof(&options, CONTEXT, arch, &request, &found);
        const mx_status status = mx_kv_resolve(&setup, &options, arch, err);
        if (status == MX_ERR_MEMORY) return status; /* any other: it does not run */
        if (status == MX_OK && setup.mode == mode)
            cJSON_AddItemToArray(list, cJSON_CreateString(mx_mode_info(mode)->name));
    }
    return MX_OK;
}

static mx_status print_json(const struct mx_family_entry *entries, size_t count, struct mx_error *err)
{
    struct mx_evidence_set evidence = {0};
    const mx_status read = mx_evidence_add_shipped(&evidence, err);
    if (read != MX_OK) {
        mx_evidence_close(&evidence);
        return read;
    }
    cJSON *root = cJSON_CreateArray();
    for (size_t i = 0; i < count; i++) {
        struct mx_arch arch;
        mx_status status = mx_family_example(&arch, entries[i].type, err);
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "model_type", entries[i].type);
        cJSON_AddStringToObject(one, "class", mx_class_name(entries[i].class_));
        cJSON_AddBoolToObject(one, "runs", status == MX_OK && arch.runnable);
        if (status == MX_OK && !arch.runnable) cJSON_AddStringToObject(one, "why", arch.not_runnable);
        if (status == MX_OK) status = add_modes(one, &arch, &evidence, err);
        if (status == MX_OK) add_mixers(one, &arch);
        cJSON_AddItemToArray(root, one);
        mx_arch_free(&arch);
        if (status == MX_OK) continue;
        cJSON_Delete(root);
        mx_evidence_close(&evidence);
        return status;
    }
    mx_evidence_close(&evidence);
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
    return options->json ? print_json(entries, count, err) : print_table(cli, entries, count, options->all, err);
}

const struct mx_command mx_command_arch = {
    .name = "arch",
    .summary = "list the model types that run here",
    .flags = flags,
    .examples = {"mlxcel arch", "mlxcel arch --json"},
    .options_size = sizeof(struct options),
    .run = run,
};
