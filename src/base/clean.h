/* Text that came from a file or a file's name, on its way to a terminal: whatever it holds, what is shown is one line
 * of valid UTF-8 that moves no cursor and forges no line. Control characters (C0, DEL, C1), line and paragraph
 * separators, characters that reorder text (Unicode, UAX 9: the overrides and isolates) and broken UTF-8 become '?'
 * each.
 */
#ifndef MX_BASE_CLEAN_H
#define MX_BASE_CLEAN_H

#include <stddef.h>

/* Cleans in place: the text never grows. A character cut off at the end goes. */
void mx_clean(char *text);

/* Copies `text` into buffer[size] and cleans it; what does not fit is cut after a whole character and ends in "...",
 * where size is at least 8. Returns buffer. */
char *mx_clean_copy(char *buffer, size_t size, const char *text);

#endif
