/* Load each library that is named and let it work, and unload it: a step for each
 * byte that comes. After each step, say where the work is.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

static int step(void *address)
{
	char byte, text[32];
	int size = snprintf(text, sizeof(text), "%p\n", address);

	return write(1, text, size) != size || read(0, &byte, 1) != 1;
}

int main(int argc, char **argv)
{
	char byte;

	if (read(0, &byte, 1) != 1)
		return 1;
	for (int i = 1; i < argc; i++) {
		void *library = dlopen(argv[i], RTLD_NOW);
		void (*work)(void) = dlsym(library, "work");

		work();
		if (step(work))
			return 1;
		dlclose(library);
		if (step(work))
			return 1;
	}
	return 0;
}
