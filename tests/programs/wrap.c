/* A library to preload whose malloc() calls the next one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

void *malloc(size_t size)
{
	static void *(*next)(size_t);
	void *volatile pointer;

	if (!next)
		next = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	pointer = next(size);
	return pointer;
}
