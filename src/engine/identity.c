/* Model and tokenizer as one hash. */
#include "engine/identity.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "tokenizer/tokenizer.h"

mx_status mx_saved_identity(const struct mx_model *model, const char *directory, struct mx_pool *pool,
                            uint64_t *identity, struct mx_error *err)
{
    MX_TRY(mx_model_identity(model, pool, NULL, identity, err));
    const char *name = mx_tokenizer_file(directory);
    if (!name) return MX_OK;
    char *path = mx_path_join(directory, name);
    struct mx_map map;
    mx_status status = path ? mx_map_open(&map, path, err) : mx_fail_memory(err, "a path", strlen(name));
    if (status == MX_OK) {
        *identity = XXH3_64bits_withSeed(map.data, map.length, *identity);
        mx_map_close(&map);
    }
    free(path);
    return status;
}
