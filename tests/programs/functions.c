// SPDX-License-Identifier: BSD-2-Clause
/* Call each allocating function a known number of times, for the tests. The
 * first byte of standard input starts it, the end of the input ends it.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define FRAME __attribute__((noinline, noclone))

static void *volatile kept;
static volatile size_t too_much = SIZE_MAX, half = SIZE_MAX / 2;

/* The C++ function shop::order(int), as its compiler would name it. */
FRAME void _ZN4shop5orderEi(int size)
{
	kept = malloc(size);
	free(kept);
}

/* operator new(unsigned long) */
FRAME void *_Znwm(size_t size)
{
	kept = malloc(size);
	return kept;
}

FRAME void refused(void)
{
	kept = malloc(too_much);
	kept = calloc(half, 4);
}

FRAME void all(void)
{
	for (int i = 0; i < 10; i++) {
		void *p = NULL;

		_ZN4shop5orderEi(100);
		free(_Znwm(22));
		free(kept = calloc(7, 11));
		p = malloc(1);
		free(kept = realloc(p, 1000));
		p = malloc(1);
		free(kept = reallocarray(p, 3, 500));
		if (posix_memalign(&p, 64, 640))
			_exit(1);
		free(p);
		free(kept = aligned_alloc(32, 320));
		free(kept = memalign(16, 48));
		free(kept = valloc(77));
		free(kept = pvalloc(78));
	}
}

int main(void)
{
	char byte;

	if (read(0, &byte, 1) != 1)
		return 1;
	all();
	refused();
	/* A child is another process: what it allocates is not ours. */
	if (fork() == 0) {
		for (int i = 0; i < 1000; i++)
			_ZN4shop5orderEi(1 << 20);
		_exit(0);
	}
	wait(NULL);
	if (write(1, "done\n", 5) != 5)
		return 1;
	while (read(0, &byte, 1) == 1)
		;
	return 0;
}
