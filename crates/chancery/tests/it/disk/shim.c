/* Preloaded into the program by tests: writes down what it does to files below one folder, and what it made durable, so
 * that a test can lay the disk as a power loss would leave it; and lets a test fill the disk or break a write to it.
 *
 * A record is appended to the journal for each change, in the order in which they happened (one lock around change and
 * record). A process is killed between a change and its record never: who kills it stops the disk first (`stopped`), and
 * an abort or an exit of its own waits for the lock. The real fsync is left out unless asked for: a killed process loses nothing, and the test decides what a
 * power loss takes.
 *
 * DISK_ROOT     only files below it count
 * DISK_JOURNAL  where records go
 * DISK_CONTROL  a small file shared with the test: see `struct control`
 * DISK_BREAKS   only paths that hold this text are broken
 * DISK_THREAD   only syncs of the thread of this name are broken, and others wait a moment for them
 * DISK_REAL     call the real fsync too
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct control {
    int64_t room;         /* bytes by which files may still grow; below 0: without end */
    int64_t every_write;  /* 1: no write succeeds, as where nothing is overwritten in place */
    int64_t break_syncs;  /* n: the n-th sync from now on fails with EIO, and what was to be synced is lost */
    int64_t broken;       /* syncs that failed so */
    int64_t again;        /* syncs of a descriptor whose sync had failed */
    int64_t syncs;        /* syncs seen */
    int64_t lies;         /* 1: syncs are answered and not done */
    int64_t stopped;      /* 1: whoever would change something waits */
    int64_t inside;       /* changes under way, of all processes */
};

struct record {
    uint32_t bytes; /* of everything after this field */
    uint32_t kind;
    uint64_t inode;
    uint64_t number; /* an offset or a size */
    uint32_t path, other, data;
    uint32_t unused;
};

static const char *root, *breaks, *thread;
static size_t root_length;
static int journal = -1, real_syncs;
static struct control no_control = {.room = -1}, *control = &no_control;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The shim itself cannot go on. */
static void fail(void) { syscall(SYS_exit_group, 70); }

/* As in Linux since 4.13: an error of a file is told once to each descriptor that was open when it happened. */
#define FILES 4096
static struct { uint64_t inode; unsigned errors; } broken[FILES];
static unsigned told[65536], failed[65536];

static unsigned *errors_of(uint64_t inode) {
    for (unsigned n = 0; n < FILES; n++) {
        if (broken[n].inode == inode) return &broken[n].errors;
        if (broken[n].inode == 0) {
            broken[n].inode = inode;
            return &broken[n].errors;
        }
    }
    fail();
    return NULL;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("DISK_JOURNAL");
    root = getenv("DISK_ROOT");
    breaks = getenv("DISK_BREAKS");
    thread = getenv("DISK_THREAD");
    real_syncs = getenv("DISK_REAL") != NULL;
    if (!path || !root) return;
    root_length = strlen(root);
    journal = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    const char *shared = getenv("DISK_CONTROL");
    int fd = shared ? syscall(SYS_openat, AT_FDCWD, shared, O_RDWR | O_CLOEXEC, 0) : -1;
    if (fd >= 0) {
        void *at = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at != MAP_FAILED) control = at;
        syscall(SYS_close, fd);
    }
    if (journal < 0) fail();
}

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) fail();
    return found;
}

static void take(void) {
    pthread_mutex_lock(&lock);
    for (;;) {
        __atomic_add_fetch(&control->inside, 1, __ATOMIC_SEQ_CST);
        if (!__atomic_load_n(&control->stopped, __ATOMIC_SEQ_CST)) return;
        __atomic_sub_fetch(&control->inside, 1, __ATOMIC_SEQ_CST);
        usleep(200);
    }
}
static void give(void) {
    int kept = errno;
    __atomic_sub_fetch(&control->inside, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&lock);
    errno = kept;
}

/* A process that ends itself ends between changes: no other thread is within one, and none begins one. */
void abort(void) {
    if (journal >= 0) pthread_mutex_lock(&lock);
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;) pause();
}
__attribute__((destructor)) static void end(void) {
    if (journal >= 0) pthread_mutex_lock(&lock);
}

