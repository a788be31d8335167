/* Carrying a plan out: numbers in blocks of rows, so that memory stays small and an interruption is seen soon.
 * Next: plan.c decides what is written, sidecars.c what stands beside the weights. */
#include "checkpoint/quantize.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "checkpoint/affine.h"
#include "checkpoint/checkpoint_impl.h"
#include "checkpoint/float_modes.h"
#include "checkpoint/floats.h"
#include "checkpoint/place.h"
#include "checkpoint/plan.h"
#include "checkpoint/sidecars.h"
#include "checkpoint/writer.h"
#include "config/names.h"

enum {
    PIECE_ELEMENTS = 1 << 15, /* numbers that one thread takes at a time, about */
    BLOCK_PIECES = 64,        /* pieces between two writes */
};

struct job_run {
    const struct mx_plan_job *job;
    struct mx_checkpoint_writer *writer;
    const struct mx_progress *progress;
    uint64_t *done, total; /* numbers read so far, and of the whole plan */
    struct mx_pool *pool;
    struct mx_error *err;
};

/* A block: rows [first_row, first_row + rows) of one part. */
struct block {
    const struct mx_plan_job *job;
    const struct mx_plan_part *part;
    enum mx_dtype stored; /* of the source */
    size_t first_row, rows, piece_rows;
    float *scratch; /* [workers, cols] */
    uint8_t *codes, *scales, *biases;
    atomic_int bad; /* enum trouble */
};

enum trouble { FINE, NOT_FINITE, OUT_OF_RANGE };

static bool has_biases(const struct mx_plan_job *job)
{
    return job->quant.mode == MX_QUANT_AFFINE;
}

/* Bytes of the scales of a row; its biases take as many. */
static size_t scale_bytes(const struct mx_plan_job *job)
{
    return job->cols / (size_t)job->quant.group * (has_biases(job) ? mx_dtype_size(job->dtype) : 1);
}

static bool quantize_row(const struct block *block, const float *row, size_t r)
{
    const struct mx_plan_job *job = block->job;
    uint8_t *codes = block->codes + r * job->cols * (size_t)job->quant.bits / 8;
    uint8_t *scales = block->scales + r * scale_bytes(job);
    if (!has_biases(job))
        return mx_float_quantize_row(row, job->cols, mx_quant_codes(job->quant.mode), job->dtype, codes, scales);
    return mx_affine_quantize_row(row, job->cols, job->quant.bits, job->quant.group, job->dtype, codes, scales,
                                  block->biases + r * scale_bytes(job));
}

static void quantize_piece(void *context, int piece, int worker)
{
    struct block *block = context;
    const struct mx_plan_job *job = block->job;
    const size_t cols = job->cols;
    float *row = block->scratch + (size_t)worker * cols;
    const size_t first = (size_t)piece * block->piece_rows;
    const size_t last = first + block->piece_rows < block->rows ? first + block->piece_rows : block->rows;
    for (size_t r = first; r < last; r++) {
        const size_t at = block->part->first + (block->first_row + r) * cols;
        const uint8_t *source = block->part->tensor->data + at * mx_dtype_size(block->stored);
        if (!mx_floats_finite(source, block->stored, cols)) atomic_store(&block->bad, NOT_FINITE);
        for (size_t c = 0; c < cols; c++) row[c] = mx_float_load(source, block->stored, c);
        if (job->dtype != block->stored) {
            for (size_t c = 0; c < cols; c++) row[c] = mx_float_round(row[c], job->dtype);
        }
        if (!quantize_row(block, row, r)) {
            int fine = FINE; /* NaN in the source is the better message */
            atomic_compare_exchange_strong(&block->bad, &fine, OUT_OF_RANGE);
        }
    }
}

static void run_pieces(struct mx_pool *pool, int pieces, mx_pool_work *work, void *context)
{
    if (pool) {
        mx_pool_run(pool, pieces, work, context);
        return;
    }
    for (int piece = 0; piece < pieces; piece++) work(context, piece, 0);
}

static mx_status advance(struct job_run *run, size_t elements)
{
    *run->done += elements;
    mx_progress_report(run->progress, "quantizing", run->total ? (double)*run->done / (double)run->total : 1);
    if (!mx_progress_interrupted(run->progress)) return MX_OK;
    return mx_fail(run->err, MX_ERR_INTERRUPTED, "interrupted; nothing was written");
}

