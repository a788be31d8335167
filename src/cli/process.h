/* The program as a process among others: its standard descriptors, and signals.
 *
 *   INT, TERM, HUP   raise the flag: the command ends soon, as it chooses, and exits with 130. One more, while the flag
 *                    is still up, ends the program at once
 *   XFSZ             ignored: a write beyond the limit is a write that failed
 *   BUS              a mapped file became shorter: one line that names it, exit 1
 *   others           what ends a process by default does so
 *
 * Whichever way it ends, temporary files are removed first. A signal that was ignored when the program started stays
 * ignored, but for INT: shells ignore it for whatever they start in the background, and who sends it there means it.
 */
#ifndef MX_CLI_PROCESS_H
#define MX_CLI_PROCESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* To be called first. Descriptors 0 to 2 that are closed are opened, such that reading or writing them fails: else the
 * next file opened would be taken for them. `interrupted` is raised by signals, and may be lowered by who has heard. */
void mx_process_begin(atomic_bool *interrupted);

/* The number of the signal that raised the flag last; 0: none has. */
int mx_process_signal(void);

/* Waits until there is something to read, or an end or error. False if the flag was raised before. */
bool mx_process_wait_input(int descriptor);

/* The path of `name` relative to the folder in which this program's file lies, into path [size]; false where that
 * folder is not known or the path is too long. It says nothing of what is there. */
bool mx_process_beside(char *path, size_t size, const char *name);

#endif
