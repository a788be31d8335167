/* Reports: what a list of records says, for people (HTML, Markdown) and for spreadsheets (CSV).
 *
 * report.c decides what is shown and makes a document (document.h) of sections, plots and tables from the records;
 * html.c, plot.c and text.c write it. The HTML file needs no network and no script: plots are SVG with hover titles,
 * each with its table behind it, in light and dark colours and fit for paper.
 */
#ifndef MX_REPORT_REPORT_H
#define MX_REPORT_REPORT_H

#include "base/str.h"
#include "records/record.h"

enum mx_report_format { MX_REPORT_HTML, MX_REPORT_MARKDOWN, MX_REPORT_CSV };

/* Appends the report to `out`. `records` passed mx_record_check and are sorted in place. An empty list gives a report
 * that says so. The same records give the same bytes. Fails with MX_ERR_MEMORY only. */
mx_status mx_report_write(struct mx_str *out, struct mx_record *records, size_t count, enum mx_report_format format,
                          struct mx_error *err);

#endif
