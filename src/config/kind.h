/* What a model is, before it is asked how its cache grows: most that people have are decoders, and those that are not
 * get no advice about a cache that they don't keep. By type, else by what the file says of itself.
 */
#ifndef MX_CONFIG_KIND_H
#define MX_CONFIG_KIND_H

#include "config/families.h"
#include "config/fields.h"

/* The kind of a config of this (inner) type. */
enum mx_kind mx_kind_of(const struct mx_config *config, const char *type, bool known);

/* The row that a type without one of its own is read by: encoders are alike, encoder-decoders too. */
const struct mx_family *mx_kind_family(enum mx_kind kind);

/* True for types whose parameters the row above counts in full. */
bool mx_kind_counts(const char *type);

/* Finishes a description that is no decoder's: no layer keeps keys and values that grow, but a decoder's beside an
 * encoder, and its cross attention's. */
struct mx_build;
void mx_kind_finish(struct mx_build *build);

#endif
