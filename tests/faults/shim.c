/* Stands between a process and the disk (LD_PRELOAD): keeps a log of all that is written below one
 * folder and synced there, and lets the n-th such call fail, tear, or be the last.
 *
 *   FAULTS_FOLDER  the folder that is watched
 *   faults_arm(log, call, kind)   from now on log there; at that call (from 1) the fault happens
 *   faults_note(text)             a line of one's own in the log
 *
 * A record of the log, little endian:  kind u8, failed u8, name u16, data u32, offset i64, then the
 * name (relative to the folder) and the data.
 *   W  written at offset    T  cut to offset    S  synced    U  unlinked    D  a folder synced
 *   N  noted
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NONE, KILL, TEAR_KILL, IO_ERROR, FULL, TEAR_ERROR, SHORT, IO_ERROR_ON, FULL_ON };

static int log_fd = -1;
static long calls, fault_call;
static int fault_kind;

static const char *below(const char *path) {
    static const char *folder;
    if (!folder && !(folder = getenv("FAULTS_FOLDER"))) return NULL;
    size_t n = strlen(folder);
    if (log_fd < 0 || strncmp(path, folder, n) || (path[n] && path[n] != '/')) return NULL;
    return path + n + (path[n] == '/');
}

static const char *watched(int fd) {
    static char path[PATH_MAX];
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return NULL;
    path[n] = 0;
    const char *name = below(path);
    return name && !strstr(name, "-shm") ? name : NULL; /* a power cut takes shared memory away */
}

static void put(const void *data, size_t n) {
    while (n) {
        long done = syscall(SYS_write, log_fd, data, n);
        if (done < 0) abort();
        data = (const char *)data + done;
        n -= done;
    }
}

static void record(char kind, int failed, const char *name, const void *data, size_t n, int64_t at) {
    struct __attribute__((packed)) {
        uint8_t kind, failed;
        uint16_t name;
        uint32_t data;
        int64_t offset;
    } head = {kind, failed, strlen(name), n, at};
    char *whole = malloc(sizeof head + head.name + n);
    memcpy(whole, &head, sizeof head);
    memcpy(whole + sizeof head, name, head.name);
    memcpy(whole + sizeof head + head.name, data, n);
    put(whole, sizeof head + head.name + n);
    free(whole);
}

/* What is to happen to this call. */
static int due(void) {
    calls++;
    int goes_on = fault_kind == IO_ERROR_ON || fault_kind == FULL_ON;
    if (!fault_kind || calls < fault_call || (calls > fault_call && !goes_on)) return NONE;
    if (fault_kind == KILL) raise(SIGKILL);
    return fault_kind;
}

static int error_of(int fault) { return fault == FULL || fault == FULL_ON ? ENOSPC : EIO; }

void faults_arm(const char *log, long call, int kind) {
    log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    calls = 0;
    fault_call = call;
    fault_kind = kind;
}

void faults_note(const char *text) { record('N', 0, "", text, strlen(text), 0); }

long faults_calls(void) { return calls; }

static ssize_t written(int fd, const char *name, const void *data, size_t n, off64_t at) {
    int fault = due();
    int torn = fault == TEAR_KILL || fault == TEAR_ERROR || fault == SHORT;
    size_t some = torn && n > 1 ? n / 2 : n;
    if (fault == NONE || torn) {
        ssize_t done = syscall(SYS_pwrite64, fd, data, some, at);
        if (done > 0) record('W', 0, name, data, done, at);
        if (fault == TEAR_KILL) raise(SIGKILL);
        if (fault != TEAR_ERROR) return done;
    }
    errno = error_of(fault);
    return -1;
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    const char *name = watched(fd);
    return name ? written(fd, name, data, n, at) : syscall(SYS_pwrite64, fd, data, n, at);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return pwrite64(fd, data, n, at); }

ssize_t write(int fd, const void *data, size_t n) {
    const char *name = watched(fd);
    if (!name) return syscall(SYS_write, fd, data, n);
    off64_t at = lseek64(fd, 0, SEEK_CUR);
    ssize_t done = written(fd, name, data, n, at);
    if (done > 0) lseek64(fd, at + done, SEEK_SET);
    return done;
}

static int synced(int fd, long call) {
    const char *name = watched(fd);
    if (!name) return syscall(call, fd);
    int fault = due();
    if (fault == TEAR_KILL) raise(SIGKILL);
    int fails = fault != NONE && fault != SHORT;
    struct stat about;
    record(!fstat(fd, &about) && S_ISDIR(about.st_mode) ? 'D' : 'S', fails, name, "", 0, 0);
    if (!fails) return 0; /* the log says what would be on the disk: no need to wait for it */
    errno = error_of(fault);
    return -1;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int ftruncate64(int fd, off64_t length) {
    const char *name = watched(fd);
    if (!name) return syscall(SYS_ftruncate, fd, length);
    int fault = due();
    if (fault == TEAR_KILL) raise(SIGKILL);
    if (fault != NONE && fault != SHORT) {
        errno = error_of(fault);
        return -1;
    }
    record('T', 0, name, "", 0, length);
    return syscall(SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int unlink(const char *path) {
    const char *name = below(path);
    if (!name || strstr(name, "-shm")) return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    int fault = due();
    if (fault == TEAR_KILL) raise(SIGKILL);
    if (fault != NONE && fault != SHORT) {
        errno = error_of(fault);
        return -1;
    }
    record('U', 0, name, "", 0, 0);
    return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int rename(const char *from, const char *to) {
    if (below(from) && due() == TEAR_KILL) raise(SIGKILL);
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