static mx_status quantize_part(struct job_run *run, struct block *block, size_t rows, size_t block_rows)
{
    const struct mx_plan_job *job = run->job;
    const size_t cols = job->cols;
    for (block->first_row = 0; block->first_row < rows; block->first_row += block->rows) {
        block->rows = rows - block->first_row < block_rows ? rows - block->first_row : block_rows;
        run_pieces(run->pool, (int)((block->rows + block->piece_rows - 1) / block->piece_rows), quantize_piece, block);
        const int bad = atomic_load(&block->bad);
        if (bad) {
            return mx_fail(run->err, MX_ERR_FORMAT, "%s: tensor \"%.200s\" %s", block->part->tensor->file,
                           block->part->tensor->name,
                           bad == NOT_FINITE ? "holds NaN or infinity and cannot be quantized"
                           : has_biases(job) ? "has numbers too large for the dtype of config.json"
                                             : "has numbers too large for this mode");
        }
        MX_TRY(mx_checkpoint_writer_write(run->writer, block->codes, block->rows * cols * (size_t)job->quant.bits / 8,
                                          run->err));
        block->scales += block->rows * scale_bytes(job);
        block->biases += block->rows * scale_bytes(job);
        MX_TRY(advance(run, block->rows * cols));
    }
    return MX_OK;
}

/* The codes go out as they are made; scales and biases, a few percent of the whole, wait for their turn. */
static mx_status quantize_job(struct job_run *run)
{
    const struct mx_plan_job *job = run->job;
    const size_t cols = job->cols, rows = job->part_elements / cols;
    const size_t all_scales = job->part_count * rows * scale_bytes(job);
    const size_t workers = run->pool ? (size_t)mx_pool_threads(run->pool) : 1;
    struct block block = {.job = job, .piece_rows = cols < PIECE_ELEMENTS ? PIECE_ELEMENTS / cols : 1};
    const size_t block_rows = block.piece_rows * BLOCK_PIECES < rows ? block.piece_rows * BLOCK_PIECES : rows;
    const size_t code_bytes = block_rows * cols * (size_t)job->quant.bits / 8;
    struct mx_arena arena = {0};
    uint8_t *scales = mx_arena_alloc(&arena, all_scales), *biases = mx_arena_alloc(&arena, all_scales);
    block.codes = mx_arena_alloc(&arena, code_bytes);
    block.scratch = mx_arena_alloc(&arena, workers * cols * sizeof *block.scratch);
    block.scales = scales;
    block.biases = biases;
    mx_status status = MX_OK;
    if (!scales || !biases || !block.codes || !block.scratch) {
        status = mx_fail_memory(run->err, job->module, 2 * all_scales + code_bytes);
    }
    for (size_t i = 0; i < job->part_count && status == MX_OK; i++) {
        block.part = &job->parts[i];
        mx_storage_float(block.part->tensor->storage, &block.stored);
        status = quantize_part(run, &block, rows, block_rows);
    }
    if (status == MX_OK) status = mx_checkpoint_writer_write(run->writer, scales, all_scales, run->err);
    if (status == MX_OK && has_biases(job))
        status = mx_checkpoint_writer_write(run->writer, biases, all_scales, run->err);
    mx_arena_free(&arena);
    return status;
}

static mx_status cast_part(struct job_run *run, const struct mx_plan_part *part, enum mx_dtype stored)
{
    const struct mx_plan_job *job = run->job;
    const size_t size = mx_dtype_size(stored);
    uint8_t buffer[4 * PIECE_ELEMENTS];
    for (size_t done = 0; done < job->part_elements;) {
        const size_t left = job->part_elements - done, count = left < PIECE_ELEMENTS ? left : PIECE_ELEMENTS;
        const uint8_t *source = part->tensor->data + (part->first + done) * size;
        for (size_t i = 0; i < count; i++) mx_float_store(buffer, job->dtype, i, mx_float_load(source, stored, i));
        if (mx_floats_finite(source, stored, count) && !mx_floats_finite(buffer, job->dtype, count)) {
            return mx_fail(run->err, MX_ERR_FORMAT,
                           "%s: tensor \"%.200s\" has numbers too large for the dtype of config.json",
                           part->tensor->file, part->tensor->name);
        }
        MX_TRY(mx_checkpoint_writer_write(run->writer, buffer, count * mx_dtype_size(job->dtype), run->err));
        MX_TRY(advance(run, count));
        done += count;
    }
    return MX_OK;
}

static mx_status copy_part(struct job_run *run, const struct mx_plan_part *part)
{
    const size_t size = mx_storage_size(part->tensor->storage), step = (size_t)BLOCK_PIECES * PIECE_ELEMENTS;
    for (size_t done = 0; done < run->job->part_elements;) {
        const size_t left = run->job->part_elements - done, count = left < step ? left : step;
        MX_TRY(mx_checkpoint_writer_write(run->writer, part->tensor->data + (part->first + done) * size, count * size,
                                          run->err));
        MX_TRY(advance(run, count));
        done += count;
    }
    return MX_OK;
}

