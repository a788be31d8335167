/* `mlxcel recommend --serve`: how many users, in which mode, how fast. */
#include "advisor/serving.h"

#include "base/units.h"
#include "cli/advise.h"
#include "cli/table.h"

static void print_take(const struct mx_serving *serving, const struct mx_model_advice *model)
{
    char text[500], context[32], users[32], fit[32], memory[16];
    const char *take = serving->take >= 0 ? mx_mode_info(serving->rows[serving->take].mode)->name : NULL;
    mx_format_count(serving->context, context);
    mx_format_count(serving->users, users);
    mx_format_bytes(model->request.available, memory);
    if (take) {
        const struct mx_serving_row *row = &serving->rows[serving->take];
        snprintf(text, sizeof text, "take %s: %s users with %s tokens each fit into %s, %s are asked for", take,
                 mx_format_count(row->users, fit), context, memory, users);
    } else if (model->estimate.fits == MX_FIT_UNKNOWN) {
        snprintf(text, sizeof text, "the weights' size or the memory is unknown: give --budget, or the weights");
    } else {
        snprintf(text, sizeof text,
                 "%s users with %s tokens each fit into %s in no mode: take smaller weights, less "
                 "context, or more machines (docs/serve.md)",
                 users, context, memory);
    }
    fputs("  ", stdout);
    mx_print_wrapped(text, 2, 100);
    if (model->subject.arch.max_context && serving->context > model->subject.arch.max_context) {
        snprintf(text, sizeof text, "the model was made for %s tokens, fewer than that",
                 mx_format_count(model->subject.arch.max_context, context));
        fputs("  ", stdout);
        mx_print_wrapped(text, 2, 100);
    }
}

static void rate_cell(struct mx_table *table, double rate)
{
    if (rate > 0)
        mx_table_cell(table, MX_STYLE_PLAIN, rate < 10 ? "%.2f" : "%.0f", rate);
    else
        mx_table_cell(table, MX_STYLE_PLAIN, "?");
}

mx_status mx_print_serving(const struct mx_adviser *adviser, const struct mx_model_advice *model, struct mx_error *err)
{
    struct mx_serving serving;
    struct mx_table table;
    char header[160], users[32], bytes[16], count[32];
    const bool colour = adviser->cli->colour_out;
    mx_serving_plan(&serving, model, adviser->bandwidth.bytes_per_second);
    printf("%s%s: how many can be served%s\n", mx_style(colour, MX_STYLE_BOLD), model->subject.name,
           mx_style(colour, MX_STYLE_PLAIN));
    mx_print_model_lines(adviser, model);
    putchar('\n');
    print_take(&serving, model);
    mx_format_count(serving.users, users);
    snprintf(header, sizeof header, "mode|>a user's cache|>users that fit|>%s fit|>tok/s each, at most|>together",
             users);
    mx_table_start(&table, header);
    for (size_t i = 0; i < serving.count; i++) {
        const struct mx_serving_row *row = &serving.rows[i];
        const bool fits = row->users >= serving.users;
        mx_table_cell(&table, (int)i == serving.take ? MX_STYLE_BOLD : MX_STYLE_PLAIN, "%s",
                      mx_mode_info(row->mode)->name);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_format_bytes(row->user_bytes, bytes));
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", row->users_known ? mx_format_count(row->users, count) : "?");
        mx_table_cell(&table, fits || !row->users_known ? MX_STYLE_PLAIN : MX_STYLE_RED, "%s",
                      row->users_known ? (fits ? "yes" : "no") : "?");
        rate_cell(&table, row->user_rate);
        rate_cell(&table, row->all_rate);
    }
    MX_TRY(mx_table_print(&table, 2, colour, err));
    printf("  tok/s: the floor that memory sets, with every context full; products of many users' tokens can\n"
           "  cost more than that. To measure: mlxcel bench -m DIR --parallel N --depth N --modes all\n");
    return MX_OK;
}
