/* Runs of one script, for the pre-tokenizer that cuts at a change of script. */
#ifndef MX_TOKENIZER_SCRIPTS_H
#define MX_TOKENIZER_SCRIPTS_H

#include "base/str.h"

/* Appends a regular expression (in Oniguruma's syntax) that matches one run: characters of one script, Hiragana,
 * Katakana and the mark U+30FC counted as Han, and the spaces and characters without a script between and behind them.
 */
void mx_script_runs(struct mx_str *out);

#endif
