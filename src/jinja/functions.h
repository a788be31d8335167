/* The language's own functions: filters, tests, methods and globals are rows of tables with one form of call. */
#ifndef MX_JINJA_FUNCTIONS_H
#define MX_JINJA_FUNCTIONS_H

#include "jinja/value.h"

enum { MAX_PARAMETERS = 6 };

struct function {
    const char *name;
    /* The parameters' names with a blank between; a '?' behind a name says that it may be left out, a '/' that it has
     * no name for callers. "*": the function reads `args` itself. */
    const char *parameters;
    /* `self`: what a filter or a test is applied to, or a method's value; NULL for globals. `given`: one value for each
     * parameter, MISSING where it was left out. */
    struct value (*call)(struct run *run, const struct value *self, const struct value *given, const struct args *args);
};

const struct function *mxj_find_filter(const struct value *name);
const struct function *mxj_find_test(const struct value *name);
const struct function *mxj_find_in(const struct function *rows, size_t count, const struct value *name);

/* The global functions, put into a rendering's context. */
void mxj_add_globals(struct run *run, struct dict *context);

/* The tables, by file. */
struct function_table {
    const struct function *rows;
    size_t count;
};
#define MX_FUNCTION_TABLE(rows)                                                                                        \
    {                                                                                                                  \
        rows, sizeof(rows) / sizeof *(rows)                                                                            \
    }
extern const struct function_table mxj_text_filters, mxj_layout_filters, mxj_number_filters, mxj_list_filters,
    mxj_select_filters, mxj_tests;
extern const struct function_table mxj_text_methods, mxj_split_methods, mxj_class_methods, mxj_dict_methods,
    mxj_list_methods, mxj_number_methods, mxj_loop_methods, mxj_cycler_methods;

/* Binds the arguments to the parameters and calls. */
struct value mxj_call_function(struct run *run, const struct function *function, const struct value *self,
                               const struct args *args);

/* What Python writes as a generator: `make` gives the values, but not before the first one is asked for. */
struct value mxj_lazy(struct run *run, const struct value *self, const struct value *given, const struct args *args,
                      struct value (*make)(struct run *run, const struct value *self, const struct value *given,
                                           const struct args *args));

/* --- for functions --- */
bool mxj_given(const struct value *value); /* neither MISSING nor None */
int64_t mxj_int_or(struct run *run, const struct value *value, int64_t otherwise, const char *what);
bool mxj_truth_or(struct run *run, const struct value *value, bool otherwise);
void mxj_need_text(struct run *run, const struct value *value, const char *what);

#endif
