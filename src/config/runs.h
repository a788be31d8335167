/* What the engine runs, decided feature by feature from the description. Private to src/config. */
#ifndef MX_CONFIG_RUNS_H
#define MX_CONFIG_RUNS_H

#include "config/arch.h"

/* Notes why the engine doesn't run the model; the first reason is kept. */
void mx_arch_refuse(struct mx_arch *arch, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets `runnable` (or finds the reason in `not_runnable`). Everything in the description that a block must execute is
 * asked for here: a block that is added takes its refusal away. */
void mx_arch_decide_runs(struct mx_arch *arch);

#endif
