/* From Oniguruma's regular expressions, which tokenizer.json is written in, to those of PCRE2. */
#ifndef MX_TOKENIZER_ONIG_H
#define MX_TOKENIZER_ONIG_H

#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

/* Appends the PCRE2 spelling of `pattern` (valid UTF-8), to be compiled with UTF, UCP and MULTILINE. What is no valid
 * expression passes through, for PCRE2 to complain about. */
mx_status mx_onig_translate(const char *pattern, size_t length, struct mx_str *out, struct mx_error *err);

#endif