static void note(char kind, uint64_t inode, uint64_t number, const char *path, const char *other,
                 const struct iovec *data, int count, size_t bytes) {
    int kept = errno;
    struct record head = {.kind = (unsigned char)kind, .inode = inode, .number = number};
    struct iovec parts[3 + 64];
    int used = 3;
    head.path = path ? strlen(path) : 0;
    head.other = other ? strlen(other) : 0;
    size_t left = bytes;
    for (int n = 0; n < count && left > 0; n++) {
        size_t now = data[n].iov_len < left ? data[n].iov_len : left;
        if (used == 67) fail();
        parts[used++] = (struct iovec){data[n].iov_base, now};
        left -= now;
    }
    head.data = bytes;
    head.bytes = sizeof head - 4 + head.path + head.other + head.data;
    parts[0] = (struct iovec){&head, sizeof head};
    parts[1] = (struct iovec){(void *)path, head.path};
    parts[2] = (struct iovec){(void *)other, head.other};
    ssize_t written = syscall(SYS_writev, journal, parts, used);
    if (written != (ssize_t)(head.bytes + 4)) fail();
    errno = kept;
}

static int below(const char *path) {
    return journal >= 0 && strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

/* The path of an open file, if it counts. */
static int of(int fd, char *path, struct stat *about) {
    if (journal < 0 || fd < 3) return 0;
    int kept = errno;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    int counts = length > 0;
    if (counts) {
        path[length] = 0;
        counts = below(path) && syscall(SYS_newfstatat, fd, "", about, AT_EMPTY_PATH) == 0;
    }
    errno = kept;
    return counts;
}

/* The path from the root, if it counts. */
static int at(int folder, const char *name, char *path) {
    if (journal < 0 || !name) return 0;
    int kept = errno;
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
    } else {
        char link[64] = "/proc/self/cwd";
        if (folder != AT_FDCWD) snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
        if (length <= 0) return 0;
        snprintf(path + length, PATH_MAX - length, "/%s", name);
    }
    errno = kept;
    return below(path);
}

static int there(const char *path, struct stat *about) {
    int kept = errno;
    int found = syscall(SYS_newfstatat, AT_FDCWD, path, about, AT_SYMLINK_NOFOLLOW) == 0;
    errno = kept;
    return found;
}

static int full(void) { return control->every_write || control->room == 0; }

/* Opening ----------------------------------------------------------------------------------------------------- */

static int opened(int folder, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    struct stat about;
    if (!at(folder, name, path)) return syscall(SYS_openat, folder, name, flags, mode);
    take();
    int before = there(path, &about);
    int fd;
    if (flags & __O_TMPFILE & ~O_DIRECTORY) {
        note('X', 0, 0, path, "a file without a name", NULL, 0, 0);
    }
    if (!before && (flags & O_CREAT) && full()) {
        errno = ENOSPC;
        fd = -1;
    } else {
        fd = syscall(SYS_openat, folder, name, flags, mode);
    }
    if (fd >= 0) {
        int kept = errno;
        if (fd < 65536 && syscall(SYS_newfstatat, fd, "", &about, AT_EMPTY_PATH) == 0) {
            failed[fd] = 0;
            told[fd] = *errors_of(about.st_ino);
        }
        errno = kept;
        if ((flags & O_CREAT) && !before && syscall(SYS_newfstatat, fd, "", &about, AT_EMPTY_PATH) == 0)
            note('C', about.st_ino, 0, path, NULL, NULL, 0, 0);
        else if (before && (flags & O_TRUNC) && about.st_size > 0)
            note('T', about.st_ino, 0, path, NULL, NULL, 0, 0);
        errno = kept;
    }
    give();
    return fd;
}

#define MODE                                                       \
    mode_t mode = 0;                                               \
    if (flags & (O_CREAT | (__O_TMPFILE & ~O_DIRECTORY))) {        \
        va_list more;                                              \
        va_start(more, flags);                                     \
        mode = va_arg(more, mode_t);                               \
        va_end(more);                                              \
    }

