/* Runs the program many times, each time with one fault (faults.c) at another moment, and holds what comes out against
 * a run without. What is allowed: the same output; or the exit code that the fault asks for, one line of error,
 * nothing written but a beginning of the right text, nothing left behind. Never: a crash, a hang, another output.
 *
 * usage: faults_run PROGRAM PRELOAD WORK COMMANDS alloc|signals|truncate RUNS SEED
 * WORK is a folder made by run.sh. RUNS are spread evenly over the commands and their moments; SEED shifts them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_COMMANDS = 64, MAX_ARGS = 64, SECONDS = 60 };

struct command {
    char name[32];
    bool varies;
    char *args[MAX_ARGS];
    int count;
};

/* What a run left: how it ended, and what it wrote. */
struct outcome {
    int status; /* of waitpid() */
    char *out, *errors;
    char *files; /* "NAME SIZE HASH\n" of each file in the folder for output */
};

static const char *program, *preload, *work;
static struct command commands[MAX_COMMANDS];
static int command_count, passed, failed;

static char *join(const char *a, const char *b)
{
    char *text = malloc(strlen(a) + strlen(b) + 1);
    if (!text) abort();
    strcpy(text, a);
    return strcat(text, b);
}

static char *read_whole(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1);
    size_t length = 0;
    char block[65536];
    for (size_t got; file && (got = fread(block, 1, sizeof block, file)) > 0; length += got) {
        text = realloc(text, length + got + 1);
        if (!text) abort();
        memcpy(text + length, block, got);
        text[length + got] = '\0';
    }
    if (file) fclose(file);
    return text;
}

/* --- commands --- */

static char *expand(const char *word)
{
    if (!strcmp(word, "@PROMPT")) return join("The file system keeps", "");
    if (!strncmp(word, "@OUT", 4)) return join(join(work, "/out"), word + 4);
    if (!strncmp(word, "@WORK", 5)) return join(work, word + 5);
    return join(word, "");
}

static void read_commands(const char *path)
{
    char *text = read_whole(path), *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) && command_count < MAX_COMMANDS;) {
        if (!*line || *line == '#') continue;
        struct command *command = &commands[command_count++];
        int field = 0;
        for (char *word; (word = strsep(&line, " ")) && command->count < MAX_ARGS - 2;) {
            if (!*word) continue;
            if (field == 0) snprintf(command->name, sizeof command->name, "%s", word);
            if (field == 1) command->varies = !strcmp(word, "vary");
            if (field >= 2) command->args[++command->count] = expand(word);
            field++;
        }
        command->args[0] = (char *)program;
    }
    free(text);
}

/* --- runs --- */

static char *file_in(const char *name)
{
    return join(join(work, "/"), name);
}

/* Each file under `folder`, its size and a hash of its bytes (FNV-1a), removing them on the way. */
static void take_files(const char *folder, const char *shown, char **list)
{
    struct dirent **entries;
    const int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
        char *path = join(join(folder, "/"), name), *label = join(join(shown, "/"), name);
        struct stat info;
        if (lstat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
            take_files(path, label, list);
            rmdir(path);
            continue;
        }
        uint64_t hash = 14695981039346656037u;
        FILE *file = fopen(path, "rb");
        for (int c; file && (c = getc(file)) != EOF;) hash = (hash ^ (uint64_t)c) * 1099511628211u;
        if (file) fclose(file);
        char line[512];
        snprintf(line, sizeof line, "%s %lld %016llx\n", label, (long long)info.st_size, (unsigned long long)hash);
        *list = join(*list, line);
        unlink(path);
    }
}

