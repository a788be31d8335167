#include "base/resident.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/small_file.h"

bool mx_resident_reset(void)
{
    const int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (file < 0) return false;
    const bool done = write(file, "5", 1) == 1;
    close(file);
    return done;
}

uint64_t mx_resident_peak(void)
{
    static const char key[] = "\nVmHWM:";
    char text[MX_SMALL_FILE];
    if (!mx_small_file("/proc/self", "status", text)) return 0;
    const char *line = strstr(text, key);
    return line ? strtoull(line + sizeof key - 1, NULL, 10) << 10 : 0; /* in kB, which are KiB */
}
