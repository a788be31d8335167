/* The members of a record as columns, in the order of the key first: the one list from which the store's table, its
 * statements and the exchange format are made. Private to src/records. */
#ifndef MX_RECORDS_COLUMNS_H
#define MX_RECORDS_COLUMNS_H

#include "records/record.h"

enum mx_column_kind { MX_COLUMN_TEXT, MX_COLUMN_U32, MX_COLUMN_U64, MX_COLUMN_BOOL, MX_COLUMN_REAL, MX_COLUMN_MEASURE };

/* The object of an evidence file in which a member stands. */
enum mx_column_place { MX_PLACE_MODEL, MX_PLACE_MACHINE, MX_PLACE_CELL, MX_PLACE_FIGURE, MX_PLACE_COUNT };

struct mx_column {
    const char *name;   /* of the store's column */
    const char *member; /* of the evidence file's object */
    enum mx_column_kind kind;
    enum mx_column_place place;
    bool key; /* part of what makes two records the same */
    size_t offset, size;
};

enum { MX_COLUMN_COUNT = 30 };
extern const struct mx_column mx_columns[MX_COLUMN_COUNT];

#endif