static struct outcome run(const struct command *command, const char *fault, long at)
{
    char number[32], *out = file_in("stdout"), *errors = file_in("stderr"), *folder = file_in("out");
    snprintf(number, sizeof number, "%ld", at);
    mkdir(folder, 0700);
    const pid_t child = fork();
    if (child == 0) {
        const int in = open("/dev/null", O_RDONLY);
        const int to = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600),
                  wrong = open(errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (in < 0 || to < 0 || wrong < 0) _exit(99);
        dup2(in, 0);
        dup2(to, 1);
        dup2(wrong, 2);
        setenv("LD_PRELOAD", preload, 1);
        setenv("FAULT", fault, 1);
        setenv("FAULT_AT", number, 1);
        setenv("FAULT_COUNT", file_in("count"), 1);
        setenv("MALLOC_ARENA_MAX", "1", 1);
        for (int s = 1; s < 32; s++)
            if (s != SIGKILL && s != SIGSTOP) signal(s, SIG_DFL);
        alarm(SECONDS);
        execv(program, command->args);
        _exit(99);
    }
    struct outcome outcome = {.files = join("", "")};
    while (waitpid(child, &outcome.status, 0) < 0 && errno == EINTR) {}
    outcome.out = read_whole(out);
    outcome.errors = read_whole(errors);
    take_files(folder, "", &outcome.files);
    return outcome;
}

static long count_of_last(void)
{
    return atol(read_whole(file_in("count")));
}

/* --- judging --- */

/* Figures, and the blanks that line them up, as one '#'. */
static void blur(char *text)
{
    char *to = text;
    for (const char *from = text; *from;) {
        const size_t run = strspn(from, "0123456789.-+ ");
        if (run) *to++ = '#';
        if (!run) *to++ = *from;
        from += run ? run : 1;
    }
    *to = '\0';
}

static int error_lines(const char *errors, bool *others)
{
    int count = 0;
    *others = false;
    for (const char *line = errors; *line;) {
        const size_t length = strcspn(line, "\n");
        const bool ours = !strncmp(line, "mlxcel: ", 8);
        if (ours && strncmp(line + 8, "note: ", 6) != 0) count++;
        if (!ours) *others = true;
        line += length + (line[length] == '\n');
    }
    return count;
}

/* Why an outcome is not allowed, or NULL. `signal_number`: the one that was sent, or 0. */
static const char *complaint(const struct command *command, const struct outcome *right, struct outcome *got,
                             int signal_number)
{
    static char text[96];
    const bool interrupts = signal_number == SIGINT || signal_number == SIGTERM || signal_number == SIGHUP;
    if (WIFSIGNALED(got->status)) {
        if (WTERMSIG(got->status) == SIGALRM && signal_number != SIGALRM) return "hangs";
        snprintf(text, sizeof text, "ended by signal %d", WTERMSIG(got->status));
        if (WTERMSIG(got->status) != signal_number) return text;
        const bool whole = !*got->files || !strcmp(got->files, right->files); /* it may have been done already */
        return whole ? NULL : "ended by the signal and left something behind";
    }
    const int code = WEXITSTATUS(got->status);
    if (command->varies) blur(got->out);
    if (code == 0) {
        if (strcmp(got->out, right->out) != 0) return "exit 0 and other output";
        if (strcmp(got->files, right->files) != 0) return "exit 0 and other files";
        return NULL;
    }
    bool others;
    const int errors = error_lines(got->errors, &others);
    if (code != (interrupts ? 130 : 1)) {
        snprintf(text, sizeof text, "exit %d", code);
        return text;
    }
    if (errors != 1) return "not one line of error";
    if (others && !interrupts) return "a line of error that is not the program's";
    /* What was made until an interruption may be kept, when it is whole: only half-made files must not be there. */
    if (*got->files && (!interrupts || strstr(got->files, ".tmp-"))) return "left something behind";
    if (!interrupts && strncmp(got->out, right->out, strlen(got->out)) != 0) return "printed something else first";
    return NULL;
}

