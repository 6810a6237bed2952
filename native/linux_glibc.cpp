// An addon is built with this system's glibc, and may run with one as old as 2.28. The linker would
// ask for the newest form of each function. These stand in for it inside the addon, and ask for the
// first.
#include <features.h>

#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__))
#ifdef __x86_64__
#define RINGSIDE_FIRST "GLIBC_2.2.5"
constexpr int kStatVersion = 1;
#else
#define RINGSIDE_FIRST "GLIBC_2.17"
constexpr int kStatVersion = 0;
#endif

// No header declares them here: some would declare them with attributes of their own.
#define RINGSIDE_FIRST_FORM(result, name, parameters, arguments) \
  result first_##name parameters;                                \
  asm(".symver first_" #name "," #name "@" RINGSIDE_FIRST);      \
  result name parameters { return first_##name arguments; }

extern "C" {

// Since 2.29 they leave errno alone.
RINGSIDE_FIRST_FORM(double, exp2, (double x), (x))
RINGSIDE_FIRST_FORM(double, log, (double x), (x))
RINGSIDE_FIRST_FORM(double, pow, (double x, double y), (x, y))

// Since 2.34 they are in another library.
RINGSIDE_FIRST_FORM(void*, dlopen, (const char* file, int mode), (file, mode))
RINGSIDE_FIRST_FORM(void*, dlsym, (void* library, const char* name), (library, name))
RINGSIDE_FIRST_FORM(char*, dlerror, (), ())
RINGSIDE_FIRST_FORM(int, dladdr, (const void* address, void* info), (address, info))
RINGSIDE_FIRST_FORM(int, pthread_create,
                    (unsigned long* thread, const void* attributes, void* (*start)(void*),
                     void* data),
                    (thread, attributes, start, data))
RINGSIDE_FIRST_FORM(int, pthread_join, (unsigned long thread, void** result), (thread, result))
RINGSIDE_FIRST_FORM(int, pthread_detach, (unsigned long thread), (thread))
RINGSIDE_FIRST_FORM(int, pthread_once, (int* control, void (*routine)()), (control, routine))
RINGSIDE_FIRST_FORM(int, pthread_key_create, (unsigned* key, void (*destroy)(void*)),
                    (key, destroy))
RINGSIDE_FIRST_FORM(int, pthread_key_delete, (unsigned key), (key))
RINGSIDE_FIRST_FORM(void*, pthread_getspecific, (unsigned key), (key))
RINGSIDE_FIRST_FORM(int, pthread_setspecific, (unsigned key, const void* value), (key, value))

// Until 2.33 they were no functions of the library, which had these.
int __xstat(int version, const char* path, void* status);
int __fxstat(int version, int file, void* status);
int __lxstat(int version, const char* path, void* status);
int stat(const char* path, void* status) { return __xstat(kStatVersion, path, status); }
int fstat(int file, void* status) { return __fxstat(kStatVersion, file, status); }
int lstat(const char* path, void* status) { return __lxstat(kStatVersion, path, status); }
int stat64(const char* path, void* status) { return __xstat(kStatVersion, path, status); }
int fstat64(int file, void* status) { return __fxstat(kStatVersion, file, status); }
int lstat64(const char* path, void* status) { return __lxstat(kStatVersion, path, status); }

// Since 2.32. The C++ library reads it to spare atomic operations: false is always right.
char __libc_single_threaded = false;

// Since 2.36, for std::random_device, which nothing here uses.
unsigned arc4random() { __builtin_abort(); }

}  // extern "C"
#endif