static mx_status run_job(struct job_run *run)
{
    if (run->job->quant.bits) return quantize_job(run);
    for (size_t i = 0; i < run->job->part_count; i++) {
        const struct mx_plan_part *part = &run->job->parts[i];
        enum mx_dtype stored = MX_F32;
        const bool cast =
            run->job->floats && mx_storage_float(part->tensor->storage, &stored) && stored != run->job->dtype;
        MX_TRY(cast ? cast_part(run, part, stored) : copy_part(run, part));
    }
    return MX_OK;
}

static mx_status write_all(struct mx_checkpoint_writer *writer, const struct mx_plan *plan, const char *source,
                           const struct mx_quantize_options *options, const struct mx_quant *quant,
                           const struct mx_progress *progress, struct mx_error *err)
{
    uint64_t done = 0;
    struct job_run run = {.writer = writer,
                          .progress = progress,
                          .done = &done,
                          .total = plan->source_elements,
                          .pool = options->pool,
                          .err = err};
    for (size_t i = 0; i < plan->job_count; i++) {
        run.job = &plan->jobs[i];
        MX_TRY(run_job(&run));
    }
    MX_TRY(mx_write_quantized_config(writer, source, quant, plan, err));
    return mx_copy_sidecars(writer, source, err);
}

static void summarize(const struct mx_plan *plan, const struct mx_checkpoint *checkpoint,
                      struct mx_quantize_result *result)
{
    *result = (struct mx_quantize_result){.parameters = plan->parameters};
    for (size_t i = 0; i < checkpoint->count; i++) result->source_bytes += checkpoint->tensors[i]->bytes;
    for (size_t i = 0; i < plan->output_count; i++) result->bytes += mx_output_bytes(&plan->outputs[i]);
    for (size_t i = 0; i < plan->job_count; i++) {
        if (plan->jobs[i].quant.bits)
            result->quantized++;
        else
            result->copied++;
    }
}

static mx_status convert(const struct mx_checkpoint *checkpoint, const struct mx_plan *plan, const char *target,
                         const struct mx_quantize_options *options, const struct mx_quant *quant,
                         const struct mx_progress *progress, struct mx_error *err)
{
    struct mx_checkpoint_writer *writer;
    const size_t shard_bytes = options->shard_bytes ? options->shard_bytes : MX_SHARD_BYTES;
    MX_TRY(mx_checkpoint_writer_open(&writer, target, plan->outputs, plan->output_count, shard_bytes, plan->parameters,
                                     err));
    const mx_status status = write_all(writer, plan, checkpoint->directory, options, quant, progress, err);
    if (status == MX_OK) return mx_checkpoint_writer_commit(writer, err);
    mx_checkpoint_writer_abort(writer);
    return status;
}

static mx_status quantize_folder(const char *source, const char *target, const struct mx_quantize_options *options,
                                 const struct mx_quant *quant, const struct mx_progress *progress,
                                 struct mx_quantize_result *result, struct mx_error *err)
{
    struct mx_arch arch = {0};
    struct mx_plan plan = {0};
    struct mx_checkpoint *checkpoint = NULL;
    mx_status status = mx_arch_open(&arch, source, err);
    if (status == MX_OK) status = mx_checkpoint_open(&checkpoint, source, NULL, err);
    if (status == MX_OK && arch.names) mx_names_settle_tie(&arch, mx_checkpoint_has_name, checkpoint);
    if (status == MX_OK) status = mx_plan_conversion(&plan, checkpoint, &arch, quant, err);
    if (status == MX_OK) status = convert(checkpoint, &plan, target, options, quant, progress, err);
    if (status == MX_OK && result) summarize(&plan, checkpoint, result);
    mx_plan_free(&plan);
    mx_checkpoint_close(checkpoint);
    mx_arch_free(&arch);
    return status;
}

mx_status mx_quantize_checkpoint(const char *source, const char *target, const struct mx_quantize_options *options,
                                 const struct mx_progress *progress, struct mx_quantize_result *result,
                                 struct mx_error *err)
{
    const struct mx_quant usual = mx_quant_default(options->mode);
    const struct mx_quant quant = {options->mode, options->bits ? options->bits : usual.bits,
                                   options->group ? options->group : usual.group};
    if (!mx_quant_valid(&quant) && options->mode == MX_QUANT_AFFINE) {
        return mx_fail(err, MX_ERR_ARGUMENT,
                       "%d bits in groups of %d: give 2, 3, 4, 5, 6 or 8 bits, groups of 32, 64 or 128", quant.bits,
                       quant.group);
    }
    if (!mx_quant_valid(&quant)) {
        return mx_fail(err, MX_ERR_ARGUMENT, "%s has %d bits in groups of %d, not %d in groups of %d",
                       mx_quant_mode_name(usual.mode), usual.bits, usual.group, quant.bits, quant.group);
    }
    char *folder;
    MX_TRY(mx_place_folder(&folder, source, err));
    const mx_status status = quantize_folder(folder, target, options, &quant, progress, result, err);
    free(folder);
    return status;
}
