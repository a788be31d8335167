/* Memory of this process. Thread-safe. */
#ifndef MX_ENGINE_USAGE_H
#define MX_ENGINE_USAGE_H

#include <stdint.h>

/* Bytes of this process that are in memory now (Rss of /proc/self/statm); 0 where that file is not there. Pages of the
 * mapped weights count as soon as they were touched. */
uint64_t mx_resident_bytes(void);

#endif