int open(const char *name, int flags, ...) { MODE return opened(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE return opened(AT_FDCWD, name, flags, mode); }
int openat(int folder, const char *name, int flags, ...) { MODE return opened(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) { MODE return opened(folder, name, flags, mode); }
int creat(const char *name, mode_t mode) { return opened(AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, mode); }
int creat64(const char *name, mode_t mode) { return opened(AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, mode); }

/* Writing ----------------------------------------------------------------------------------------------------- */

/* `offset` below 0: where the file stands. */
static ssize_t wrote(int fd, const struct iovec *data, int count, off_t offset) {
    char path[PATH_MAX];
    struct stat about;
    int placed = offset >= 0;
    if (!of(fd, path, &about) || !S_ISREG(about.st_mode))
        return placed ? syscall(SYS_pwritev, fd, data, count, offset, 0) : syscall(SYS_writev, fd, data, count);
    take();
    syscall(SYS_newfstatat, fd, "", &about, AT_EMPTY_PATH);
    if (!placed) {
        int flags = syscall(SYS_fcntl, fd, F_GETFL, 0);
        offset = flags & O_APPEND ? about.st_size : (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
    }
    size_t wanted = 0;
    for (int n = 0; n < count; n++) wanted += data[n].iov_len;
    off_t end = offset + (off_t)wanted;
    off_t growth = end > about.st_size ? end - about.st_size : 0;
    /* As much as there is room for. */
    int short_of = control->room >= 0 && growth > control->room;
    size_t fits = short_of ? wanted - (growth - control->room) : wanted;
    ssize_t written;
    if (control->every_write || (short_of && fits == 0)) {
        errno = ENOSPC;
        written = -1;
    } else if (short_of) {
        char *joined = malloc(wanted);
        size_t used = 0;
        for (int n = 0; n < count; n++) {
            memcpy(joined + used, data[n].iov_base, data[n].iov_len);
            used += data[n].iov_len;
        }
        written = syscall(SYS_pwrite64, fd, joined, fits, offset);
        if (written > 0) {
            if (!placed) syscall(SYS_lseek, fd, offset + written, SEEK_SET);
            struct iovec part = {joined, written};
            note('W', about.st_ino, offset, path, NULL, &part, 1, written);
            control->room = 0;
        }
        memset(joined, 0, wanted);
        free(joined);
    } else {
        written = placed ? syscall(SYS_pwritev, fd, data, count, offset, 0) : syscall(SYS_writev, fd, data, count);
        if (written > 0) {
            if (control->room >= 0) control->room -= growth;
            note('W', about.st_ino, offset, path, NULL, data, count, written);
        }
    }
    give();
    return written;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    struct iovec one = {(void *)bytes, count};
    return wrote(fd, &one, 1, -1);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    struct iovec one = {(void *)bytes, count};
    return wrote(fd, &one, 1, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    struct iovec one = {(void *)bytes, count};
    return wrote(fd, &one, 1, offset);
}
ssize_t writev(int fd, const struct iovec *data, int count) { return wrote(fd, data, count, -1); }
ssize_t pwritev(int fd, const struct iovec *data, int count, off_t offset) { return wrote(fd, data, count, offset); }
ssize_t pwritev64(int fd, const struct iovec *data, int count, off64_t offset) { return wrote(fd, data, count, offset); }

static int cut(int fd, off_t size) {
    char path[PATH_MAX];
    struct stat about;
    if (!of(fd, path, &about)) return syscall(SYS_ftruncate, fd, size);
    take();
    int done = syscall(SYS_ftruncate, fd, size);
    if (done == 0) note('T', about.st_ino, size, path, NULL, NULL, 0, 0);
    give();
    return done;
}

int ftruncate(int fd, off_t size) { return cut(fd, size); }
int ftruncate64(int fd, off64_t size) { return cut(fd, size); }

/* What is not modelled is written down; a test that meets it fails. */
static void strange(int fd, const char *what) {
    char path[PATH_MAX];
    struct stat about;
    if (of(fd, path, &about)) note('X', 0, 0, path, what, NULL, 0, 0);
}
static void strange_path(const char *name, const char *what) {
    char path[PATH_MAX];
    if (at(AT_FDCWD, name, path)) note('X', 0, 0, path, what, NULL, 0, 0);
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
    strange(fd, "fallocate");
    return syscall(SYS_fallocate, fd, mode, offset, length);
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return fallocate(fd, mode, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) { return fallocate(fd, 0, offset, length) == 0 ? 0 : errno; }
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }
int truncate(const char *name, off_t size) {
    strange_path(name, "truncate");
    return syscall(SYS_truncate, name, size);
}
int truncate64(const char *name, off64_t size) { return truncate(name, size); }
/* The standard library copies with read and write when the kernel cannot. */
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t length, unsigned flags) {
    (void)in, (void)from, (void)out, (void)to, (void)length, (void)flags;
    errno = ENOSYS;
    return -1;
}
ssize_t sendfile64(int out, int in, off64_t *offset, size_t count) {
    strange(out, "sendfile");
    return syscall(SYS_sendfile, out, in, offset, count);
}

/* Making durable ---------------------------------------------------------------------------------------------- */

static int synced(int fd, long call) {
    char path[PATH_MAX];
    struct stat about;
    if (!of(fd, path, &about)) return syscall(call, fd);
    int concerned = !breaks || strstr(path, breaks);
    if (concerned && thread) {
        char name[16] = "";
        prctl(PR_GET_NAME, name);
        concerned = strcmp(name, thread) == 0;
        /* So that the error comes between what another thread wrote and its sync. */
        for (int n = 0; !concerned && n < 300 && *(volatile int64_t *)&control->break_syncs > 0; n++) usleep(1000);
    }
    take();
    int done = 0;
    control->syncs++;
    if (fd >= 65536) fail();
    if (failed[fd]) control->again++;
    unsigned *errors = errors_of(about.st_ino);
    if (control->break_syncs > 0 && concerned && --control->break_syncs == 0) {
        /* What could not be written counts as clean from then on, and is lost. */
        control->broken++;
        ++*errors;
        note('E', about.st_ino, 0, path, NULL, NULL, 0, 0);
    }
    if (told[fd] != *errors) {
        told[fd] = *errors;
        failed[fd] = 1;
        errno = EIO;
        done = -1;
    } else {
        if (real_syncs) done = syscall(call, fd);
        if (done == 0 && !control->lies) note(S_ISDIR(about.st_mode) ? 'G' : 'F', about.st_ino, 0, path, NULL, NULL, 0, 0);
    }
    give();
    return done;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

/* Names ------------------------------------------------------------------------------------------------------- */

static int renamed(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    char one[PATH_MAX], two[PATH_MAX];
    int counts = at(from_folder, from, one);
    counts = at(to_folder, to, two) || counts;
    if (!counts) return syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
    take();
    struct stat about;
    int folder = there(one, &about) && S_ISDIR(about.st_mode);
    int done = syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
    if (done == 0) {
        if (folder || flags) note('X', 0, 0, one, "a folder renamed, or with flags", NULL, 0, 0);
        note('R', 0, 0, one, two, NULL, 0, 0);
    }
    give();
    return done;
}

int rename(const char *from, const char *to) { return renamed(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int a, const char *from, int b, const char *to) { return renamed(a, from, b, to, 0); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) { return renamed(a, from, b, to, flags); }

static int unlinked(int folder, const char *name, int flags) {
    char path[PATH_MAX];
    if (!at(folder, name, path)) return syscall(SYS_unlinkat, folder, name, flags);
    take();
    int done = syscall(SYS_unlinkat, folder, name, flags);
    if (done == 0) note('U', 0, 0, path, NULL, NULL, 0, 0);
    give();
    return done;
}

int unlink(const char *name) { return unlinked(AT_FDCWD, name, 0); }
int unlinkat(int folder, const char *name, int flags) { return unlinked(folder, name, flags); }
int rmdir(const char *name) { return unlinked(AT_FDCWD, name, AT_REMOVEDIR); }
int remove(const char *name) {
    strange_path(name, "remove");
    return REAL(remove)(name);
}

static int made(int folder, const char *name, mode_t mode) {
    char path[PATH_MAX];
    if (!at(folder, name, path)) return syscall(SYS_mkdirat, folder, name, mode);
    take();
    int done = -1;
    struct stat about;
    if (full() && !there(path, &about))
        errno = ENOSPC;
    else
        done = syscall(SYS_mkdirat, folder, name, mode);
    if (done == 0) note('D', 0, 0, path, NULL, NULL, 0, 0);
    give();
    return done;
}

int mkdir(const char *name, mode_t mode) { return made(AT_FDCWD, name, mode); }
int mkdirat(int folder, const char *name, mode_t mode) { return made(folder, name, mode); }

int link(const char *from, const char *to) {
    strange_path(to, "link");
    return syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
    strange_path(to, "link");
    return syscall(SYS_linkat, a, from, b, to, flags);
}
int symlink(const char *from, const char *to) {
    strange_path(to, "symlink");
    return syscall(SYS_symlinkat, from, AT_FDCWD, to);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
    char path[PATH_MAX];
    struct stat about;
    /* The index of SQLite's write-ahead log is made anew after a power loss; nothing else may be written so. */
    if (fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE) && of(fd, path, &about) &&
        !strstr(path, "-shm"))
        note('X', 0, 0, path, "written through memory", NULL, 0, 0);
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}
void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    return mmap64(address, length, protection, flags, fd, offset);
}
