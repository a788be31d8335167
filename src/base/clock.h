/* The one clock for how long something took. */
#ifndef MX_BASE_CLOCK_H
#define MX_BASE_CLOCK_H

/* Seconds on a clock that only goes forward; where it began means nothing. Thread-safe. */
double mx_seconds(void);

#endif
