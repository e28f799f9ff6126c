/* Call malloc and operators new when a byte comes, each a known number of times. Built as
 * a library with ALLOCATOR, it is what has them, as jemalloc and others do.
 */
#include <stddef.h>
#include <unistd.h>

void *malloc(size_t size);
void *_Znwm(size_t size);		/* operator new(unsigned long) */
void *_ZnwmRKSt9nothrow_t(size_t size);	/* ... std::nothrow_t const&) */
void *_Znam(size_t size);		/* operator new[](unsigned long) */
void *_ZnamRKSt9nothrow_t(size_t size);

#ifdef ALLOCATOR
static _Alignas(16) char arena[16 << 20];
static size_t used;

static void *take(size_t size)
{
	return arena + __atomic_fetch_add(&used, (size + 15) & ~15UL,
					  __ATOMIC_RELAXED);
}

void *malloc(size_t size)
{
	return take(size);
}

/* It does not call malloc, */
void *_Znwm(size_t size)
{
	return take(size);
}

/* this one sometimes does, */
void *_ZnwmRKSt9nothrow_t(size_t size)
{
	return size == 40 ? malloc(size) : take(size);
}

/* this one calls another, */
void *_ZnamRKSt9nothrow_t(size_t size)
{
	return _Znwm(size);
}

/* and this one jumps to it. */
#ifdef __x86_64__
#define JUMP "jmp _Znwm@PLT\n"
#else
#define JUMP "b _Znwm\n"
#endif
__asm__(".globl _Znam\n"
	".type _Znam, @function\n"
	"_Znam: " JUMP
	".size _Znam, . - _Znam\n");
#else
static void *volatile kept;

#define TIMES(n, call) for (int i = 0; i < n; i++) kept = call

int main(void)
{
	char byte;

	if (read(0, &byte, 1) != 1)
		return 1;
	TIMES(100, malloc(10));
	TIMES(200, _Znwm(20));
	TIMES(300, _ZnwmRKSt9nothrow_t(30));
	TIMES(400, _ZnwmRKSt9nothrow_t(40));
	TIMES(500, _Znam(50));
	TIMES(600, _ZnamRKSt9nothrow_t(60));
	if (write(1, "done\n", 5) != 5)
		return 1;
	while (read(0, &byte, 1) == 1)
		;
	return 0;
}
#endif
