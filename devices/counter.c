/* Counts the instructions that a program executes under qemu's user emulation.
 *
 * A plugin of qemu's TCG. The count lies in a page of memory that the emulated program can map: it
 * is behind the file descriptor named by the argument fd=N, and its first 64-bit word is the
 * number of guest instructions begun so far by the first thread, or with all=on by all threads.
 *
 * Loaded before qemu's C library, too (LD_PRELOAD), it makes every clock of the program a
 * nanosecond an instruction: what a runtime does when some time has passed is then done at the
 * same instruction in every run. A wait for a time ends at once, as all times are in the past.
 *
 * Debian ships no qemu-plugin.h, so what is used of it is declared here; it is the same in all
 * versions of the interface from 1 on.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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