static void judge(const struct command *command, const struct outcome *right, const char *fault, long at,
                  int signal_number)
{
    struct outcome got = run(command, fault, at);
    const char *why = complaint(command, right, &got, signal_number);
    if (why) {
        printf("FAILED: %s with %s at %ld: %s\n%s", command->name, fault, at, why, got.errors);
        if (*got.files) printf("  files: %s", got.files);
        failed++;
    } else {
        passed++;
    }
    free(got.out);
    free(got.errors);
    free(got.files);
}

static struct outcome reference(const struct command *command)
{
    struct outcome right = run(command, "none", 0);
    if (right.status != 0) printf("FAILED: %s without a fault\n%s", command->name, right.errors);
    failed += right.status != 0;
    if (command->varies) blur(right.out);
    return right;
}

/* `runs` moments of `total`, evenly, shifted by the seed. */
static long moment(long total, long runs, long i, long seed)
{
    return 1 + (long)(((double)i + (double)(seed % 97) / 97) * (double)total / (double)runs) % total;
}

static void fail_allocations(const struct command *command, long runs, long seed)
{
    const struct outcome right = reference(command);
    run(command, "alloc", 0);
    const long total = count_of_last();
    for (long i = 0; i < runs && i < 2 * total; i++)
        judge(command, &right, i % 2 ? "alloc-on" : "alloc", moment(total, runs, i, seed), 0);
    printf("%s: %ld allocations\n", command->name, total);
}

static void send_signals(const struct command *command, long moments, long seed)
{
    static const struct {
        const char *fault;
        int number;
    } kinds[] = {{"signal", SIGINT}, {"signal", SIGTERM}, {"signal", SIGHUP},  {"signal", SIGXFSZ},
                 {"signal", SIGBUS}, {"signal", SIGPIPE}, {"signal", SIGQUIT}, {"signal", SIGALRM},
                 {"twice", SIGINT},  {"twice", SIGTERM}};
    const struct outcome right = reference(command);
    run(command, "signal:0", 0);
    const long total = count_of_last();
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        char fault[32];
        snprintf(fault, sizeof fault, "%s:%d", kinds[k].fault, kinds[k].number);
        for (long i = 0; i < moments; i++)
            judge(command, &right, fault, moment(total, moments, i, seed + (long)k * 11), kinds[k].number);
    }
}

/* A model's file is cut while it is mapped. */
static void cut_files(const struct command *command, const char *model, const char *file, long moments, long seed)
{
    struct command copy = *command;
    char *folder = file_in("cut"), *path = join(join(folder, "/"), file), *shell = NULL;
    if (asprintf(&shell, "rm -rf '%s' && cp -r '%s' '%s'", folder, model, folder) < 0) abort();
    if (system(shell) != 0) abort();
    copy.args[++copy.count] = "-m";
    copy.args[++copy.count] = folder;
    const struct outcome right = reference(&copy);
    run(&copy, "signal:0", 0);
    const long total = count_of_last();
    for (long i = 0; i < moments; i++) {
        if (system(shell) != 0) abort();
        judge(&copy, &right, join("truncate:", path), moment(total, moments, i, seed), 0);
    }
    free(shell);
}

int main(int argc, char **argv)
{
    if (argc != 8) return 2;
    program = argv[1];
    preload = argv[2];
    work = argv[3];
    read_commands(argv[4]);
    const char *what = argv[5];
    const long runs = atol(argv[6]), seed = atol(argv[7]);
    for (int i = 0; i < command_count; i++) {
        const struct command *command = &commands[i];
        if (!strcmp(what, "alloc")) fail_allocations(command, runs / command_count, seed + i);
        if (!strcmp(what, "signals")) send_signals(command, runs, seed + i);
        if (strcmp(what, "truncate") != 0 || !strstr("generate perplexity tokenize bench", command->name)) continue;
        const char *file = strcmp(command->name, "tokenize") ? "model.safetensors" : "tokenizer.json";
        cut_files(command, file_in("model"), file, runs, seed + i);
    }
    printf("%s: %d passed, %d failed, 0 skipped\n", what, passed, failed);
    return failed ? 1 : 0;
}
