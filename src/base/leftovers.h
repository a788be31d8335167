/* What would lie about if the process ended now: temporary files and folders, so that a signal's handler can remove
 * them. The list is the process's, since it is the process that a signal ends; the library only keeps it, the program
 * decides when to use it. Thread-safe. */
#ifndef MX_BASE_LEFTOVERS_H
#define MX_BASE_LEFTOVERS_H

/* Notes a path, before the file or folder is made. Returns a ticket for mx_leftover_forget; -1, which is a ticket too,
 * where there is no room (64 paths) or the path is too long. */
int mx_leftover_note(const char *path);
void mx_leftover_forget(int ticket);

/* Removes a file, or a folder with the files in it; what is not there is fine. Async-signal-safe, and allocates
 * nothing, so that it works where memory ran out. */
void mx_leftover_remove(const char *path);

/* Removes every noted file and folder so. Async-signal-safe. */
void mx_leftovers_remove(void);

/* "TARGET.tmp-XXXXXXXXXXXX", random, in the target's folder, for a file or folder that is renamed when it is complete;
 * the caller frees. NULL when memory runs out. */
char *mx_temporary_name(const char *target);

#endif
