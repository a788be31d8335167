/* What stands beside the weights of a converted checkpoint: its config.json with the quantization written in, and the
 * tokenizer and other small files of the source.
 */
#ifndef MX_CHECKPOINT_SIDECARS_H
#define MX_CHECKPOINT_SIDECARS_H

#include "base/str.h"
#include "checkpoint/plan.h"
#include "checkpoint/writer.h"

/* Appends to `out` the JSON text `config` with `object` (JSON text) as its "quantization" and "quantization_config".
 * Everything else keeps its spelling, numbers above all. The text must be an object; a member of these names must be
 * null (it is replaced). */
mx_status mx_config_with_quantization(struct mx_str *out, const char *config, size_t length, const char *name,
                                      const char *object, struct mx_error *err);

/* Writes SOURCE/config.json with the plan's quantization. */
mx_status mx_write_quantized_config(struct mx_checkpoint_writer *writer, const char *source,
                                    const struct mx_quant *quant, const struct mx_plan *plan, struct mx_error *err);

/* Copies tokenizer, templates, generation settings and licences. */
mx_status mx_copy_sidecars(struct mx_checkpoint_writer *writer, const char *source, struct mx_error *err);

#endif
