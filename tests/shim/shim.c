/* A library that stands between a process and its disk, by LD_PRELOAD.
 *
 * It counts the storage calls on files below one directory and, at the n-th of them, kills the
 * process before, inside or after it, or lets it fail. It can slow syncs down, turn them into
 * nothing, write down every call, and move the wall clock. It refuses to know what is stored.
 *
 *   TOLLGATE_SHIM_DIR      files below it are watched; without it nothing is
 *   TOLLGATE_SHIM_KIND     which calls count: `any` (default), `write` or `sync`
 *   TOLLGATE_SHIM_AT       the call, from 1, at which it happens
 *   TOLLGATE_SHIM_DO       kill_before | kill_inside | kill_after | EIO | ENOSPC | EDQUOT | EFBIG
 *   TOLLGATE_SHIM_LINGER   milliseconds that the call stands still before the process dies, while
 *                          the other threads go on: what was promised too early then gets out
 *   TOLLGATE_SHIM_FOREVER  set: not at that call alone but from there on (errors only)
 *   TOLLGATE_SHIM_ARM      a file of one byte: nothing is counted or written down while it is `0`
 *   TOLLGATE_SHIM_DELAY    `LOW-HIGH`: every sync takes so many milliseconds longer
 *   TOLLGATE_SHIM_NOSYNC   set: syncs answer at once and do nothing
 *   TOLLGATE_SHIM_TRACE    a file for lines `number kind path offset length`; offset -1: at the end
 *   TOLLGATE_SHIM_JOURNAL  a file for every call with its bytes, so that a disk can be made that has
 *                          only some of them: a line `kind path offset length`, then `length` bytes,
 *                          then a newline. A write stands there before it is made, a sync when it has
 *                          returned. Kinds: create, write, size, sync, rename (bytes: the new path),
 *                          remove
 *   TOLLGATE_SHIM_CLOCK    a file of 32 bytes or more, rewritten in place: seconds that the wall
 *                          clock is ahead, as decimal text. Read on every question for the time.
 *
 * What counts: open (to write, or to create), write, pwrite, writev, ftruncate, truncate,
 * fallocate, fsync, fdatasync, rename, linkat, unlink, mkdir. The shared-memory index of a WAL (`-shm`) is
 * no storage: SQLite builds it anew, so it is left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { OPEN, WRITE, TRUNCATE, SYNC, NAME };
enum deed { NOTHING, KILL_BEFORE, KILL_INSIDE, KILL_AFTER, FAIL };

/* Descriptors above this are not watched; the backend opens a handful of files early. */
#define FDS 4096
#define REAL(name) ((__typeof__(&name))real(#name))

static char *files[FDS];
static const char *dir;
static size_t dir_length;
static long at, delay_low, delay_high, linger;
static enum deed deed;
static int error, forever, no_sync, only_writes, only_syncs, trace = -1, journal = -1;
static const char *armed, *clock_offset;
static atomic_long calls;
static atomic_ulong chance = 0x9e3779b97f4a7c15ul;

static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        _exit(120);
    return found;
}

static const char *mapped(const char *variable, size_t length)
{
    const char *path = getenv(variable);
    int fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return NULL;
    void *bytes = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    return bytes == MAP_FAILED ? NULL : bytes;
}

