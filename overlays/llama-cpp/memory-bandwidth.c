// memory-bandwidth THREADS BYTES: how fast this machine reads.
//
// The threads read their shares of BYTES over and over, as generation reads a model's weights,
// and the program prints the bytes a second of the fastest pass.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { LEAST_PASSES = 8, HUGE_PAGE = 2 << 20 };
static const double SECONDS = 0.5, MOST_SECONDS = 5;

static pthread_barrier_t barrier;
static size_t share; // Of each thread, in bytes.
static int done;
static double fastest; // Seconds of a pass.

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static uint64_t sum(const uint64_t *words, size_t count) {
    uint64_t sums[8] = { 0 };
    for (size_t i = 0; i < count; i += 8)
        for (size_t j = 0; j < 8; j++)
            sums[j] += words[i + j];
    for (size_t j = 1; j < 8; j++)
        sums[0] += sums[j];
    return sums[0];
}

// The first thread measures. `argument`: whether this is the first.
static void *run(void *argument) {
    void *memory = NULL;
    if (posix_memalign(&memory, HUGE_PAGE, share)) {
        perror("memory-bandwidth");
        exit(1);
    }
    madvise(memory, share, MADV_HUGEPAGE);
    // A thread's first access puts a page near that thread.
    memset(memory, 1, share);
    volatile uint64_t keep = 0;
    pthread_barrier_wait(&barrier);
    double began = now();
    for (int pass = 0; !done; pass++) {
        double start = now();
        keep += sum(memory, share / sizeof(uint64_t));
        pthread_barrier_wait(&barrier);
        if (argument) {
            double end = now();
            if (pass == 0 || end - start < fastest)
                fastest = end - start;
            done = (pass + 1 >= LEAST_PASSES && end - began > SECONDS) || end - began > MOST_SECONDS;
        }
        pthread_barrier_wait(&barrier);
    }
    free(memory);
    return NULL;
}

int main(int count, char **arguments) {
    long threads = count > 1 ? atol(arguments[1]) : 0;
    long long bytes = count > 2 ? atoll(arguments[2]) : 0;
    if (threads < 1 || bytes < 1) {
        fprintf(stderr, "usage: memory-bandwidth THREADS BYTES\n");
        return 2;
    }
    // More says no more, and the rest of the machine needs its memory.
    long long most = (long long)sysconf(_SC_AVPHYS_PAGES) * sysconf(_SC_PAGESIZE) / 2;
    if (most > 1LL << 30)
        most = 1LL << 30;
    if (bytes > most)
        bytes = most;
    share = (bytes / threads + 63) / 64 * 64;
    pthread_barrier_init(&barrier, NULL, threads);
    pthread_t others[threads];
    for (long i = 1; i < threads; i++)
        if (pthread_create(&others[i], NULL, run, NULL))
            return 1;
    run(&done);
    for (long i = 1; i < threads; i++)
        pthread_join(others[i], NULL);
    printf("%.0f\n", (double)share * threads / fastest);
    return 0;
}
