/* Writes docs/models.md from the table of model types: build/release/tools/models-md >docs/models.md
 * (tests/config/test_families.c fails when the document is older than the table). */
#include <stdio.h>

#include "config/families.h"

int main(void)
{
    const struct mx_family_entry *entries;
    const size_t count = mx_family_list(&entries);
    size_t runnable = 0;
    for (size_t i = 0; i < count; i++) runnable += entries[i].runnable;
    printf(
        "# Model types\n"
        "<!-- written by tools/models-md from the table in src/config/families/; do not edit -->\n"
        "%zu model types are known by name, and %zu of them run. The class is that of the published models of a type; "
        "a\n"
        "config decides (a window that is switched off makes a model standard). Types that are not listed are\n"
        "classified from their fields alone. A vision-language config is advised for by the text model inside it.\n\n"
        "| model_type | class | runs | in particular |\n|---|---|---|---|\n",
        count, runnable);
    for (size_t i = 0; i < count; i++)
        printf("| `%s` | %s | %s | %s |\n", entries[i].type, mx_class_name(entries[i].class_),
               entries[i].runnable ? "yes" : "", entries[i].note ? entries[i].note : "");
    return 0;
}