static void read_deed(const char *word)
{
    static const struct { const char *word; enum deed deed; int error; } known[] = {
        {"kill_before", KILL_BEFORE, 0}, {"kill_inside", KILL_INSIDE, 0},
        {"kill_after", KILL_AFTER, 0},   {"EIO", FAIL, EIO},
        {"ENOSPC", FAIL, ENOSPC},        {"EDQUOT", FAIL, EDQUOT},
        {"EFBIG", FAIL, EFBIG},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (word && !strcmp(word, known[i].word)) {
            deed = known[i].deed;
            error = known[i].error;
            return;
        }
    if (word)
        _exit(121);
}

__attribute__((constructor)) static void begin(void)
{
    clock_offset = mapped("TOLLGATE_SHIM_CLOCK", 32);
    dir = getenv("TOLLGATE_SHIM_DIR");
    if (!dir)
        return;
    dir_length = strlen(dir);
    const char *text = getenv("TOLLGATE_SHIM_KIND");
    only_writes = text && !strcmp(text, "write");
    only_syncs = text && !strcmp(text, "sync");
    at = (text = getenv("TOLLGATE_SHIM_AT")) ? atol(text) : 0;
    read_deed(getenv("TOLLGATE_SHIM_DO"));
    linger = (text = getenv("TOLLGATE_SHIM_LINGER")) ? atol(text) : 0;
    forever = getenv("TOLLGATE_SHIM_FOREVER") != NULL;
    no_sync = getenv("TOLLGATE_SHIM_NOSYNC") != NULL;
    if ((text = getenv("TOLLGATE_SHIM_DELAY")) && sscanf(text, "%ld-%ld", &delay_low, &delay_high) != 2)
        _exit(122);
    armed = mapped("TOLLGATE_SHIM_ARM", 1);
    if ((text = getenv("TOLLGATE_SHIM_TRACE")))
        trace = syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if ((text = getenv("TOLLGATE_SHIM_JOURNAL")))
        journal = syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* The part of a path below the watched directory, or NULL. */
static const char *below(const char *path)
{
    if (!dir || !path || strncmp(path, dir, dir_length) || path[dir_length] != '/')
        return NULL;
    const char *end = strrchr(path, '-');
    return end && !strcmp(end, "-shm") ? NULL : path + dir_length + 1;
}

static const char *file(int fd)
{
    return fd >= 0 && fd < FDS ? files[fd] : NULL;
}

static void wait(long milliseconds)
{
    struct timespec span = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    if (milliseconds > 0)
        nanosleep(&span, NULL);
}

static void die(void)
{
    wait(linger);
    for (;;)
        syscall(SYS_kill, getpid(), SIGKILL);
}

static void write_down(long number, const char *kind, const char *path, long offset, long length)
{
    char line[512];
    int size = snprintf(line, sizeof line, "%ld %s %s %ld %ld\n", number, kind, path, offset, length);
    if (trace >= 0 && size > 0 && (size_t)size < sizeof line)
        syscall(SYS_write, trace, line, size);
}

/* Keeps a call with its bytes: one write, so that threads do not run together. */
static void keep(const char *kind, const char *path, long offset, const void *bytes, size_t length)
{
    char line[512];
    if (journal < 0 || !path || (armed && *armed == '0'))
        return;
    int size = snprintf(line, sizeof line, "%s %s %ld %zu\n", kind, path, offset, length);
    struct iovec parts[3] = {{line, size}, {(void *)bytes, length}, {"\n", 1}};
    syscall(SYS_writev, journal, parts, 3);
}

/* Where a plain write will land. */
static long place(int fd)
{
    struct stat now;
    if (journal < 0 || !file(fd))
        return 0;
    if (fcntl(fd, F_GETFL) & O_APPEND)
        return fstat(fd, &now) ? 0 : now.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

/* Counts a call and says what becomes of it. */
static enum deed count(enum kind kind, const char *name, const char *path, long offset, long length)
{
    if (!path || (armed && *armed == '0'))
        return NOTHING;
    if ((only_writes && kind != WRITE) || (only_syncs && kind != SYNC))
        return NOTHING;
    long number = atomic_fetch_add(&calls, 1) + 1;
    write_down(number, name, path, offset, length);
    if (!at || number < at || (number > at && !(forever && deed == FAIL)))
        return NOTHING;
    if (deed == KILL_BEFORE)
        die();
    return deed;
}

static int failed(void)
{
    errno = error;
    return -1;
}

/* Ends a call that was made; what it answered stays. */
static long done(enum deed what, long result)
{
    if (what == KILL_AFTER || what == KILL_INSIDE)
        die();
    return result;
}

static int opened(const char *name, int (*call)(int, const char *, int, ...), int at_fd,
                  const char *path, int flags, mode_t mode)
{
    const char *watched = below(path);
    int writes = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
    enum deed what = watched && writes ? count(OPEN, name, watched, 0, 0) : NOTHING;
    if (what == FAIL)
        return failed();
    if (watched && flags & (O_CREAT | O_TRUNC) && journal >= 0) {
        struct stat now;
        if (fstatat(at_fd, path, &now, 0))
            keep("create", watched, 0, NULL, 0);
        else if (flags & O_TRUNC)
            keep("size", watched, 0, NULL, 0);
    }
    int fd = call(at_fd, path, flags, mode);
    if (fd >= 0 && fd < FDS) {
        free(files[fd]);
        files[fd] = watched ? strdup(watched) : NULL;
    }
    return done(what, fd);
}

#define MODE(flags)                                                                               \
    mode_t mode = 0;                                                                              \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                                        \
        va_list rest;                                                                             \
        va_start(rest, flags);                                                                    \
        mode = va_arg(rest, mode_t);                                                              \
        va_end(rest);                                                                             \
    }
#define OPEN_LIKE(name)                                                                           \
    int name(const char *path, int flags, ...)                                                    \
    {                                                                                             \
        MODE(flags)                                                                               \
        return opened("open", REAL(openat), AT_FDCWD, path, flags, mode);                         \
    }
#define OPENAT_LIKE(name)                                                                         \
    int name(int at_fd, const char *path, int flags, ...)                                         \
    {                                                                                             \
        MODE(flags)                                                                               \
        return opened("open", REAL(openat), at_fd, path, flags, mode);                            \
    }
OPEN_LIKE(open)
OPEN_LIKE(open64)
OPENAT_LIKE(openat)
OPENAT_LIKE(openat64)

int close(int fd)
{
    if (fd >= 0 && fd < FDS && files[fd]) {
        free(files[fd]);
        files[fd] = NULL;
    }
    return REAL(close)(fd);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    enum deed what = count(WRITE, "write", file(fd), -1, length);
    if (what == FAIL)
        return failed();
    keep("write", file(fd), place(fd), bytes, length);
    return done(what, REAL(write)(fd, bytes, what == KILL_INSIDE ? length / 2 : length));
}

#define PWRITE_LIKE(name)                                                                         \
    ssize_t name(int fd, const void *bytes, size_t length, off_t offset)                          \
    {                                                                                             \
        enum deed what = count(WRITE, "pwrite", file(fd), offset, length);                        \
        if (what == FAIL)                                                                         \
            return failed();                                                                      \
        keep("write", file(fd), offset, bytes, length);                                           \
        size_t part = what == KILL_INSIDE ? length / 2 : length;                                  \
        return done(what, REAL(pwrite)(fd, bytes, part, offset));                                 \
    }
PWRITE_LIKE(pwrite64)
#undef pwrite
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    return pwrite64(fd, bytes, length, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int number)
{
    long length = 0;
    for (int i = 0; file(fd) && i < number; i++)
        length += parts[i].iov_len;
    enum deed what = count(WRITE, "writev", file(fd), -1, length);
    if (what == FAIL)
        return failed();
    long offset = place(fd);
    for (int i = 0; i < number; offset += parts[i++].iov_len)
        keep("write", file(fd), offset, parts[i].iov_base, parts[i].iov_len);
    return done(what, REAL(writev)(fd, parts, what == KILL_INSIDE ? 1 : number));
}

static int sized(int fd, off_t length)
{
    enum deed what = count(TRUNCATE, "ftruncate", file(fd), length, 0);
    if (what == FAIL)
        return failed();
    keep("size", file(fd), length, NULL, 0);
    return done(what, syscall(SYS_ftruncate, fd, length));
}
int ftruncate(int fd, off_t length) { return sized(fd, length); }
int ftruncate64(int fd, off_t length) { return sized(fd, length); }

static int reserved(int fd, int mode, off_t offset, off_t length)
{
    enum deed what = count(WRITE, "fallocate", file(fd), offset, length);
    return what == FAIL ? failed() : done(what, syscall(SYS_fallocate, fd, mode, offset, length));
}
int fallocate(int fd, int mode, off_t offset, off_t length) { return reserved(fd, mode, offset, length); }
int fallocate64(int fd, int mode, off_t offset, off_t length) { return reserved(fd, mode, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) { return reserved(fd, 0, offset, length) ? errno : 0; }
int posix_fallocate64(int fd, off_t offset, off_t length) { return posix_fallocate(fd, offset, length); }

static int synced(int fd, const char *name, long number)
{
    const char *path = file(fd);
    enum deed what = count(SYNC, name, path, 0, 0);
    if (what == FAIL)
        return failed();
    if (path && delay_high) {
        unsigned long draw = atomic_fetch_add(&chance, 0x9e3779b97f4a7c15ul) >> 33;
        wait(delay_low + draw % (delay_high - delay_low + 1));
    }
    long result = path && no_sync ? 0 : syscall(number, fd);
    if (!result)
        keep("sync", path, 0, NULL, 0);
    return done(what, result);
}
int fsync(int fd) { return synced(fd, "fsync", SYS_fsync); }
int fdatasync(int fd) { return synced(fd, "fdatasync", SYS_fdatasync); }

#define NAMED(path, kept, call)                                                                   \
    enum deed what = count(NAME, __func__, below(path), 0, 0);                                    \
    if (what == FAIL)                                                                             \
        return failed();                                                                          \
    kept;                                                                                         \
    return done(what, call);
static void keep_rename(const char *from, const char *to)
{
    if (to)
        keep("rename", from, 0, to, strlen(to));
}
int rename(const char *from, const char *to) { NAMED(to, keep_rename(below(from), below(to)), REAL(rename)(from, to)) }
int unlink(const char *path) { NAMED(path, keep("remove", below(path), 0, NULL, 0), REAL(unlink)(path)) }
int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags) { NAMED(to, , REAL(linkat)(from_fd, from, to_fd, to, flags)) }
int mkdir(const char *path, mode_t mode) { NAMED(path, , REAL(mkdir)(path, mode)) }
int truncate(const char *path, off_t length) { NAMED(path, keep("size", below(path), length, NULL, 0), syscall(SYS_truncate, path, length)) }
int truncate64(const char *path, off_t length) { return truncate(path, length); }

static long ahead(void)
{
    char text[33] = {0};
    if (clock_offset)
        memcpy(text, clock_offset, 32);
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = REAL(clock_gettime)(clock, now);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += ahead();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int result = REAL(gettimeofday)(now, zone);
    if (!result && now)
        now->tv_sec += ahead();
    return result;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
