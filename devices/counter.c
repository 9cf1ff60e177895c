/* Counts the instructions that a program executes under qemu's user emulation.
 *
 * A plugin of qemu's TCG. The count lies in a page of memory that the emulated program can map: it
 * is behind the file descriptor named by the argument fd=N, and its first 64-bit word is the
 * number of guest instructions begun so far by the first thread, or with all=on by all threads.
 *
 * Loaded before qemu's C library, too (LD_PRELOAD), it makes every clock of the program a
 * nanosecond an instruction: what a runtime does when some time has passed is then done at the
 * same instruction in every run. A wait for a time ends at once, as all times are in the past.
 * Directories are listed by name: a file system's own order decides where Python keeps the names of
 * its modules, hence which blocks of memory are free ever after.
 *
 * Debian ships no qemu-plugin.h, so what is used of it is declared here; it is the same in all
 * versions of the interface from 1 on.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define PAGE 4096
#define SECOND 1000000000u
/* 2020-01-01: after what certificates and archives take for a date, and in the past. */
#define BEGINNING 1577836800

struct qemu_plugin_tb;
typedef uint64_t qemu_plugin_id_t;
typedef void (*on_translated)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*on_executed)(unsigned int thread, void *data);

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, on_translated);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, on_executed,
                                                 int flags, void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);

EXPORT int qemu_plugin_version = INTERFACE;

static uint64_t *executed;

EXPORT int clock_gettime(clockid_t clock, struct timespec *now)
{
    uint64_t count = executed ? *executed : 0;
    bool of_day = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    now->tv_sec = (of_day ? BEGINNING : 0) + (time_t)(count / SECOND);
    now->tv_nsec = (long)(count % SECOND);
    return 0;
}

static int by_name(const void *one, const void *other)
{
    const struct dirent64 *a = *(struct dirent64 *const *)one;
    const struct dirent64 *b = *(struct dirent64 *const *)other;
    return strcmp(a->d_name, b->d_name);
}

/* Sort what one call listed; the places to go on from stay where they are. */
static void sort_entries(char *listed, size_t length)
{
    size_t count = 0;
    struct dirent64 **entries = malloc(length);
    char *sorted = malloc(length), *next = sorted;
    off64_t *places = malloc(length);
    if (entries && sorted && places) {
        for (char *at = listed; at < listed + length; at += entries[count++]->d_reclen) {
            entries[count] = (struct dirent64 *)at;
            places[count] = entries[count]->d_off;
        }
        qsort(entries, count, sizeof *entries, by_name);
        for (size_t i = 0; i < count; i++) {
            entries[i]->d_off = places[i];
            memcpy(next, entries[i], entries[i]->d_reclen);
            next += entries[i]->d_reclen;
        }
        memcpy(listed, sorted, length);
    }
    free(entries);
    free(sorted);
    free(places);
}

/* By this function of the C library qemu asks for what its own has no function for. */
EXPORT long syscall(long number, ...)
{
    static long (*of_library)(long, ...);
    long given[6];
    va_list rest;
    if (!of_library)
        of_library = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    va_start(rest, number);
    for (int i = 0; i < 6; i++)
        given[i] = va_arg(rest, long);
    va_end(rest);
    long found = of_library(number, given[0], given[1], given[2], given[3], given[4], given[5]);
    if (number == SYS_getdents64 && found > 0)
        sort_entries((char *)given[1], (size_t)found);
    return found;
}

static void of_first(unsigned int thread, void *instructions)
{
    if (thread == 0)
        *executed += (uintptr_t)instructions;
}

static void of_all(unsigned int thread, void *instructions)
{
    (void)thread;
    __atomic_fetch_add(executed, (uintptr_t)instructions, __ATOMIC_RELAXED);
}

static on_executed counting = of_first;

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(block, counting, 0,
                                         (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

/* Make the page, behind this very descriptor. */
static bool share(int descriptor)
{
    int made = memfd_create("instructions", 0);
    if (made < 0 || ftruncate(made, PAGE) || dup2(made, descriptor) < 0)
        return false;
    if (made != descriptor)
        close(made);
    executed = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    return executed != MAP_FAILED;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    int descriptor = -1;
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "fd=", 3))
            descriptor = atoi(argv[i] + 3);
        if (!strcmp(argv[i], "all=on"))
            counting = of_all;
    }
    if (descriptor < 0 || !share(descriptor))
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
