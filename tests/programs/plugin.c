/* Load a library, by its path and "local" or "deepbind". Then, when a byte comes, call
 * malloc(11) 500 times, and the library's ask(13) 300 times. Built as a library with OWN,
 * it is that one, with a malloc of its own.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef OWN
static _Alignas(16) char arena[1 << 20];
static size_t used;

void *malloc(size_t size)
{
	return arena + __atomic_fetch_add(&used, (size + 15) & ~15UL,
					  __ATOMIC_RELAXED);
}
#endif

void *ask(size_t size)
{
	void *volatile pointer = malloc(size);

	return pointer;
}

#ifndef OWN
int main(int argc, char **argv)
{
	int deep = argc > 2 && !strcmp(argv[2], "deepbind") ? RTLD_DEEPBIND : 0;
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | deep) : NULL;
	void *(*theirs)(size_t) = NULL;
	char byte;

	if (library)
		theirs = (void *(*)(size_t))dlsym(library, "ask");
	if (!theirs || read(0, &byte, 1) != 1)
		return 1;
	for (int i = 0; i < 500; i++)
		ask(11);
	for (int i = 0; i < 300; i++)
		theirs(13);
	if (write(1, "done\n", 5) != 5)
		return 1;
	while (read(0, &byte, 1) == 1)
		;
	return 0;
}
#endif
