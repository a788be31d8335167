/* The most memory that this process had resident, since a moment that can be chosen anew (Linux: proc(5), clear_refs
 * and VmHWM). Of the whole process: not for two measurements at once. */
#ifndef MX_BASE_RESIDENT_H
#define MX_BASE_RESIDENT_H

#include <stdbool.h>
#include <stdint.h>

/* Forgets what was before; false where the system does not let it, and then the peak is that of the whole life. */
bool mx_resident_reset(void);
/* Bytes; 0: unknown. */
uint64_t mx_resident_peak(void);

#endif
