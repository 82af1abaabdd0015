// What must hold of every input: ends the program where it does not.
#pragma once

#include <cstdio>
#include <cstdlib>

#define MUST(what)                                                     \
  do {                                                                 \
    if (!(what)) {                                                     \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); \
      std::abort();                                                    \
    }                                                                  \
  } while (false)
