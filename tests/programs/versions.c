/* Call malloc(7) 300 times when a byte comes, in the version V1. Built as a library with
 * ALLOCATOR, it has two versions, of which V2 is the default.
 */
#include <stddef.h>
#include <unistd.h>

#ifdef ALLOCATOR
static _Alignas(16) char arena[1 << 20];
static size_t used;

static void *take(size_t size)
{
	return arena + __atomic_fetch_add(&used, (size + 15) & ~15UL,
					  __ATOMIC_RELAXED);
}

void *old(size_t size)
{
	return take(size);
}

void *new(size_t size)
{
	return take(size + 16);
}

__asm__(".symver old, malloc@V1");
__asm__(".symver new, malloc@@V2");
#else
void *malloc_of_v1(size_t size);

__asm__(".symver malloc_of_v1, malloc@V1");

int main(void)
{
	char byte;

	if (read(0, &byte, 1) != 1)
		return 1;
	for (int i = 0; i < 300; i++) {
		void *volatile pointer = malloc_of_v1(7);

		(void)pointer;
	}
	if (write(1, "done\n", 5) != 5)
		return 1;
	while (read(0, &byte, 1) == 1)
		;
	return 0;
}
#endif
